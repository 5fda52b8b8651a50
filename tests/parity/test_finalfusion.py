"""Every public operation of finalfusion-python beside ours, on the same files."""

import numpy as np
import pytest

import ffjax

ff = pytest.importorskip("finalfusion")

WORDS = """Paris Berlin Zürich Straße 東京 крот नमस्ते שלום a tea teapot naïve 👍🏽""".split()
UNKNOWN = """x ab Berliner Teestraße 京都府 кроты ß नमस्तेजी e\u0301te\u0301 👩‍👩‍👧""".split()
UNKNOWN += ["", "a b", "Donaudampfschifffahrtsgesellschaftskapitän"]
QUERIES = [*WORDS, *UNKNOWN]
DIMS = 8
KINDS = ("simple", "buckets", "fasttext", "explicit", "quantized", "rotated", "quantized_buckets")


def peer_vocab(kind: str):
    """A vocabulary of the real package."""
    if kind in ("simple", "quantized", "rotated"):
        return ff.vocab.SimpleVocab(list(WORDS))
    if kind in ("buckets", "quantized_buckets"):
        return ff.vocab.FinalfusionBucketVocab(
            list(WORDS), ff.subword.FinalfusionHashIndexer(6, 3, 6)
        )
    if kind == "fasttext":
        return ff.vocab.FastTextVocab(list(WORDS), ff.subword.FastTextIndexer(61, 2, 5))
    return peer_vocab("buckets").to_explicit()


def peer_storage(kind: str, rows: int):
    """A storage of the real package, with rows of length one."""
    rng = np.random.default_rng(7)
    if kind.startswith(("quantized", "rotated")):
        books = rng.standard_normal((4, 16, 2)).astype(np.float32)
        rotation = None
        if kind == "rotated":
            rotation = np.linalg.qr(rng.standard_normal((DIMS, DIMS)))[0].astype(np.float32)
        codes = rng.integers(0, 16, (rows, 4)).astype(np.uint8)
        return ff.storage.QuantizedArray(ff.storage.quantized.PQ(books, rotation), codes, None)
    matrix = rng.standard_normal((rows, DIMS)).astype(np.float32)
    return ff.storage.NdArray(matrix / np.linalg.norm(matrix, axis=1, keepdims=True))


@pytest.fixture(
    scope="module", params=[(kind, mmap) for kind in KINDS for mmap in (False, True)], ids=str
)
def both(request, tmp_path_factory):
    """The same file, opened by the peer and by us."""
    kind, mmap = request.param
    vocab = peer_vocab(kind)
    norms = np.random.default_rng(1).uniform(0.5, 3, len(vocab)).astype(np.float32)
    theirs = ff.Embeddings(
        peer_storage(kind, vocab.upper_bound),
        vocab,
        ff.norms.Norms(norms),
        ff.metadata.Metadata({"kind": kind, "n": 1}),
    )
    path = tmp_path_factory.mktemp(kind) / "x.fifu"
    theirs.write(str(path))
    return ff.load_finalfusion(str(path), mmap), ffjax.load_finalfusion(path, mmap)


def close(ours, theirs, message="") -> None:
    """Both absent, or the same numbers."""
    assert (ours is None) == (theirs is None), message
    if ours is not None:
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6, err_msg=message)


def same_results(ours, theirs) -> None:
    """The same words in the same order with the same similarities; ties of rounding may swap."""
    assert (ours is None) == (theirs is None)
    if ours is None:
        return
    assert len(ours) == len(theirs)
    scores, their_scores = ([r.similarity for r in results] for results in (ours, theirs))
    np.testing.assert_allclose(scores, their_scores, rtol=1e-5, atol=1e-6)
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        if a.word != b.word:
            near = [r.similarity for r in theirs if r.word == a.word] or [theirs[-1].similarity]
            assert abs(near[0] - ours[i].similarity) < 1e-6


def searchable(theirs):
    """The peer's embeddings with a dense storage: its QuantizedArray cannot be searched."""
    if isinstance(theirs.storage, ff.storage.NdArray):
        return theirs
    return ff.Embeddings(ff.storage.NdArray(np.asarray(theirs.storage)), theirs.vocab, theirs.norms)


def test_embedding(both):
    theirs, ours = both
    default = np.full(DIMS, 7, np.float32)
    for word in QUERIES:
        close(ours.embedding(word), theirs.embedding(word), word)
        expected = theirs.embedding(word, default=default)
        close(ours.embedding(word, default=default), expected, word)
        out, their_out = np.zeros(DIMS, np.float32), np.zeros(DIMS, np.float32)
        vector = ours.embedding(word, out=out, default=default)
        theirs.embedding(word, out=their_out, default=default)
        assert vector is out
        close(out, their_out, word)
        out = np.full(DIMS, 3, np.float32)
        if ours.embedding(word, out=out) is None:
            assert (out == 3).all()


def test_getitem(both):
    theirs, ours = both
    for word in QUERIES:
        try:
            expected = theirs[word]
        except KeyError:
            with pytest.raises(KeyError, match="not one of the 13 words"):
                ours[word]
        else:
            close(ours[word], expected, word)


def test_embedding_with_norm(both):
    theirs, ours = both
    default = (np.ones(DIMS, np.float32), 2.0)
    for word in QUERIES:
        expected, answer = theirs.embedding_with_norm(word), ours.embedding_with_norm(word)
        assert (expected is None) == (answer is None)
        if answer is not None:
            close(answer[0], expected[0], word)
            close(answer[1], expected[1], word)
        norm = ours.embedding_with_norm(word, default=default)[1]
        their_norm = theirs.embedding_with_norm(word, default=default)[1]
        assert norm == pytest.approx(their_norm, rel=1e-5)


def test_embedding_with_norm_without_norms(both):
    theirs, ours = both
    bare = ff.Embeddings(theirs.storage, theirs.vocab)
    with pytest.raises(TypeError, match="don't contain norms"):
        bare.embedding_with_norm("Paris")
    with pytest.raises(TypeError, match="don't contain norms.*replace"):
        ours.replace(norms=None).embedding_with_norm("Paris")


def test_word_similarity(both):
    """The peer cannot answer an unknown word with all 12 other words."""
    theirs, ours = searchable(both[0]), both[1]
    for word in QUERIES:
        k = 12 if word in WORDS else 4
        same_results(ours.word_similarity(word, k), theirs.word_similarity(word, k))


def test_fewer_neighbours_are_a_prefix(both):
    _, ours = both
    for k in (1, 4):
        same_results(ours.word_similarity("Paris", k), ours.word_similarity("Paris", 12)[:k])


def test_embedding_similarity(both):
    theirs, ours = searchable(both[0]), both[1]
    query = np.random.default_rng(3).standard_normal(DIMS).astype(np.float32)
    for skip in (None, set(), {"Paris"}, {"Paris", "Berlin", "nobody"}):
        expected = theirs.embedding_similarity(query, 4, skip)
        same_results(ours.embedding_similarity(query, 4, skip), expected)
        same_results(ours.embedding_similarity(query, skip=skip, k=4), expected)


@pytest.mark.parametrize(
    "words", [("Paris", "Berlin", "tea"), ("Zürich", "東京", "Berliner"), ("", "tea", "a")]
)
def test_analogy(both, words):
    theirs, ours = searchable(both[0]), both[1]
    for skip in (None, set(), {"Paris"}, {"tea", "a", "nobody"}):
        expected = theirs.analogy(*words, k=4, skip=skip)
        same_results(ours.analogy(*words, k=4, skip=skip), expected)
    same_results(ours.analogy(*words), theirs.analogy(*words))


def test_results(both):
    _, ours = both
    best, second = ours.word_similarity("Paris", k=2)
    assert best > second and best.similarity > second.similarity
    assert best == ffjax.SimilarityResult("another word", best.similarity)


def test_vocabulary(both):
    theirs, ours = both[0].vocab, both[1].vocab
    assert type(ours).__name__ == type(theirs).__name__
    assert ours.words == theirs.words and list(ours) == list(theirs)
    assert dict(ours.word_index) == theirs.word_index
    assert (len(ours), ours.upper_bound) == (len(theirs), theirs.upper_bound)
    for word in QUERIES:
        assert ours.idx(word) == theirs.idx(word)
        assert ours.idx(word, default=-1) == theirs.idx(word, default=-1)
        assert (word in ours) == (word in theirs)
        if theirs.idx(word) is not None:
            assert ours[word] == theirs[word]
        else:
            with pytest.raises(KeyError, match="not one of the"):
                ours[word]
    for many in (["Paris"], ["Paris", "nobody"], [], 3):
        assert (many in ours) == (many in theirs)


@pytest.mark.usefixtures("as_users_see")
def test_subwords(both):
    theirs, ours = both[0].vocab, both[1].vocab
    if not hasattr(theirs, "subwords"):
        assert not hasattr(ours, "subwords")
        return
    assert (ours.min_n, ours.max_n) == (theirs.min_n, theirs.max_n)
    for word in QUERIES:
        for bracket in (True, False):
            assert ours.subwords(word, bracket) == theirs.subwords(word, bracket)
            for with_ngrams in (True, False):
                expected = theirs.subword_indices(word, bracket=bracket, with_ngrams=with_ngrams)
                assert (
                    ours.subword_indices(word, bracket=bracket, with_ngrams=with_ngrams) == expected
                )
    for call in (ours.subwords, ours.subword_indices):
        with pytest.raises(TypeError, match=r"expected a word \(str\)"):
            call(None)


def test_indexers(both):
    theirs, ours = both[0].vocab, both[1].vocab
    if not hasattr(theirs, "subword_indexer"):
        return
    theirs, ours = theirs.subword_indexer, ours.subword_indexer
    for name in ("upper_bound", "min_n", "max_n", "n_buckets", "buckets_exp", "ngrams"):
        if hasattr(theirs, name):
            assert getattr(ours, name) == getattr(theirs, name)
    for ngram in ("<te", "tea", "ea>", "東京>", "nothing", "👍"):
        assert ours(ngram) == theirs(ngram)
    for word in QUERIES:
        for offset in (0, 13):
            assert ours.subword_indices(word, offset) == theirs.subword_indices(word, offset)
    if hasattr(theirs, "ngram_index"):
        assert dict(ours.ngram_index) == theirs.ngram_index
        assert len(ours) == len(theirs) and list(ours) == list(theirs)
        assert ours[theirs.ngrams[3]] == theirs[theirs.ngrams[3]]
        assert theirs.ngrams[:3] in ours and ["nothing"] not in ours and "nothing" not in ours
        with pytest.raises(KeyError, match="nothing"):
            ours["nothing"]


def test_to_explicit(both):
    theirs, ours = both[0].vocab, both[1].vocab
    if not hasattr(theirs, "to_explicit"):
        assert not hasattr(ours, "to_explicit")
        return
    theirs, ours = theirs.to_explicit(), ours.to_explicit()
    assert ours.words == theirs.words
    assert ours.subword_indexer.ngrams == theirs.subword_indexer.ngrams
    assert dict(ours.subword_indexer.ngram_index) == theirs.subword_indexer.ngram_index
    assert ours.upper_bound == theirs.upper_bound


def test_bucket_to_explicit(both):
    theirs, ours = both
    if not hasattr(theirs.vocab, "to_explicit"):
        with pytest.raises(
            TypeError,
            match="`embeddings`: expected hashed n-grams .finalfusion's or fastText's., got",
        ):
            ours.bucket_to_explicit()
        return
    theirs, ours = searchable(theirs).bucket_to_explicit(), ours.bucket_to_explicit()
    assert ours.metadata is None and theirs.metadata is None
    close(np.asarray(ours.storage), np.asarray(theirs.storage))
    close(np.asarray(ours.norms), np.asarray(theirs.norms))
    for word in QUERIES:
        close(ours.embedding(word), theirs.embedding(word))


def test_storage_norms_metadata_and_order(both):
    theirs, ours = both
    assert ours.storage.shape == theirs.storage.shape
    close(np.asarray(ours.storage), np.asarray(theirs.storage))
    close(np.asarray(ours.storage[2:5]), np.asarray(theirs.storage[2:5]))
    close(ours.storage[[1, 1, 3]], theirs.storage[[1, 1, 3]])
    close(np.asarray(ours.norms), np.asarray(theirs.norms))
    close(ours.norms[2], theirs.norms[2])
    assert dict(ours.metadata) == dict(theirs.metadata)
    if hasattr(theirs.storage, "quantized_len"):
        assert ours.storage.quantized_len == theirs.storage.quantized_len
        for name in ("n_centroids", "reconstructed_len"):
            assert getattr(ours.storage.quantizer, name) == getattr(theirs.storage.quantizer, name)
    names = [chunk.chunk_identifier().name for chunk in theirs.chunks()]
    assert [type(chunk).__name__ for chunk in ours.chunks()] == [
        type(chunk).__name__ for chunk in theirs.chunks()
    ]
    assert len(names) == 4


def test_iteration_and_membership(both):
    theirs, ours = both
    for (word, vector, norm), (peer_word, peer_vector, peer_norm) in zip(
        ours, theirs, strict=False
    ):
        assert word == peer_word and norm == peer_norm
        close(vector, peer_vector)
    bare = ours.replace(norms=None)
    assert all(len(item) == 2 for item in bare)
    for word in QUERIES:
        assert (word in ours) == (word in theirs)


def test_batches_equal_single_words(both):
    _, ours = both
    vectors, found = ours.embedding_batch(QUERIES)
    for word, vector, has_vector in zip(QUERIES, vectors, found, strict=True):
        expected = ours.embedding(word, default=np.zeros(DIMS, np.float32))
        assert has_vector == (ours.embedding(word) is not None)
        close(vector, expected, word)


def test_each_opens_what_the_other_writes(both, tmp_path):
    theirs, ours = both
    theirs.write(str(tmp_path / "peer.fifu"))
    ours.write(tmp_path / "ours.fifu")
    assert ffjax.load_finalfusion(tmp_path / "peer.fifu") == ours
    again = ff.load_finalfusion(str(tmp_path / "ours.fifu"))
    assert again.vocab == theirs.vocab and dict(again.metadata) == dict(theirs.metadata)
    close(np.asarray(again.storage), np.asarray(theirs.storage))
    close(np.asarray(again.norms), np.asarray(theirs.norms))


def test_rewriting_gives_the_same_bytes(both, tmp_path):
    theirs, ours = both
    theirs.write(str(tmp_path / "peer.fifu"))
    ours.write(tmp_path / "ours.fifu")
    # Explicit n-grams too: the peer's chunk length omits their rows, and ours keeps what it read.
    assert (tmp_path / "ours.fifu").read_bytes() == (tmp_path / "peer.fifu").read_bytes()
