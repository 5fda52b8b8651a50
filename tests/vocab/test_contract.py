"""A vocabulary that the library does not know works wherever those that it knows do."""

import inspect
import json

import jax
import numpy as np
import pytest

import ffjax
from ffjax.cli import main
from tests.builders import VOCABS, WORDS, storage, vocab
from tests.toy import ToyVocab

INDEXER = ffjax.FastTextIndexer(37, 3, 5)
UNKNOWN = ["Pariserin", "teapots", "xyz"]


@pytest.fixture(scope="module")
def emb() -> ffjax.Embeddings:
    return ffjax.Embeddings(storage(47), ToyVocab(WORDS, INDEXER))


def of_ngrams(emb: ffjax.Embeddings, word: str) -> np.ndarray:
    buckets = [INDEXER(ngram) for ngram in ffjax.ngrams(f"[{word}]", 3, 5, bracket=False)]
    total = np.asarray(emb.storage)[emb.vocab.n_word_rows + np.array(buckets)].sum(0)
    return total / np.linalg.norm(total)


def test_known_and_unknown_words(emb):
    words = [*WORDS, *UNKNOWN]
    rows = np.asarray(emb.storage)
    expected = np.stack([*rows[: len(WORDS)], *(of_ngrams(emb, word) for word in UNKNOWN)])
    np.testing.assert_allclose([emb[word] for word in words], expected, atol=1e-5)
    np.testing.assert_allclose(emb.embedding_batch(words)[0], expected, atol=1e-5)
    vectors, found = jax.jit(ffjax.embed)(emb, ffjax.pack(words))
    np.testing.assert_allclose(vectors[: len(words)], expected, atol=1e-5)
    assert found[: len(words)].all()
    assert emb.word_similarity(UNKNOWN[0], k=2) and emb.analogy(*WORDS[:3], k=1)


def test_gradients_reach_the_rows_of_ngrams(emb):
    packed = ffjax.pack(["Paris", UNKNOWN[0]])
    weights = np.zeros((4, 6), np.float32)
    weights[:2] = np.random.default_rng(0).standard_normal((2, 6))

    def loss(matrix, vectors_of):
        return (vectors_of(emb.replace(storage=ffjax.NdArray(matrix))) * weights).sum()

    rows = ffjax.encode(emb.vocab, packed)
    ways = (lambda emb: ffjax.embed(emb, packed)[0], lambda emb: ffjax.lookup(emb, rows))
    ours, expected = (
        jax.jit(jax.grad(lambda matrix, way=way: loss(matrix, way)))(emb.storage.matrix)
        for way in ways
    )
    np.testing.assert_allclose(ours, expected, atol=1e-5)
    np.testing.assert_allclose(ours[0], weights[0], atol=1e-6)
    ngrams = ffjax.ngrams(f"[{UNKNOWN[0]}]", 3, 5, bracket=False)
    rows_with_gradient = np.flatnonzero(np.abs(ours).sum(1))
    assert set(rows_with_gradient) == {0, *(INDEXER(ngram) + 10 for ngram in ngrams)}


@pytest.mark.parametrize("where", [pytest.param("devices", marks=pytest.mark.devices), "file"])
def test_searches_wherever_the_rows_are(emb, where, tmp_path):
    if where == "file":
        (tmp_path / "rows").write_bytes(np.asarray(emb.storage).tobytes())
        rows = ffjax.NdArray(np.memmap(tmp_path / "rows", np.float32, "r", 0, (47, 6)))
    else:
        mesh = jax.make_mesh((jax.device_count(),), ("rows",))
        sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("rows"))
        rows = ffjax.ShardedArray(emb.storage, sharding)
    stored = emb.replace(storage=rows)
    vectors, _ = ffjax.embed(stored, ffjax.pack([*WORDS[:2], *UNKNOWN[:2]]))
    expected, _ = ffjax.embed(emb, ffjax.pack([*WORDS[:2], *UNKNOWN[:2]]))
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    scores = np.asarray(expected) @ np.asarray(emb.storage)[:10].T
    best = ffjax.top_k(stored, vectors, 3)
    assert best.rows.tolist() == np.argsort(-scores, axis=1)[:, :3].tolist()
    answers = [[result.word for result in x.word_similarity(UNKNOWN[0], 2)] for x in (stored, emb)]
    assert answers[0] == answers[1]


def test_transforms_keep_the_ngrams(emb):
    pruned = ffjax.prune(emb, 4).embeddings
    added = ffjax.add_words(emb, ["new"], np.ones((1, 6)))
    selected = ffjax.select_words(emb, ["Berlin", "a"])
    for result in (pruned, ffjax.unshare_rows(pruned), added, selected):
        assert isinstance(result.vocab, ToyVocab) and "Berlin" in result
        np.testing.assert_array_equal(result["Berlin"], emb["Berlin"])
        np.testing.assert_allclose(result["Pariserin"], emb["Pariserin"], atol=1e-5)


def test_snapshots_and_info(emb, tmp_path, capfd):
    for value in (emb, ffjax.prune(emb, 4).embeddings):
        ffjax.save(value, tmp_path / "x.msgpack")
        assert ffjax.load(tmp_path / "x.msgpack") == value
        assert main(["info", str(tmp_path / "x.msgpack"), "--json"]) == 0
        facts = json.loads(capfd.readouterr().out)
        assert (facts["vocabulary"], facts["words"], facts["buckets"]) == ("ToyVocab", 10, 37)


def test_the_toy_vocabulary_is_small():
    assert len(inspect.getsource(ToyVocab).splitlines()) < 60


@pytest.mark.parametrize("kind", VOCABS)
def test_words_are_found_with_and_without_a_dict(kind):
    """A few words are looked up in the hash table, many in a `dict`."""
    words = [*WORDS, "", "unknown", "\ud800", "\udce9", "Straß", "teapots" * 40]
    probed, counted = vocab(kind), vocab(kind)
    assert len(counted.host_index) == len(counted)
    expected = [counted.host_index.get(word, -1) for word in words]
    assert probed.rows_of(words).tolist() == counted.rows_of(words).tolist() == expected
    assert [probed.row_of(word) for word in words] == [counted.row_of(word) for word in words]
    assert "host_index" not in vars(probed)
    for _ in range(200):
        probed.rows_of(words)
    assert "host_index" in vars(probed)
    assert [probed.row_of(word) for word in words] == [counted.row_of(word) for word in words]
    for vocabulary in (vocab(kind), counted):
        assert vocabulary.row_of(1) is None
        with pytest.raises(TypeError, match="unhashable"):
            vocabulary.row_of(["a"])
