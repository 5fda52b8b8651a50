"""Product quantizers: codebooks, and the vectors that codes stand for."""

import math
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float32

from ffjax._internal.arguments import check_array, check_out, whole_number
from ffjax._internal.arrays import AnyArray, on_host, placed_array
from ffjax._internal.cpus import map_blocks, n_cpus
from ffjax._internal.pytree import set_fields, value
from ffjax.kernels.top_k.top_k_numpy import Queries, Scores, reciprocal_sqrt
from ffjax.storage.base import written

# Codes decoded at a time on the host: their centroids stay in the cache until they are read.
_BLOCK_CODES = 1 << 17
# How much the norms before and after a rotation may differ: the rounding of OPQ's matrices.
_ROUNDING = 2e-5
_CACHED_CODES = 1 << 16


@value(static=("reconstructed_len",))
class PQ:
    """A product quantizer: codebooks, and for optimized product quantization a rotation.

    Args:
        quantizers: the codebooks, float32 `[subquantizers, centroids, dims_each]`.
        projection: the rotation, float32 `[dims, dims]`, or `None`.
        dims: dimensions of the reconstructed vectors, if that is less than `subquantizers *
            dims_each`: of the last subquantizer's centroids only the first numbers are used then.

    Raises:
        TypeError: if an array is not float32 or has the wrong rank.
        ValueError: if the projection is not square with the size of the reconstructed vectors, or
            `dims` takes more than the last subquantizer away.

    Examples:
        >>> import ffjax, numpy as np
        >>> pq = ffjax.PQ(np.arange(8, dtype=np.float32).reshape(2, 2, 2), None)
        >>> vectors = pq.reconstruct(np.array([[0, 1]], dtype=np.uint8))
        >>> pq.reconstructed_len, pq.n_centroids, vectors
        (4, 2, array([[0., 1., 6., 7.]], dtype=float32))
    """

    codebooks: Float32[AnyArray, "subquantizers centroids dims_each"]
    projection: Float32[AnyArray, "dims dims"] | None
    reconstructed_len: int

    def __init__(self, quantizers: Any, projection: Any = None, *, dims: int | None = None) -> None:
        check_array("quantizers", quantizers, 3, "float32")
        n_books, _, dims_each = quantizers.shape
        most = n_books * dims_each
        least = most if projection is not None else most - dims_each + 1
        dims = most if dims is None else whole_number("dims", dims)
        if dims != most and not least <= dims < most:
            raise ValueError(
                f"`dims`: expected {least} to {most}, since the last code stands for at least one "
                f"dimension, got {dims}."
            )
        if projection is not None:
            check_array("projection", projection, 2, "float32")
            if projection.shape != (dims, dims):
                expected = f"expected shape {(dims, dims)}"
                raise ValueError(f"`projection`: {expected}, got {projection.shape}.")
        arrays = {"codebooks": quantizers, "projection": projection}
        arrays = {name: placed_array(array) for name, array in arrays.items()}
        set_fields(self, **arrays, reconstructed_len=dims)

    @property
    def subquantizers(self) -> Float32[AnyArray, "subquantizers centroids dims_each"]:
        """The codebooks, under finalfusion-python's name."""
        return self.codebooks

    @cached_property
    def keeps_norms(self) -> bool:
        """Whether a vector is as long as its centroids together: the rotation really is one."""
        if self.projection is None:
            return True
        matrix = self._host[2]
        return bool(np.abs(matrix.T @ matrix - np.eye(len(matrix))).sum(1).max() <= _ROUNDING)

    @property
    def n_centroids(self) -> int:
        """Centroids in each codebook."""
        return self.codebooks.shape[1]

    def reconstruct(self, quantized: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Turns codes back into vectors, on the host.

        Args:
            quantized: codes, shape `[*batch, subquantizers]`.
            out: where to write the vectors, shape `[*batch, dims]`.

        Raises:
            TypeError: if `quantized` does not hold whole numbers, or `out` floats.
            ValueError: if `quantized` or `out` has the wrong shape, or `out` is read-only.
            IndexError: if a code has no centroid.
        """
        quantized = np.asarray(quantized)
        n_books = self.codebooks.shape[0]
        if quantized.ndim == 0 or quantized.shape[-1] != n_books:
            expected = f"expected {n_books} codes along the last axis"
            raise ValueError(f"`quantized`: {expected}, got shape {quantized.shape}.")
        *batch, _ = quantized.shape
        if out is not None:
            check_out(out, (*batch, self.reconstructed_len), np.float32)
        if self.n_centroids < 256 or quantized.dtype != np.uint8:
            quantized = self._checked_codes(quantized)
        if out is None and not batch and self.projection is None and quantized.size:
            return self._concatenated(quantized)  # one word's row: every step counts
        codes = quantized.reshape(math.prod(batch), n_books)
        return self._decoded(codes, None, tuple(batch), out)

    def reconstruct_rows(
        self, codes: np.ndarray, ids: np.ndarray, out: np.ndarray | None = None
    ) -> np.ndarray:
        """`reconstruct(codes[ids])`, decoding codes while they are in the cache; clips `ids`."""
        return self._decoded(codes, ids.reshape(-1), ids.shape, out)

    def code_scores(self, codes: np.ndarray, queries: Queries, *, unit: bool) -> Scores:
        """Products of the vectors of codes with queries, by tables, see `kernels.pq_scan`.

        With `unit` they are divided by the vectors' norms, for quantizers that keep norms.
        """
        books = on_host(self.codebooks)
        n_books, n_centroids, dims_each = books.shape
        dims = n_books * dims_each
        if self.projection is not None:
            queries = queries @ self._host[2]
        # Where the last centroids stand for fewer numbers, the rest count as zeros.
        padding = dims - self.reconstructed_len
        split = np.pad(queries, ((0, 0), (0, padding))).reshape(-1, n_books, dims_each)
        tables = np.vecdot(split[:, :, None], books).reshape(len(queries), n_books * n_centroids)
        if unit:
            in_use = (np.arange(dims) < self.reconstructed_len).reshape(n_books, 1, dims_each)
            squares = np.vecdot(books, books * in_use).reshape(1, -1)
            tables = np.concatenate([tables, squares])
        sums = np.empty((len(tables), len(codes)), np.float32)
        starts = self._host[1]
        step = max(1, _CACHED_CODES // max(1, n_books))
        for start in range(0, len(codes), step):
            entries = (codes[start : start + step] + starts).astype(np.intp)
            for table, out in zip(tables, sums, strict=True):
                table.take(entries, mode="clip").sum(1, out=out[start : start + step])
        return sums[:-1] * reciprocal_sqrt(sums[-1]) if unit else sums

    def _decoded(
        self, codes: np.ndarray, ids: np.ndarray | None, batch: tuple[int, ...], out: Any
    ) -> np.ndarray:
        rows = out
        if out is None or not out.flags.c_contiguous or out.dtype != np.float32:
            rows = np.empty((*batch, self.reconstructed_len), np.float32)
        if rows.size:
            self._decode(codes, ids, rows.reshape(-1, self.reconstructed_len))
        return rows if rows is out else written(rows, out)

    def _decode(self, codes: np.ndarray, ids: np.ndarray | None, out: np.ndarray) -> None:
        """Writes the vectors of codes, or of the rows `ids` of them, on all cores if it pays."""
        centroids, starts, projection = self._host
        step = max(1, _BLOCK_CODES // len(starts))
        aligned = projection is None and out.shape[1] == centroids.shape[1] * len(starts)

        def decode_rows(begin: int, end: int) -> None:
            entries = np.empty((step, len(starts)), np.intp)
            for first in range(begin, end, step):
                rows = slice(first, min(first + step, end))
                block = codes[rows]
                if ids is not None:
                    block = codes.take(ids[rows], axis=0, mode="clip")
                    if self.n_centroids != 256:
                        block = self._checked_codes(block)
                if aligned:  # straight into `out`; "raise" would buffer
                    numbers = entries[: len(block)]
                    numbers[...] = block + starts
                    target = out[rows].reshape(*numbers.shape, -1)
                    centroids.take(numbers, axis=0, out=target, mode="clip")
                elif projection is None:
                    out[rows] = self._concatenated(block)
                else:
                    np.matmul(self._concatenated(block), projection.T, out=out[rows])

        # Matrix products use all cores by themselves.
        if len(out) < 8 * step or projection is not None or (n_threads := n_cpus()) == 1:
            return decode_rows(0, len(out))
        ends = np.linspace(0, len(out), n_threads + 1, dtype=int).tolist()
        map_blocks(lambda bounds: decode_rows(*bounds), list(pairwise(ends)))

    def _checked_codes(self, codes: np.ndarray) -> np.ndarray:
        """Codes that all have centroids, in a type that can be added to."""
        if codes.dtype.kind not in "iu" and codes.size:
            raise TypeError(f"`quantized`: expected whole numbers, got {codes.dtype}.")
        if codes.size and (codes.min() < 0 or codes.max() >= self.n_centroids):
            expected = f"expected codes from 0 to {self.n_centroids - 1}"
            raise IndexError(f"`quantized`: {expected}, got {codes.min()} to {codes.max()}.")
        return codes if codes.dtype == np.uint8 else codes.astype(np.intp)

    def _concatenated(self, codes: np.ndarray) -> np.ndarray:
        centroids, starts, _ = self._host
        vectors = centroids.take(codes + starts, axis=0, mode="clip")
        return vectors.reshape(*codes.shape[:-1], -1)[..., : self.reconstructed_len]

    def __repr__(self) -> str:
        n_books, n_centroids, _ = self.codebooks.shape
        books = f"{n_books} subquantizers of {n_centroids} centroids"
        rotated = "" if self.projection is None else ", rotated"
        return f"PQ({books}, {self.reconstructed_len} dims{rotated})"

    @cached_property
    def _host(self) -> tuple[np.ndarray, np.ndarray, Any]:
        """All centroids one below the other, where those of each codebook start, the projection."""
        n_books, n_centroids, dims_each = self.codebooks.shape
        # Sums of codes in 16 bits take less than half the time of those in 64.
        narrow = np.uint16 if n_books * n_centroids <= 1 << 16 else np.intp
        starts = np.arange(0, n_books * n_centroids, n_centroids, dtype=narrow)
        projection = None if self.projection is None else on_host(self.projection)
        return on_host(self.codebooks).reshape(-1, dims_each), starts, projection
