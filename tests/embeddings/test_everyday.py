"""The verbs of gensim and fastText: their answers beside the real ones, and names that differ."""

import json
import re

import jax
import numpy as np
import pytest

import ffjax
from ffjax._internal.names_elsewhere import names_elsewhere
from tests.builders import ALL_STORAGES, VOCABS, embeddings
from tests.formats.fasttext.files import LABELS, SKIP_GRAM, SUPERVISED, model, quiet_fasttext, write

ATTRIBUTES, MODULE_NAMES, ARGUMENTS, _ = names_elsewhere()
DIMS, N = 8, 200
RNG = np.random.default_rng(0)
# Vectors of very different lengths: by the dot product other words come first.
MATRIX = (RNG.standard_normal((N, DIMS)) * RNG.uniform(0.1, 10, (N, 1))).astype(np.float32)
WORDS = [f"w{i}" for i in range(N)]
VECTOR = RNG.standard_normal(DIMS).astype(np.float32)


@pytest.fixture(scope="module")
def emb():
    return ffjax.from_vectors(WORDS, MATRIX)


@pytest.fixture(scope="module")
def raw():
    """The same vectors without scaling them."""
    return ffjax.Embeddings(ffjax.NdArray(MATRIX), ffjax.SimpleVocab(WORDS))


@pytest.fixture(scope="module")
def gensim():
    models = pytest.importorskip("gensim.models")
    vectors = models.KeyedVectors(DIMS)
    vectors.add_vectors(WORDS, MATRIX)
    return vectors


def agrees(ours, theirs):
    assert [word for word, _ in ours] == [word for word, _ in theirs]
    scores = [[score for _, score in pairs] for pairs in (ours, theirs)]
    np.testing.assert_allclose(*scores, atol=1e-6)


@pytest.mark.parametrize(
    ("positive", "negative"),
    [
        ("w3", None),
        (["w3", "w8"], None),
        (["w3", "w8"], ["w5"]),
        (["w3", "w3", "w8"], "w5"),
        (VECTOR, None),
        ([VECTOR, "w1"], [VECTOR[::-1]]),
        ([("w3", 2.5), "w8", (VECTOR, 0.5)], [("w5", -0.25), "w6"]),
        (None, ["w7"]),
    ],
)
def test_most_similar_is_gensims(emb, raw, gensim, positive, negative):
    theirs = gensim.most_similar(positive, negative, topn=7)
    agrees(emb.most_similar(positive, negative, topn=7), theirs)
    agrees(raw.most_similar(positive, negative, k=7), theirs)


def test_most_similar_among_candidates_is_gensims(emb, gensim):
    theirs = gensim.most_similar("w3", topn=7, restrict_vocab=50)
    agrees(emb.most_similar("w3", topn=7, candidates=slice(50)), theirs)
    agrees(emb.most_similar("w3", topn=7, restrict_vocab=50), theirs)
    words = ["w3", "w90"]
    batch = emb.most_similar_batch(words, 7, candidates=slice(50))
    for word, answers in zip(words, batch, strict=True):
        agrees(answers, gensim.most_similar(word, topn=7, restrict_vocab=50))
    with pytest.raises(TypeError, match="`restrict_vocab`: expected None with `candidates`"):
        emb.most_similar("w3", candidates=slice(50), restrict_vocab=50)


def test_results_are_pairs_that_compare_by_similarity(emb):
    results = emb.most_similar("w3", topn=2)
    assert json.loads(json.dumps(results)) == [[word, score] for word, score in results]
    first, second = results
    assert first > second and first >= second and first != second
    assert second < first and second <= first
    assert first == ffjax.SimilarityResult("other", first.similarity)
    assert first == (first.word, first.similarity) != ("other", first.similarity)


def test_arguments_of_gensim_name_the_replacement(emb):
    for name, message in (
        ("indexer", "no argument `indexer`. .* needs no index; leave it out"),
        ("clip_end", "no argument `clip_end`. .*`restrict_vocab=`"),
        ("tpon", "`most_similar` has no argument `tpon`"),
    ):
        with pytest.raises(TypeError, match=message):
            emb.most_similar("w3", **{name: 3})


def test_two_numbers_of_answers_must_be_equal(emb):
    calls = (
        lambda **n: emb.most_similar("w3", **n),
        lambda **n: emb.word_similarity("w3", **n),
        lambda **n: emb.most_similar_batch(["w3"], **n)[0],
        lambda **n: emb.embedding_similarity(VECTOR, **n),
        lambda **n: emb.analogy("w1", "w2", "w3", **n),
        lambda **n: emb.get_nearest_neighbors("w3", **n),
        lambda **n: ffjax.search(MATRIX, VECTOR[None], **n).rows[0],
    )
    for call in calls:
        assert len(call(k=3, topn=3)) == len(call(topn=3)) == len(call(k=3)) == 3
        with pytest.raises(TypeError, match="expected one of them, since both are the number of"):
            call(k=3, topn=4)


def test_ranks_by_the_dot_product(raw):
    rows = MATRIX.astype(np.float64)
    for kind, scores in (("dot", rows @ rows[1]), ("angular", 1 - raw.distances("w1"))):
        closer = [WORDS[i] for i in np.flatnonzero(scores > scores[2]) if i != 1]
        assert raw.closer_than("w1", "w2", metric=kind) == closer
        assert raw.rank("w1", "w2", metric=kind) == len(closer) + 1
    with pytest.raises(ValueError, match="`metric`: expected one of 'dot', 'cosine'"):
        raw.rank("w1", "w2", metric="cos")


def test_products_and_distances_are_gensims(emb, raw, gensim):
    for ours in (emb, raw):
        assert ours.similarity("w1", "w2") == pytest.approx(gensim.similarity("w1", "w2"), abs=1e-6)
        lists = ["w1", "w2", "w3"], ["w4", "w1"]
        assert ours.n_similarity(*lists) == pytest.approx(gensim.n_similarity(*lists), abs=1e-6)
        for word in ("w1", VECTOR):
            np.testing.assert_allclose(ours.distances(word), gensim.distances(word), atol=1e-6)
            expected = gensim.distances(word, ["w9", "w1"])
            np.testing.assert_allclose(ours.distances(word, ["w9", "w1"]), expected, atol=1e-6)
        assert ours.closer_than("w1", "w2") == gensim.closer_than("w1", "w2")
        assert ours.rank("w1", "w2") == gensim.rank("w1", "w2")
        assert ours.rank("w1", "w1") == 1
    for start in range(0, N, 5):
        words = WORDS[start : start + 5]
        assert emb.doesnt_match(words) == raw.doesnt_match(words) == gensim.doesnt_match(words)


def test_views_of_words_and_vectors_are_gensims(emb, raw, gensim):
    assert emb.words == emb.index_to_key == gensim.index_to_key
    assert dict(emb.key_to_index) == gensim.key_to_index
    assert emb.vector_size == emb.dims == gensim.vector_size
    np.testing.assert_array_equal(raw.vectors, gensim.vectors)
    np.testing.assert_allclose(emb.vectors, gensim.get_normed_vectors(), rtol=1e-6)
    assert not emb.vectors.flags.writeable
    np.testing.assert_array_equal(emb.get("w4"), emb["w4"])
    assert emb.get("unknown") is None and emb.get("unknown", 0) == 0


@pytest.mark.parametrize("kind", [("buckets", "pq"), ("explicit", "int8")])
def test_vectors_of_any_storage_are_those_of_the_words(kind):
    emb = embeddings(*kind)
    np.testing.assert_array_equal(emb.vectors, np.stack([emb[word] for word in emb.words]))
    np.testing.assert_array_equal(emb.vectors, emb.vectors)


@pytest.mark.parametrize("kind", list(zip(VOCABS, ALL_STORAGES, strict=True)))
def test_verbs_answer_for_every_kind_of_embeddings(kind):
    emb = embeddings(*kind)
    known = emb.words[1:3] or ["teapot", "Pariser"]
    rows = [emb[word].astype(np.float64) for word in emb.words]
    a, b = (emb[word].astype(np.float64) for word in known)
    norm = np.linalg.norm
    expected = [x @ a / (norm(x) * norm(a)) if norm(x) > 0 else 0 for x in rows]
    np.testing.assert_allclose(1 - emb.distances(known[0]), expected, atol=1e-6)
    assert emb.similarity(*known) == pytest.approx(a @ b / (norm(a) * norm(b)), abs=1e-6)
    order = [emb.words[i] for i in np.argsort(-np.array(expected), kind="stable")]
    assert [word for word, _ in emb.most_similar(known[0], topn=3)] == order[1:4]
    if emb.words:
        place = order.index(known[1])
        assert emb.rank(*known) == place
        assert emb.closer_than(*known) == sorted(order[1:place], key=emb.words.index)


def test_words_that_share_a_row_keep_their_index():
    vocab = ffjax.SimpleVocab(["Paris", "Berlin", "Lutetia"], rows=[1, 0, 1])
    emb = ffjax.Embeddings(ffjax.NdArray(np.eye(2, 3, dtype=np.float32)), vocab)
    assert dict(emb.key_to_index) == {"Paris": 0, "Berlin": 1, "Lutetia": 2}
    assert emb.vectors.tolist() == [[0, 1, 0], [1, 0, 0], [0, 1, 0]]
    assert emb.distances("Paris").tolist() == [0, 1, 0]


@pytest.mark.parametrize("key", [0, None, 3.5, b"w1", b""])
def test_only_a_str_is_a_word(emb, key):
    """As in the `dict` of gensim."""
    assert key not in emb and key not in emb.key_to_index
    with pytest.raises(KeyError, match=re.escape(repr(key))):
        emb.key_to_index[key]


def test_finalfusions_methods_keep_the_dot_product_and_take_a_metric(emb, raw):
    by_cosine = [result.word for result in emb.word_similarity("w3", k=7)]
    assert [r.word for r in raw.word_similarity("w3", topn=7, metric="cosine")] == by_cosine
    assert [r.word for r in raw.word_similarity("w3", k=7)] != by_cosine
    vector = raw["w3"]
    best = raw.embedding_similarity(vector, topn=7, skip={"w3"}, metric="cosine")
    assert [result.word for result in best] == by_cosine
    assert len(raw.analogy("w1", "w2", "w3", topn=4, metric="cosine")) == 4


@pytest.mark.parametrize("kind", [SKIP_GRAM, SUPERVISED])
def test_neighbours_and_sentences_are_fasttexts(tmp_path, kind):
    labels = LABELS if kind == SUPERVISED else ()
    path = write(tmp_path, "model.bin", model(kind=kind, labels=labels))
    theirs, ours = quiet_fasttext().load_model(str(path)), ffjax.load_fasttext(path)
    for word in ("fox", "lazy", "quicker"):
        pairs = [(name, score) for score, name in ours.get_nearest_neighbors(word, 5)]
        agrees(pairs, [(name, score) for score, name in theirs.get_nearest_neighbors(word, k=5)])
    for text in ("", "the quicker fox", "\t "):
        expected = theirs.get_sentence_vector(text)
        np.testing.assert_allclose(ours.get_sentence_vector(text), expected, atol=1e-6)


def test_unknown_words_have_vectors_through_their_ngrams():
    emb = ffjax.demo()
    assert "neuropharmacology" not in emb
    assert emb.similarity("neuropharmacology", "immunology") > 0.5
    assert emb.rank("immunology", "neuropharmacology") > 1
    words = ["neuropharmacology", "immunology", "coffee"]
    assert emb.doesnt_match(words) == "coffee"
    assert emb.n_similarity(words[:1], words[1:2]) == pytest.approx(emb.similarity(*words[:2]))


@pytest.mark.usefixtures("as_users_see")
@pytest.mark.parametrize(
    "call",
    [
        lambda e: e["nope"],
        lambda e: e.similarity("w1", "nope"),
        lambda e: e.n_similarity(["w1"], ["w2", "nope"]),
        lambda e: e.distances("nope"),
        lambda e: e.distances("w1", ["nope"]),
        lambda e: e.rank("w1", "nope"),
        lambda e: e.closer_than("nope", "w1"),
        lambda e: e.doesnt_match(["w1", "nope"]),
        lambda e: e.most_similar("nope"),
        lambda e: e.most_similar("w1", "nope"),
        lambda e: e.get_nearest_neighbors("nope"),
    ],
)
def test_a_word_without_a_vector_is_a_key_error(emb, call):
    with pytest.raises(KeyError, match="'nope'.*200 words"):
        call(emb)


@pytest.mark.usefixtures("as_users_see")
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda e: e.most_similar(), ValueError, "`positive`: expected at least one word or vec"),
        (lambda e: e.most_similar(3), TypeError, "`positive`: expected words.*got int 3"),
        (lambda e: e.most_similar([3]), TypeError, "`negative`: expected a word or .*int 3"),
        (lambda e: e.most_similar(VECTOR[:3]), TypeError, "a word or a vector of 8 numbers"),
        (lambda e: e.most_similar([("w1", "w2")]), TypeError, "`positive`: expected pairs of a wo"),
        (lambda e: e.most_similar("w1", topn=-1), ValueError, "`topn`: expected 0 or more, got -1"),
        (lambda e: e.most_similar("w1", k=-1), ValueError, "`k`: expected 0 or more, got -1"),
        (lambda e: e.most_similar("w1", topn=None), TypeError, "`topn`: .*`emb.distances"),
        (lambda e: e.n_similarity("w1", ["w2"]), TypeError, "`words_a`: .*single word 'w1'"),
        (lambda e: e.distances("w1", "w2"), TypeError, "`other_words`: .*single word 'w2'"),
        (lambda e: e.most_similar("w1", metric="x"), ValueError, "`metric`: expected one of"),
        (lambda e: e.similarity("w1", 2), TypeError, "`a`, `b`: expected a word or .*int 2"),
        (lambda e: e.doesnt_match([]), ValueError, "`words`: expected at least one word, got none"),
        (lambda e: e.n_similarity([], ["w1"]), ValueError, "`words_a`: expected at least one word"),
        (lambda e: e.get_sentence_vector("a\nb"), ValueError, "`text`: expected one line, got"),
        (lambda e: e.get_sentence_vector(b"a"), TypeError, "`text`: expected a str of one line"),
        (lambda e: ffjax.from_vectors("ab", [[1.0]]), TypeError, "single word 'ab'"),
        (lambda e: ffjax.from_vectors(["a"], [["b"]]), TypeError, "`matrix`: expected numbers"),
        (lambda e: ffjax.from_vectors(["a"], [1.0]), ValueError, r"shape \[n_words, dims\]"),
        (lambda e: ffjax.from_vectors(["a"], np.eye(2)), ValueError, "expected 1 vector,.*got 2"),
        (lambda e: ffjax.from_vectors(["a"], [[1e40]]), ValueError, "got 1 vector with NaN"),
        (lambda e: e.most_similar(b"w1"), TypeError, "got bytes b'w1'. Decode it, as in"),
        (lambda e: e.doesnt_match([b"w1"]), TypeError, "got bytes b'w1' in it. Decode it"),
        (lambda e: ffjax.demo()[0], TypeError, r"`word`: expected a word \(str\), got int 0"),
        (lambda e: ffjax.demo().get(b"w"), TypeError, "`word`: .* got bytes b'w'. Decode it"),
        (lambda e: ffjax.from_vectors(["a", "a"], np.eye(2)), ValueError, "'a'"),
    ],
)
def test_errors_say_what_was_expected(emb, call, error, message):
    with pytest.raises(error, match=message):
        call(emb)


def test_an_error_inside_of_a_property_is_not_taken_for_a_missing_name(emb):
    flags = jax.tree.map(lambda _: True, emb)
    with pytest.raises(AttributeError, match="'bool' object has no attribute"):
        _ = flags.vectors


@pytest.mark.filterwarnings("error")
def test_infinite_vectors_have_no_cosines_and_no_warnings(emb):
    vector = np.full(emb.dims, np.inf)
    assert np.isnan(emb.distances(vector)).all() and np.isnan(emb.distances(vector, ["w1"])).all()
    emb.most_similar(vector)


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16", "int8"])
def test_from_vectors_takes_any_numbers_and_keeps_lengths(dtype):
    matrix = np.array([[3, 4], [0, 0], [-5, 12]]).astype(jax.numpy.dtype(dtype))
    emb = ffjax.from_vectors(["a", "b", "c"], matrix)
    np.testing.assert_array_equal(np.asarray(emb.norms), [5, 0, 13])
    np.testing.assert_allclose(emb.vectors, [[0.6, 0.8], [0, 0], [-5 / 13, 12 / 13]], rtol=1e-6)
    assert emb.storage.dtype == np.float32


def test_results_unpack_and_index_as_pairs(emb):
    best = emb.most_similar("w3", topn=2)
    assert dict(best) == {result.word: result.similarity for result in best}
    assert best[0][0] == best[0].word and best[0][1] == best[0].similarity


# What their classes have for building and evaluating models, or between versions of their own.
INTERNAL = """
    add_lifecycle_event adjust_vectors allocate_vecattrs clear expandos init_post_load
    mapfile_path next_index recalc_char_ngram_buckets set_args
""".split()


def test_every_name_of_the_peers_exists_or_has_a_hint(emb):
    models = pytest.importorskip("gensim.models")
    fasttext, vectors = quiet_fasttext(), pytest.importorskip("spacy.vectors")
    keyed = [models.KeyedVectors(2), models.fasttext.FastTextKeyedVectors]
    names = {name for peer in keyed for name in dir(peer)}
    names |= {*dir(fasttext.FastText._FastText), *dir(vectors.Vectors)}
    names = {name for name in names if name[0] != "_"} - set(INTERNAL)
    assert sorted(name for name in names - set(ATTRIBUTES) if not hasattr(emb, name)) == []


def test_names_elsewhere_say_what_to_use(emb):
    assert {"dim", "max_n", "min_n", "vectors_ngrams", "vectors_vocab"} <= set(ATTRIBUTES)
    tables = ((emb, "'Embeddings' object", ATTRIBUTES), (ffjax, "module 'ffjax'", MODULE_NAMES))
    for owner, title, names in tables:
        for name, instead in names.items():
            assert not hasattr(owner, name)
            use, _, owners = instead.partition(", of ")
            hint = f"For {owners}, use {use}." if owners else f"Use {use}."
            message = f"{title} has no attribute {name!r}. {hint}"
            with pytest.raises(AttributeError, match=f"^{re.escape(message)}$"):
                getattr(owner, name)
    with pytest.raises(AttributeError, match="For fastText models, use emb.training.counts.$"):
        _ = emb.get_vecattr
    with pytest.raises(AttributeError, match="no attribute 'nonsense'$"):
        _ = emb.nonsense
