"""Words and texts in NumPy and in compiled code have the same vectors, and compile little."""

import gc
import resource

import numpy as np
import pytest

import ffjax
from ffjax.embeddings.batch_lookup import embed_words
from tests.builders import VOCABS, WORDS, embeddings
from tests.storage.test_contract import composed

UNKNOWN = ["Pariser", "Straßen", "x", "", "東京都", "テキスト", "</s>", "y" * 30, "Zürich" * 20]
UNKNOWN += ["z" * 1500]
MIXED = [*WORDS, *UNKNOWN, "Paris", b"caf\xe9", b"Berlin"]
TEXT = "Paris Pariser\n\n東京 Zürich\x0bx\tStraßen </s> a\n \nBerlin".encode()
TEXT += b" \xff" + b"z" * 1500


def composed_embeddings() -> ffjax.Embeddings:
    storage = composed()
    return ffjax.Embeddings(storage, ffjax.FastTextVocab(storage.table, storage.indexer))


KINDS = {
    **{kind: lambda kind=kind: embeddings(kind) for kind in VOCABS},
    **{kind: lambda kind=kind: embeddings("buckets", kind) for kind in ("opq", "pq_norms", "int8")},
    "composed": composed_embeddings,
}


@pytest.mark.parametrize(
    ("kind", "unnormalize"),
    [*((kind, False) for kind in KINDS), ("buckets", True), ("opq", True), ("composed", True)],
)
def test_words_have_the_same_vectors(kind, unnormalize, in_both):
    emb = KINDS[kind]()
    host, device = in_both(lambda: embed_words(emb, MIXED, unnormalize=unnormalize))
    np.testing.assert_array_equal(host[1], device[1])
    np.testing.assert_allclose(host[0], device[0], rtol=1e-6, atol=2e-6)
    assert host[0].dtype == device[0].dtype
    assert host[1][: len(WORDS)].all()


@pytest.mark.parametrize("kind", ["simple", "buckets", "opq", "composed"])
def test_texts_have_the_same_vectors(kind, in_both):
    emb = KINDS[kind]()
    for pooling in ("mean", "max", "fasttext"):
        host, device = in_both(lambda: ffjax.embed_text(emb, TEXT, pooling=pooling))  # noqa: B023
        np.testing.assert_array_equal(host[1], device[1])
        np.testing.assert_allclose(host[0], device[0], rtol=1e-6, atol=3e-6)


@pytest.mark.parametrize("kind", ["simple", "opq"])
def test_distances_to_all_words_are_the_same(kind, in_both):
    emb = KINDS[kind]()
    host, device = in_both(lambda: emb.distances("Paris"))
    np.testing.assert_allclose(host, device, atol=2e-6)
    assert emb.words[int(host.argmin())] == "Paris"


def test_an_unknown_choice_is_an_error(monkeypatch):
    monkeypatch.setenv("FFJAX_COMPILE", "nevr")
    with pytest.raises(ValueError, match="FFJAX_COMPILE: expected always or never, got 'nevr'"):
        embeddings("simple").most_similar("Paris")


def test_words_of_every_form_are_looked_up_in_numpy(monkeypatch):
    import pyarrow as pa

    monkeypatch.setenv("FFJAX_COMPILE", "never")
    emb = embeddings("buckets")
    words = ["Paris", "Pariser", "", "Straße"]
    expected = [emb.embedding(word, default=np.zeros(6)) for word in words]
    forms = (words, tuple(words), np.array(words), np.array(words, object), pa.array(words))
    for form in (*forms, pa.chunked_array([words[:1], words[1:]]), map(str, words)):
        vectors, found = emb.embedding_batch(form)
        np.testing.assert_allclose(vectors, expected, atol=1e-6)
        assert found.tolist() == [emb.embedding(word) is not None for word in words]
    vectors, found = emb.embedding_batch(pa.array(["Paris", None]))
    assert found.tolist() == [True, False] and not vectors[1].any()
    assert emb.embedding_batch([])[0].shape == (0, 6)


def test_little_work_compiles_nothing(programs):
    emb = embeddings("buckets", words=[f"word{i}" for i in range(50)])
    programs.clear()
    emb.word_similarity("word3", k=7), emb.word_similarity("unknown")
    emb.analogy("word1", "word2", "word3"), emb.analogy("a", "b", "c", method="3cosmul")
    emb.most_similar_batch(["word1", "words"], k=3), emb.embedding_similarity(emb["word1"])
    emb.most_similar("word1"), emb.embedding_batch([f"unknown{i}" for i in range(300)])
    ffjax.embed_text(emb, b"word1 unknown\nword2\n" * 500)
    assert programs == []


def test_two_hundred_varied_calls_compile_few_programs(programs):
    words = [f"word{i}" for i in range(3000)]
    emb = embeddings("buckets", words=words)
    rng = np.random.default_rng(0)
    known = [words[i] for i in rng.integers(0, len(words), 20_000)]
    mixed = [f"{word}s" if i % 3 else word for i, word in enumerate(known)]
    lines = [" ".join(mixed[i : i + 1 + i % 7]).encode() for i in range(10_000)] * 5
    sizes = np.geomspace(1, 20_000, 60).astype(int).tolist()
    texts, batches = [*range(1, 63, 2), 3000, 12_345, 50_000], [1, 20, 5000]
    assert 100 + len(sizes) + len(texts) + 2 * len(batches) == 200

    def calls() -> None:
        for k in range(1, 201, 2):
            emb.word_similarity("word7", k=k)
        for i, n in enumerate(sizes):
            emb.embedding_batch((known, mixed)[i % 2][:n])
        for n in texts:
            ffjax.embed_text(emb, b"\n".join(lines[:n]))
        for n in batches:
            emb.most_similar_batch(known[:n], k=1 + n % 40)
            ffjax.embed(emb, ffjax.pack(known[:n]))

    programs.clear()

    calls()
    assert len(programs) <= 12
    n = len(programs)
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    calls()
    assert len(programs) == n
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 17  # KiB
