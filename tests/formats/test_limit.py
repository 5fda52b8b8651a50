"""`load(..., limit=)`: the first words, with the rows that they need."""

from pathlib import Path

import numpy as np
import pytest

import ffjax
from ffjax.transforms.words import first_words
from tests.formats.samples import ROWS, quantized, simple


@pytest.mark.parametrize("limit", [0, 1, 2, 3])
@pytest.mark.parametrize("format", ["finalfusion", "word2vec", "text", "textdims"])
def test_limit(tmp_path: Path, format: str, limit: int) -> None:
    path = tmp_path / "vectors"
    ffjax.save(simple(), path, format=format)
    emb = ffjax.load(path, limit=limit)
    assert emb.vocab.words == ["one", "two"][:limit]
    assert emb.storage.shape == (min(limit, 2), 2)


def test_limit_of_embeddings_with_subwords(tmp_path: Path) -> None:
    path = tmp_path / "vectors.fifu"
    indexer = ffjax.FinalfusionHashIndexer(3, 3, 3)
    rows = np.arange(22, dtype=np.float32).reshape(11, 2)
    complete = ffjax.Embeddings(
        ffjax.NdArray(rows),
        ffjax.FinalfusionBucketVocab(["tea", "cup", "pot"], indexer),
        ffjax.Norms(np.ones(3, np.float32)),
    )
    ffjax.save(complete, path)
    for mmap in (False, True):
        emb = ffjax.load(path, limit=1, mmap=mmap)
        assert emb.vocab == ffjax.FinalfusionBucketVocab(["tea"], indexer)
        np.testing.assert_array_equal(np.asarray(emb.storage), rows[[0, *range(3, 11)]])
        assert len(emb.norms) == 1
        np.testing.assert_array_equal(emb["coffee"], complete["coffee"])


def test_limit_where_words_share_rows() -> None:
    rows = np.arange(10, dtype=np.float32).reshape(5, 2)
    vocab = ffjax.ExplicitVocab(
        ["a", "b", "c", "d"], ffjax.ExplicitIndexer(["<a", "b>"], 2, 2), rows=[2, 0, 2, 1]
    )
    emb = ffjax.Embeddings(ffjax.NdArray(rows), vocab, ffjax.Norms(np.array([1, 2, 3], np.float32)))
    short = first_words(emb, 3)
    assert short.vocab.words == ["a", "b", "c"]
    for word in "abc":
        np.testing.assert_array_equal(short[word], emb[word])
        assert short.embedding_with_norm(word)[1] == emb.embedding_with_norm(word)[1]
    np.testing.assert_array_equal(np.asarray(short.storage), rows[[0, 2, 3, 4]])


def test_limit_of_quantized_embeddings(tmp_path: Path) -> None:
    path = tmp_path / "vectors.fifu"
    ffjax.save(quantized(), path)
    emb = ffjax.load(path, limit=1)
    assert isinstance(emb.storage, ffjax.QuantizedArray)
    np.testing.assert_array_equal(np.asarray(emb.storage), np.asarray(quantized().storage)[:1])


def test_limit_of_floret_tables(tmp_path: Path) -> None:
    path = tmp_path / "table.floret"
    ffjax.save(
        ffjax.Embeddings(ffjax.NdArray(ROWS), ffjax.FloretVocab(ffjax.FloretIndexer(2))), path
    )
    with pytest.raises(
        ValueError, match="`limit`: expected None for a floret table, which has no words, got 1"
    ):
        ffjax.load(path, limit=1)
    ffjax.save(ffjax.load(path), tmp_path / "table.fifu")
    with pytest.raises(
        ValueError, match="`limit`: expected None for floret embeddings, which have no words, got 1"
    ):
        ffjax.load(tmp_path / "table.fifu", limit=1)
