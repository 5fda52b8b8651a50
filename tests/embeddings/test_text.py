"""Text to vectors: splitting, pooling, and both together, beside definitions in NumPy, fastText and gensim."""

import re
import subprocess
import sys
from functools import partial
from itertools import islice
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ffjax
from ffjax.embeddings import text as text_module
from ffjax.kernels.tokenize import tokenize
from tests.builders import embeddings
from tests.formats.fasttext.files import SUPERVISED, model, quiet_fasttext, trained, write

SPACES = rb"[ \t\n\r\v\f\0]+"
PIECES = [b"tea", b"Paris", b"\xe6\x9d\xb1", b"x" * 70, b" ", b"\t", b"\n", b"\r", b"\v\f", b"\0"]
texts = st.lists(st.sampled_from(PIECES))


def lines_of(text):
    lines = text.split(b"\n")
    lines = lines if lines[-1] else lines[:-1]
    return [[word for word in re.split(SPACES, line) if word] for line in lines]


_tokenize = jax.jit(tokenize, static_argnums=1)


@given(texts)
def test_split_is_that_of_a_regular_expression(parts):
    text = b"".join(parts)
    padded = np.full(1024, ord("z"), np.uint8)
    padded[: len(text)] = np.frombuffer(text, np.uint8)
    if len(text) > 1024:
        return
    words = _tokenize(padded, 512, np.int32(len(text)))
    expected = [(i, word) for i, line in enumerate(lines_of(text)) for word in line]
    n = int(words.n_words)
    found = [text[s : s + k] for s, k in zip(words.starts[:n].tolist(), words.lengths[:n].tolist(), strict=True)]
    assert list(zip(words.lines[:n].tolist(), found, strict=True)) == expected
    assert int(words.n_lines) == len(lines_of(text))
    assert (words.lengths[n:] == -1).all() and (words.lines[n:] == int(words.n_lines)).all()


def test_split_says_how_many_words_there_are_where_slots_are_too_few():
    words = tokenize(jnp.frombuffer(b"a b c d", jnp.uint8), 2)
    assert int(words.n_words) == 4 and words.starts.tolist() == [0, 2]
    assert tokenize(jnp.zeros(0, jnp.uint8), 0).starts.shape == (0,)


def pooled(vectors, lines, n_lines, pooling, weights, found):
    """The definition."""
    out, counts = np.zeros((n_lines, vectors.shape[1])), np.zeros(n_lines, int)
    for line in range(n_lines):
        own = [i for i in range(len(lines)) if lines[i] == line and found[i]]
        if pooling == "fasttext":
            own = [i for i in own if vectors[i].any()]
        counts[line] = len(own)
        if not own:
            continue
        some, factors = vectors[own].astype(float), np.ones(len(own)) if weights is None else weights[own].astype(float)
        if pooling == "fasttext":
            some /= np.linalg.norm(some, axis=1, keepdims=True)
        if pooling == "max":
            out[line] = some.max(0)
        else:
            out[line] = (some * factors[:, None]).sum(0)
            if pooling != "sum" and np.abs(factors).sum():
                out[line] /= np.abs(factors).sum()
    return out, counts


@pytest.mark.parametrize("pooling", ["mean", "sum", "max", "fasttext"])
@pytest.mark.parametrize("weighted", [False, True])
def test_pool_is_its_definition(pooling, weighted):
    if weighted and pooling == "max":
        pytest.skip("refused")
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((40, 5)).astype(np.float32)
    vectors[[3, 20]] = 0
    lines = np.sort(rng.integers(-1, 14, 40)).astype(np.int32)
    weights = rng.uniform(-1, 2, 40).astype(np.float32) if weighted else None
    found = rng.random(40) > 0.2
    expected, counts = pooled(vectors, lines, 12, pooling, weights, found)
    for call in (ffjax.pool, jax.jit(ffjax.pool, static_argnames=("n_lines", "pooling"))):
        ours, n = call(vectors, lines, n_lines=12, pooling=pooling, weights=weights, found=found)
        np.testing.assert_allclose(ours, expected, atol=1e-5)
        assert n.tolist() == counts.tolist()
    several = jax.vmap(lambda v: ffjax.pool(v, lines, 12, pooling=pooling, weights=weights, found=found)[0])(
        jnp.stack([vectors, 2 * vectors])
    )
    np.testing.assert_allclose(several[0], expected, atol=1e-5)


def test_pool_has_gradients_and_takes_nothing():
    vectors, lines = jnp.ones((3, 2)), jnp.array([0, 0, 2])
    gradient = jax.grad(lambda v: ffjax.pool(v, lines, 3)[0].sum())(vectors)
    np.testing.assert_allclose(gradient, [[0.5, 0.5], [0.5, 0.5], [1, 1]])
    zeros, counts = ffjax.pool(jnp.zeros((0, 2)), jnp.zeros(0, jnp.int32), 2)
    assert zeros.tolist() == [[0, 0], [0, 0]] and counts.tolist() == [0, 0]


TEXT = "Paris  Berlin\tteapot\n\nnobody here\nZürich\n東京 Straße Pariser LONG\r\n  \nParis".encode()
TEXT = TEXT.replace(b"LONG", b"x" * 300)


def by_hand(emb, text, pooling, unnormalize=False, weights=None):
    """Vectors and counts of a text, word by word through the methods with strings."""
    words = [(i, w.decode()) for i, line in enumerate(lines_of(text)) for w in line]
    vectors, found = ffjax.embed(emb, ffjax.pack([w for _, w in words]), unnormalize=unnormalize)
    factors = None
    if weights is not None:
        rows = [emb.vocab.host_index.get(word) for _, word in words]
        factors = np.array([1 if row is None else weights[row] for row in rows])
    n = len(words)
    return pooled(np.asarray(vectors)[:n], [i for i, _ in words], len(lines_of(text)), pooling, factors, found[:n])


@pytest.mark.parametrize("kind", [("simple", "dense"), ("buckets", "dense"), ("buckets", "pq_norms")])
@pytest.mark.parametrize("pooling", ["mean", "sum", "max", "fasttext"])
def test_embed_text_is_embed_and_pool(kind, pooling, monkeypatch):
    emb = embeddings(*kind)
    for unnormalize in (False, True):
        expected, n = by_hand(emb, TEXT, pooling, unnormalize)
        vectors, counts = ffjax.embed_text(emb, TEXT, pooling=pooling, unnormalize=unnormalize)
        np.testing.assert_allclose(vectors, expected, atol=2e-5)
        assert counts.tolist() == n.tolist() and vectors.dtype == np.float32
    # in pieces of a few lines
    monkeypatch.setattr(text_module, "_BLOCK_BYTES", 8)
    monkeypatch.setattr(text_module, "_BATCH_BYTES", 40)
    many, counts = ffjax.embed_text(emb, np.frombuffer(TEXT, np.uint8), pooling=pooling, unnormalize=True)
    np.testing.assert_allclose(many, expected, atol=2e-5)
    assert counts.tolist() == n.tolist()


def test_weights_by_word_make_inverse_frequency_a_line():
    emb = embeddings("buckets")
    p = np.linspace(0.3, 0.01, len(emb.vocab))
    weights = 1e-3 / (1e-3 + p)
    for pooling in ("mean", "sum"):
        expected, _ = by_hand(emb, TEXT, pooling, weights=weights)
        for given_weights in (weights, np.append(weights, 1)):
            vectors, _ = ffjax.embed_text(emb, TEXT, pooling=pooling, weights=given_weights)
            np.testing.assert_allclose(vectors, expected, atol=3e-6)
    none, counts = ffjax.embed_text(emb, b"Pariser\n", weights=np.append(weights, 0))
    assert not none.any() and counts.tolist() == [1]


def test_text_in_compiled_code():
    emb, text = embeddings("buckets"), TEXT.replace(b"x" * 300, b"xylophone")

    @jax.jit
    def run(emb, text):
        return ffjax.embed_text(emb, text, n_words=16, n_lines=9)

    vectors, counts = run(emb, jnp.frombuffer(text, jnp.uint8))
    expected, n = ffjax.embed_text(emb, text)
    np.testing.assert_allclose(vectors[: len(n)], expected, atol=1e-6)
    assert counts.tolist() == [*n.tolist(), 0, 0]

    def loss(matrix):
        changed = emb.replace(storage=ffjax.NdArray(matrix))
        return ffjax.embed_text(changed, jnp.frombuffer(b"Paris", jnp.uint8), n_words=1, n_lines=1)[0].sum()

    gradient = np.asarray(jax.grad(loss)(emb.storage.matrix))
    assert gradient[0].tolist() == [1] * 6 and not gradient[1:].any()


def test_no_text_and_empty_lines():
    emb = embeddings()
    for text, n in ((b"", 0), (b"\n", 1), (b" \n\n", 2), (b"nobody", 1)):
        vectors, counts = ffjax.embed_text(emb, text)
        assert vectors.shape == (n, 6) and not vectors.any() and counts.tolist() == [0] * n


@pytest.fixture(scope="module")
def corpus(real_file):
    """Lines of the real corpus."""
    with open(real_file("corpus.txt"), "rb") as file:
        return list(islice(file, 4000))


TRAIN = """
import sys, fasttext, numpy as np
path, settings = sys.argv[1], eval(sys.argv[2])
model = fasttext.train_supervised(path + ".txt", dim=8, epoch=1, thread=1, verbose=0, **settings)
assert np.abs(model.get_input_matrix()).max() < 10
model.save_model(path)
"""


def classifier(path, text, **settings):
    """A classifier trained by fastText, in a process of its own: it starts from memory that it does not clear."""
    fasttext = quiet_fasttext()
    path.with_name(path.name + ".txt").write_bytes(text)
    for _ in range(15):
        if not subprocess.run([sys.executable, "-c", TRAIN, path, repr(settings)], capture_output=True).returncode:
            return fasttext.load_model(str(path))
    pytest.skip("fastText trained NaN 15 times: a fault of the peer")


@pytest.mark.parametrize("mmap", [False, True])
def test_sentence_vectors_are_those_of_fasttext_and_gensim(corpus, tmp_path, mmap):
    (tmp_path / "corpus.txt").write_bytes(b"".join(corpus[:2000]))
    trained(tmp_path / "words.bin", tmp_path / "corpus.txt", minCount=2, bucket=5000)
    model = quiet_fasttext().load_model(str(tmp_path / "words.bin"))
    emb = ffjax.load_fasttext(tmp_path / "words.bin", mmap=mmap)
    lines = [*corpus[:400], *corpus[3000:], b"\n", ("https://a.b/" + "longer" * 40 + " tea\n").encode()]
    vectors, counts = ffjax.embed_text(emb, b"".join(lines), pooling="fasttext")
    texts = [line.decode().removesuffix("\n") for line in lines]
    theirs = np.stack([model.get_sentence_vector(text) for text in texts])
    np.testing.assert_allclose(vectors, theirs, atol=1e-5)
    gensim = pytest.importorskip("gensim.models.fasttext")
    keyed = gensim.load_facebook_vectors(str(tmp_path / "words.bin"))
    compared = 0
    for i, text in enumerate(texts):
        if not text.split():
            assert not vectors[i].any() and counts[i] == 0
            continue
        with np.errstate(invalid="ignore"):  # gensim divides by the length of a word without n-grams, which is 0
            expected = keyed.get_sentence_vector(text.split())
        if np.isfinite(expected).all():
            np.testing.assert_allclose(vectors[i], expected, atol=1e-5)
            compared += 1
    assert compared > 0.9 * len(texts)


@pytest.mark.parametrize("maxn", [0, 4])
def test_sentence_vectors_of_supervised_models_are_those_of_fasttext(corpus, tmp_path, maxn):
    # Few words: the less memory fastText takes uncleared, the more often it trains numbers.
    text = b"__label__a tea cup of the best\n__label__b coffee pot with milk\n" * 100
    grams = {"minn": 2 if maxn else 0, "maxn": maxn, "bucket": 3000 if maxn else 0}
    model = classifier(tmp_path / "classes.bin", text, **grams)
    emb = ffjax.load_fasttext(tmp_path / "classes.bin")
    some = [*corpus[:50], b"tea with coffee strangers\n", b"\n", b"__label__a tea __label__none\n"]
    vectors, _ = ffjax.embed_text(emb, b"".join(some), pooling="fasttext")
    theirs = np.stack([model.get_sentence_vector(line.decode().removesuffix("\n")) for line in some])
    np.testing.assert_allclose(vectors, theirs, atol=1e-5)


NO_GRAMS: dict[str, Any] = {"min_n": 0, "max_n": 0, "buckets": 0}
ODD_LINES = [
    "tea </s> cup",
    "</s> tea",
    "tea </s> cup </s> tea",
    "cup",
    "tea __class__a cup",
    "tea __class__none __label__none",
    "tea __label__w strangers",
    "</s>",
    "tea\0cup",
    "</s>x x</s> tea",
    "",
]


@pytest.mark.parametrize("words", ["</s> tea cup __label__w", "tea cup __label__w"])
@pytest.mark.parametrize("grams", [NO_GRAMS, {"min_n": 2, "max_n": 4}])
def test_lines_of_supervised_models_end_and_leave_out_labels_as_those_of_fasttext(words, grams, tmp_path, monkeypatch):
    # Labels that do not begin as usual: the file does not say how.
    data = model(words.split(), labels=["__class__a", "__class__b"], kind=SUPERVISED, loss=3, **grams)
    peer = quiet_fasttext().load_model(str(write(tmp_path, "classes.bin", data)))
    emb = ffjax.load_fasttext(tmp_path / "classes.bin")
    theirs = np.stack([peer.get_sentence_vector(line) for line in ODD_LINES])
    text = "\n".join([*ODD_LINES, ""]).encode()
    vectors, counts = ffjax.embed_text(emb, text, pooling="fasttext")
    np.testing.assert_allclose(vectors, theirs, atol=1e-5)
    assert counts[:4].tolist() == [1, 0, 1, 1] and counts[7] == 0
    monkeypatch.setattr(text_module, "_BLOCK_BYTES", 8)
    monkeypatch.setattr(text_module, "_BATCH_BYTES", 40)
    np.testing.assert_allclose(ffjax.embed_text(emb, text, pooling="fasttext")[0], theirs, atol=1e-5)
    # other poolings know no such ends
    assert ffjax.embed_text(emb, b"tea </s> cup")[1].tolist() == [2 + words.startswith("</s>")]


@pytest.mark.parametrize("word_ngrams", [1, 2])
def test_supervised_models_are_refused_in_compiled_code(word_ngrams, tmp_path):
    data = model(labels=["__label__a"], kind=SUPERVISED, loss=3, word_ngrams=word_ngrams, **NO_GRAMS)
    emb = ffjax.load_fasttext(write(tmp_path, "classes.bin", data))
    text = jnp.frombuffer(b"the fox", jnp.uint8)
    call = partial(ffjax.embed_text, pooling="fasttext", n_words=2, n_lines=1)
    for run in (call, jax.jit(call)):
        with pytest.raises(ValueError, match="`pooling`: .*supervised model in compiled code.*outside of `jit`"):
            run(emb, text)
    vectors, _ = ffjax.embed_text(emb, text, n_words=2, n_lines=1)
    np.testing.assert_allclose(vectors, ffjax.embed_text(emb, b"the fox")[0], atol=1e-6)


def test_unsupervised_models_of_fasttext_divide_no_words_at_nuls_where_text_does(tmp_path):
    path = write(tmp_path, "words.bin", model(["</s>", "tea", "cup"]))
    peer, emb = quiet_fasttext().load_model(str(path)), ffjax.load_fasttext(path)
    vectors, counts = ffjax.embed_text(emb, b"tea\0cup\ntea cup\ntea </s> cup\n", pooling="fasttext")
    assert counts.tolist() == [2, 2, 3]
    theirs = np.stack([peer.get_sentence_vector(line) for line in ("tea cup", "tea cup", "tea </s> cup")])
    np.testing.assert_allclose(vectors, theirs, atol=1e-5)
    assert np.abs(peer.get_sentence_vector("tea\0cup") - theirs[0]).max() > 0.01


def test_classifiers_with_ngrams_of_words_are_refused(corpus, tmp_path):
    text = b"".join(b"__label__a " + line for line in corpus[:200])
    classifier(tmp_path / "pairs.bin", text, wordNgrams=2, bucket=100)
    with pytest.raises(ValueError, match='`pooling`: .*without n-grams of words for "fasttext", got .* 2 words'):
        ffjax.embed_text(ffjax.load_fasttext(tmp_path / "pairs.bin"), b"tea", pooling="fasttext")


@pytest.mark.usefixtures("as_users_see")
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda e: ffjax.embed_text(e, "tea"), TypeError, "`text`: expected bytes or .* uint8, got str. Encode"),
        (lambda e: ffjax.embed_text(e, np.zeros(3)), TypeError, "`text`: .*got 1 dimensions of float64"),
        (lambda e: ffjax.embed_text(e, b"", pooling="median"), ValueError, "`pooling`: expected one of mean, sum, max"),
        (lambda e: ffjax.embed_text(e, b"", weights=[1.0]), ValueError, r"`weights`: expected 10, .*got shape \(1,\)"),
        (lambda e: ffjax.embed_text(e, b"", weights=[1.0], pooling="max"), ValueError, "`weights`: expected None"),
        (lambda e: ffjax.embed_text(e, b"", weights=[1.0], pooling="fasttext"), ValueError, "`weights`: expected None"),
        (
            lambda e: ffjax.embed_text(
                e, jnp.zeros(3, jnp.uint8), weights=np.ones(10), pooling="fasttext", n_words=1, n_lines=1
            ),
            ValueError,
            "`weights`: expected None",
        ),
        (lambda e: jax.jit(ffjax.embed_text)(e, jnp.zeros(3, jnp.uint8)), ValueError, "`n_words`, `n_lines`: expected"),
        (lambda e: ffjax.pool(jnp.ones((1, 2)), jnp.zeros(1, int), 1, pooling="x"), ValueError, "`pooling`: expected"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(embeddings())


def test_a_weight_that_is_nan_makes_its_line_nan_and_no_other():
    emb = ffjax.demo()
    weights = np.ones(len(emb.vocab), np.float32)
    weights[emb.vocab["tea"]] = np.nan
    text = b"berlin tea\nparis\n"

    def inside(emb, text, weights):
        return ffjax.embed_text(emb, text, weights=weights, n_words=4, n_lines=2)

    for vectors, counts in (
        ffjax.embed_text(emb, text, weights=weights),
        jax.jit(inside)(emb, np.frombuffer(text, np.uint8), weights),
    ):
        assert np.isnan(vectors).all(1).tolist() == [True, False] and counts.tolist() == [2, 1]


@pytest.mark.parametrize("pooling", ["mean", "sum", "max", "fasttext"])
def test_words_that_do_not_count_may_be_nan(pooling):
    vectors = np.array([[1, 0], [np.nan, np.nan], [3, 4]], np.float32)
    found = np.array([True, False, True])
    lines = np.zeros(3, np.int32)
    with_nan, count = ffjax.pool(vectors, lines, 1, pooling=pooling, found=found)
    without, _ = ffjax.pool(vectors[found], lines[found], 1, pooling=pooling)
    np.testing.assert_array_equal(with_nan, without)
    assert count.tolist() == [2]
