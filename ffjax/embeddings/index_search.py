"""Approximate search: an index of another library proposes rows, and exact rows score them."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jax.typing import ArrayLike

from ffjax._internal.arguments import real_numbers, whole_number
from ffjax._internal.atomic_write import atomic_folder
from ffjax._internal.extras import needs_extra
from ffjax._internal.file_arguments import wrong_value
from ffjax.functional.search import EmbeddingsLike, TopK, checked_k
from ffjax.functional.search.arguments import check_search, searched_rows
from ffjax.kernels.top_k.top_k_numpy import from_cosine, reciprocal_norms, unit_queries
from ffjax.storage import Storage
from ffjax.storage.base import rows_hash

_BLOCK_NUMBERS = 1 << 22  # of rows that are scored at a time
_FILES = ("index", "rows.txt")


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

    It needs the extra `faiss`: `pip install 'ffjax[faiss]'`. Search parameters are set on the
    index, such as `index.nprobe`. To save an index on a GPU, convert it with
    `faiss.index_gpu_to_cpu`.

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

    def __repr__(self) -> str:
        return f"FaissIndex({type(self.index).__name__} of {self.index.ntotal} rows)"

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

    def __repr__(self) -> str:
        return f"UsearchIndex({type(self.index).__name__} of {len(self.index)} rows)"

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


def search_index(
    index: CandidateIndex,
    embeddings: EmbeddingsLike | Storage,
    queries: ArrayLike,
    k: int = 10,
    *,
    candidates: int | None = None,
    metric: str = "dot",
) -> TopK:
    """Rows that an index proposes for each query, scored exactly, best first.

    Scores and their order are those of `top_k`, from the rows of the embeddings. The index only
    limits which rows are looked at: if it misses a row, the answer does, too. A function of the
    host: it does not run inside `jit`.

    Args:
        index: what proposes rows, such as a `FaissIndex` or a `UsearchIndex`. It was made of the
            same rows in the same order.
        embeddings: embeddings or a storage, with the exact rows; they may be a memory map, of which
            only the proposed rows are read.
        queries: one or more vectors, shape `[*batch, dims]`.
        k: how many rows.
        candidates: how many rows the index proposes for each query, at least `k`; by default `k`.
            More than `k` are of use if the index compresses rows.
        metric: `"dot"`, `"cosine"`, `"euclidean"` or `"angular"`, as in `ffjax.top_k`.

    Returns:
        `TopK` of NumPy arrays, shape `[*batch, k]`; -1 and minus infinity where the index proposes
        fewer. Its `recall` is `None`: it depends on the index.

    Raises:
        TypeError: if an argument has another type.
        ValueError: if `candidates` is less than `k`, the index proposes a row that does not exist,
            the metric is unknown, or shapes don't fit.

    Examples:
        >>> import ffjax, numpy as np
        >>> class AllRows:
        ...     def search(self, queries, k):
        ...         return np.tile(np.arange(3), (len(queries), 1))
        ...     def save(self, path): ...
        >>> rows = ffjax.NdArray(np.eye(3, dtype=np.float32))
        >>> ffjax.search_index(AllRows(), rows, np.array([0, 0.5, 1]), k=2).rows.tolist()
        [2, 1]
    """
    _check_index(index)
    storage, n_rows = searched_rows(embeddings)
    k = checked_k(k)
    n = k if candidates is None else whole_number("candidates", candidates, k)
    queries = real_numbers("queries", queries, "vectors").astype(np.float32, copy=False)
    check_search(storage, queries, metric)
    batch = queries.shape[:-1]
    queries = np.ascontiguousarray(queries.reshape(-1, queries.shape[-1]))
    scores = np.full((len(queries), k), -np.inf, np.float32)
    rows = np.full((len(queries), k), -1, np.int32)
    n = min(n, n_rows)
    step = max(1, _BLOCK_NUMBERS // max(1, n * storage.shape[1]))
    for start in range(0, len(queries) if n else 0, step):
        block = slice(start, start + step)
        proposed = np.asarray(index.search(queries[block], n), np.int64)
        best, ids = _scored(storage, n_rows, queries[block], proposed, unit=metric != "dot")
        scores[block, : ids.shape[1]], rows[block, : ids.shape[1]] = best[:, :k], ids[:, :k]
    scores = from_cosine(scores, metric)
    return TopK(scores.reshape(*batch, k), rows.reshape(*batch, k), None)


def _scored(
    storage: Storage, n_rows: int, queries: np.ndarray, proposed: np.ndarray, *, unit: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Scores (the cosine if `unit`) and rows of proposals, best first, equal scores by the row."""
    ids = np.sort(proposed, axis=1)
    if ids.size and ids.max() >= n_rows:
        expected = f"rows below {n_rows}, the number of rows"
        raise wrong_value("index", expected, ids.max(), "Make the index of the same rows.")
    ids[:, 1:][ids[:, 1:] == ids[:, :-1]] = -1
    rows = storage.read(np.maximum(ids, 0)).astype(np.float32, copy=False)
    # As in `row_scores`, the score of a row does not depend on the others.
    with np.errstate(over="ignore", invalid="ignore"):
        scores = np.vecdot(rows, (unit_queries(queries) if unit else queries)[:, None])
        if unit:
            scores *= reciprocal_norms(rows.reshape(-1, rows.shape[-1])).reshape(ids.shape)
    is_missing = (ids < 0) | ~(scores > -np.inf)  # NaN too
    scores[is_missing], ids[is_missing] = -np.inf, -1
    scores += np.float32(0)  # negative zeros become zeros
    lines = np.arange(len(ids))[:, None]  # `take_along_axis` takes as long as a few queries' scores
    order = (-scores).argsort(1, kind="stable")
    return scores[lines, order], ids[lines, order]


def save_index(
    index: CandidateIndex, path: str | os.PathLike[str], embeddings: EmbeddingsLike | Storage
) -> None:
    """Writes an index and a hash of the rows that it is made of.

    Args:
        index: the index.
        path: the folder to write, such as `words.index` beside `words.fifu`; one that this function
            wrote earlier is replaced.
        embeddings: embeddings or a storage, whose rows the index has.

    Raises:
        FileExistsError: if the folder holds other files.
    """
    _check_index(index)
    with atomic_folder(os.fspath(path), _FILES) as folder:
        index.save(str(folder / _FILES[0]))
        (folder / _FILES[1]).write_text(_hash(embeddings), "utf-8")


def load_index(
    path: str | os.PathLike[str],
    embeddings: EmbeddingsLike | Storage,
    read: Callable[[str], CandidateIndex],
) -> CandidateIndex:
    """Opens an index that `save_index` wrote, if it is made of the same rows.

    All rows are read to compare their hash. Rows of codes with a rotation may have another hash on
    another kind of CPU.

    Args:
        path: the folder.
        embeddings: embeddings or a storage: the rows to search.
        read: what opens the index in it: `ffjax.FaissIndex.load` or `ffjax.UsearchIndex.load`.

    Raises:
        OSError: if the folder cannot be read.
        ValueError: if the index is made of other rows.
    """
    folder = Path(path)
    if (folder / _FILES[1]).read_text("utf-8") != _hash(embeddings):
        expected = f"the rows that {os.fspath(path)} was made of"
        raise wrong_value("embeddings", expected, "others", "Make a new index of these rows.")
    return read(str(folder / _FILES[0]))


def _hash(emb: EmbeddingsLike | Storage) -> str:
    return rows_hash(*searched_rows(emb)).hexdigest()


def _check_index(index: Any) -> None:
    if not (hasattr(index, "search") and hasattr(index, "save")):  # quicker than `isinstance`
        raise TypeError(
            "`index`: expected an object with the methods `search` and `save`, such as "
            f"`ffjax.FaissIndex(index)`, got {type(index).__name__}."
        )
