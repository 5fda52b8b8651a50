"""Product quantizers: codebooks, and what codes stand for."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float32

from ffjax._internal.pytree import equal, pytree
from ffjax._internal.types import AnyArray
from ffjax.storage.arrays import check_array, check_out, placed_array

# On the host codes are decoded so many at a time: what they point at stays in the cache until it is read.
_AT_ONCE = 1 << 17
_THREADS = max(1, os.cpu_count() or 1)


@pytree(static=("reconstructed_len",))
@dataclass(frozen=True, eq=False, init=False, repr=False)
class PQ:
    """A product quantizer: codebooks, and for optimized product quantization a rotation.

    Args:
        quantizers: the centroids of each subquantizer, float32 `[subquantizers, centroids, dims_each]`.
        projection: the rotation, float32 `[dims, dims]`, or `None`.
        dims: dimensions of the vectors that come back, if that is less than `subquantizers * dims_each`: the last
            subquantizer then stands for fewer dimensions, and what its centroids have behind those is left out.

    Raises:
        TypeError: an array is not float32 or of the wrong rank.
        ValueError: the projection is not square with the size of the reconstructed vectors, or `dims` takes more than
            a part of the last subquantizer.

    Examples:
        >>> import ffjax, numpy as np
        >>> pq = ffjax.PQ(np.arange(8, dtype=np.float32).reshape(2, 2, 2), None)
        >>> pq.reconstructed_len, pq.n_centroids, pq.reconstruct(np.array([[0, 1]], dtype=np.uint8))
        (4, 2, array([[0., 1., 6., 7.]], dtype=float32))
    """

    subquantizers: Float32[AnyArray, "subquantizers centroids dims_each"]
    projection: Float32[AnyArray, "dims dims"] | None
    reconstructed_len: int

    def __init__(self, quantizers: Any, projection: Any = None, *, dims: int | None = None) -> None:
        check_array("quantizers", quantizers, 3, "float32")
        most = quantizers.shape[0] * quantizers.shape[2]
        dims = most if dims is None else dims
        if dims != most and not (projection is None and most - quantizers.shape[2] < dims < most):
            least = most if projection is not None else most - quantizers.shape[2] + 1
            raise ValueError(f"`dims`: expected {least} to {most}, since the last code stands for some, got {dims}.")
        if projection is not None:
            check_array("projection", projection, 2, "float32")
            if projection.shape != (dims, dims):
                raise ValueError(f"`projection`: expected shape {(dims, dims)}, got {projection.shape}.")
        object.__setattr__(self, "subquantizers", placed_array(quantizers))
        object.__setattr__(self, "projection", placed_array(projection))
        object.__setattr__(self, "reconstructed_len", dims)

    @property
    def n_centroids(self) -> int:
        """Centroids in each codebook."""
        return self.subquantizers.shape[1]

    def reconstruct(self, quantized: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Turns codes back into vectors, on the host.

        Args:
            quantized: codes, shape `[*batch, subquantizers]`.
            out: where to write the vectors, shape `[*batch, dims]`.

        Raises:
            TypeError: `quantized` has no whole numbers, or `out` no floats.
            ValueError: `quantized` or `out` is of the wrong shape, or `out` cannot be written to.
            IndexError: a code is none of a centroid.
        """
        quantized = np.asarray(quantized)
        number, centroids, _ = self._host_books.shape
        if quantized.ndim == 0 or quantized.shape[-1] != number:
            raise ValueError(f"`quantized`: expected {number} codes along the last axis, got shape {quantized.shape}.")
        shape = (*quantized.shape[:-1], self.reconstructed_len)
        check_out(out, shape, np.float32)
        if centroids < 256 or quantized.dtype != np.uint8:
            quantized = self._checked_codes(quantized)
        if not all(self._host_books.shape):
            return np.zeros(shape, np.float32) if out is None else out
        if out is None and quantized.ndim == 1 and self.projection is None:
            return self._concatenated(quantized)  # one word's row, asked for by its string: every step counts
        made = out if out is not None and out.flags.c_contiguous and out.dtype == np.float32 else np.empty(shape, "f4")
        self._decode(quantized.reshape(-1, number), None, made.reshape(-1, self.reconstructed_len))
        if out is None or out is made:
            return made
        out[...] = made
        return out

    def _checked_codes(self, codes: np.ndarray) -> np.ndarray:
        """Codes that may be none, as numbers that can be added to."""
        if codes.dtype.kind not in "iu" and codes.size:
            raise TypeError(f"`quantized`: expected whole numbers, got {codes.dtype}.")
        if codes.size and (codes.min() < 0 or codes.max() >= self.n_centroids):
            got = f"{codes.min()} to {codes.max()}"
            raise IndexError(f"`quantized`: expected codes from 0 to {self.n_centroids - 1}, got {got}.")
        return codes if codes.dtype == np.uint8 else codes.astype(np.intp)

    def reconstruct_rows(self, codes: np.ndarray, ids: np.ndarray, out: np.ndarray) -> np.ndarray:
        """As `reconstruct` of `codes[ids]`, whose codes are in the cache when they are decoded.

        Args:
            codes: of all rows, uint8 `[rows, subquantizers]`.
            ids: numbers of rows, `[n]`; those outside are clipped into range.
            out: where to write the vectors, contiguous float32 `[n, dims]`.

        Raises:
            IndexError: a code is none of a centroid.
        """
        self._decode(codes, ids, out)
        return out

    def _concatenated(self, codes: np.ndarray) -> np.ndarray:
        books, firsts = self._host_rows
        vectors = books.take(codes + firsts, axis=0, mode="clip")
        return vectors.reshape(*codes.shape[:-1], -1)[..., : self.reconstructed_len]

    def _decode(self, codes: np.ndarray, ids: np.ndarray | None, out: np.ndarray) -> None:
        """Writes the vectors of many codes, or of some rows of codes, on all cores if they are worth it."""
        books, firsts = self._host_rows
        step = max(1, _AT_ONCE // len(firsts))
        whole = out.shape[1] == books.shape[1] * len(firsts) and self.projection is None

        def some(begin: int, end: int) -> None:
            places = np.empty((step, len(firsts)), np.intp)
            for at in range(begin, end, step):
                rows = slice(at, min(at + step, end))
                own = codes[rows]
                if ids is not None:
                    own = codes.take(ids[rows], axis=0, mode="clip")
                    own = own if self.n_centroids == 256 else self._checked_codes(own)
                if whole:  # straight to where it belongs
                    made = places[: len(own)]
                    made[...] = own + firsts
                    # "raise" would buffer
                    books.take(made, axis=0, out=out[rows].reshape(*made.shape, -1), mode="clip")
                elif self.projection is None:
                    out[rows] = self._concatenated(own)
                else:
                    np.matmul(self._concatenated(own), self._host_projection.T, out=out[rows])

        parts = _THREADS if len(out) >= 8 * step and self.projection is None else 1  # products use all cores anyway
        ends = np.linspace(0, len(out), parts + 1, dtype=int).tolist()
        if parts == 1:
            return some(0, len(out))
        with ThreadPoolExecutor(parts) as pool:
            list(pool.map(some, ends[:-1], ends[1:]))

    def __eq__(self, other: object) -> bool:
        return equal(self, other) if isinstance(other, PQ) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        number, centroids, _ = self.subquantizers.shape
        rotated = ", rotated" if self.projection is not None else ""
        return f"PQ({number} subquantizers of {centroids} centroids, {self.reconstructed_len} dims{rotated})"

    @cached_property
    def _host_books(self) -> np.ndarray:
        return np.asarray(self.subquantizers)

    @cached_property
    def _host_rows(self) -> tuple[np.ndarray, np.ndarray]:
        """All centroids one below the other, and where those of each subquantizer begin."""
        number, centroids, each = self._host_books.shape
        # Sums of codes and 16 bits take less than half the time of those of 64.
        narrow = np.uint16 if number * centroids <= 1 << 16 else np.intp
        return self._host_books.reshape(-1, each), np.arange(0, number * centroids, centroids, dtype=narrow)

    @cached_property
    def _host_projection(self) -> np.ndarray:
        return np.asarray(self.projection)
