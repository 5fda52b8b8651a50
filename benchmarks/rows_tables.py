"""Parquet files, compared with pandas and pyarrow (GloVe, 341,479 x 100)."""

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import ffjax
from benchmarks.files import derived, peer, real
from benchmarks.harness import Pair, row

BESIDE = "pandas with pyarrow"
NOTE = "the peer's answer is a matrix and a dict of words; ours also scales to unit length"


@cache
def _embeddings() -> ffjax.Embeddings:
    return ffjax.load(real("glove.100d.txt"))


def _lists() -> Any:
    """A frame with a column of vectors."""
    emb = _embeddings()
    columns = {"word": emb.vocab.words, "vector": list(np.asarray(emb.storage))}
    return peer("pandas").DataFrame(columns)


def _numbers() -> Any:
    """A frame with a column for each dimension."""
    frame = peer("pandas").DataFrame(np.asarray(_embeddings().storage))
    frame.columns = frame.columns.map(str)
    frame.insert(0, "word", _embeddings().vocab.words)
    return frame


def _same(ours: ffjax.Embeddings, theirs: Any) -> None:
    words, matrix = theirs
    assert ours.vocab.words == list(words)
    np.testing.assert_allclose(np.asarray(ours.storage), matrix, rtol=1e-5, atol=1e-7)


def _reading(name: str, frame: Any, to_matrix: Any) -> Pair:
    path = derived(name, lambda path: frame().to_parquet(path))
    pandas = peer("pandas")

    def theirs() -> Any:
        table = pandas.read_parquet(path)
        words = table.pop("word")
        return {word: i for i, word in enumerate(words)}, to_matrix(table)

    return Pair(ours=lambda: ffjax.load(path), peer=theirs, check=_same, note=NOTE)


@row(issue=16, work="reading Parquet, 341,479 x 100, a column of lists", beside=BESIDE, at_least=1)
def parquet_lists() -> Pair:
    return _reading("glove.lists.parquet", _lists, lambda table: np.stack(table["vector"]))


@row(issue=16, work="reading Parquet, 341,479 x 100, 100 columns", beside=BESIDE)
def parquet_columns() -> Pair:
    return _reading("glove.columns.parquet", _numbers, lambda table: table.to_numpy())


@row(issue=16, work="writing Parquet, 341,479 x 100", beside=BESIDE, at_least=1)
def parquet_written() -> Pair:
    folder, emb, frame = Path(tempfile.mkdtemp()), _embeddings(), _lists()
    return Pair(
        ours=lambda: ffjax.save(emb, folder / "ours.parquet"),
        peer=lambda: frame.to_parquet(folder / "theirs.parquet"),
        note="the peer has a frame ready; ours compresses by zstd and syncs to the disk",
    )
