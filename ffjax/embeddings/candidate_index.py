"""Indexes of other libraries, which propose rows for approximate search."""

import os
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ffjax._internal.extras import needs_extra


@runtime_checkable
class CandidateIndex(Protocol):
    """An index that proposes rows to `search_index`; any object with these two methods is one."""

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        """Row numbers for each query in any order, `[batch, k]`; -1 where there are fewer.

        Args:
            queries: vectors, float32 `[batch, dims]`.
            k: how many rows to propose for each.
        """
        ...

    def save(self, path: str) -> None:
        """Writes the index to a file.

        Args:
            path: the file.
        """
        ...


class FaissIndex:
    """An index of faiss, with rows added in their order.

    It needs the extra `faiss`: `pip install 'ffjax[faiss]'`. What the index looks through is set on
    it, such as `index.nprobe`. To save an index on a GPU, convert it with `faiss.index_gpu_to_cpu`.

    Args:
        index: the index.

    Attributes:
        index: the index.

    Examples:
        Rows are added in blocks, so that they may be larger than memory:

            index = faiss.IndexFlatIP(emb.dims)
            for _, rows in emb.storage.row_blocks(stop=emb.n_words):
                index.add(rows)
            best = ffjax.search_index(ffjax.FaissIndex(index), emb, emb["tea"], k=3)
    """

    def __init__(self, index: Any) -> None:
        self.index = index

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "FaissIndex":
        """Reads a file that `save` or `faiss.write_index` wrote."""
        return cls(_faiss().read_index(os.fspath(path)))

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        """Row numbers for each query, see `CandidateIndex`."""
        return self.index.search(queries, k)[1]

    def save(self, path: str) -> None:
        """Writes the index to a file."""
        _faiss().write_index(self.index, path)


class UsearchIndex:
    """An index of usearch, whose keys are row numbers.

    It needs the extra `usearch`: `pip install 'ffjax[usearch]'`.

    Args:
        index: the index.

    Attributes:
        index: the index.
    """

    def __init__(self, index: Any) -> None:
        self.index = index

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "UsearchIndex":
        """Maps a file that `save` or usearch wrote."""
        with needs_extra("usearch", "`UsearchIndex`"):
            from usearch.index import Index
        return cls(Index.restore(os.fspath(path), view=True))

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        """Row numbers for each query, see `CandidateIndex`."""
        matches = self.index.search(queries, k)
        keys, counts = np.atleast_2d(matches.keys), np.reshape(len(matches), -1)
        if hasattr(matches, "counts"):
            counts = matches.counts
        valid = np.arange(keys.shape[1]) < counts[:, None]
        return np.where(valid, keys.astype(np.int64), -1)

    def save(self, path: str) -> None:
        """Writes the index to a file."""
        self.index.save(path)


def _faiss() -> Any:
    with needs_extra("faiss", "`FaissIndex`"):
        import faiss
    return faiss
