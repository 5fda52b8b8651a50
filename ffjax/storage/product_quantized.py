"""Product-quantized storage: each row is a few byte-sized codes into codebooks.

A row is the concatenation of its centroids, times the transposed projection where there is one (optimized product
quantization), times its norm where there is one:

    row[i] = norms[i] * (concat(codebooks[m][codes[i, m]] for m) @ projection.T)
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int32, UInt8

from ffjax._internal.pytree import equal, pytree
from ffjax._internal.pytree import replace as replace_fields
from ffjax._internal.types import AnyArray
from ffjax.kernels.gather_sum import nothing_yet
from ffjax.storage.arrays import check_array, checked_key, host_view, placed_array
from ffjax.storage.base import Storage
from ffjax.storage.pq import PQ


@pytree()
@dataclass(frozen=True, eq=False, init=False, repr=False)
class QuantizedArray(Storage):
    """Rows as codes of a product quantizer, decoded when they are read.

    Args:
        pq: the quantizer.
        quantized_embeddings: codes, uint8 `[rows, subquantizers]`; a memory map stays one.
        norms: lengths by which reconstructed rows are scaled, float32 `[rows]`, or `None`.

    Raises:
        TypeError: an array is of the wrong type or rank.
        ValueError: shapes that don't fit each other.

    Examples:
        >>> import ffjax, numpy as np
        >>> pq = ffjax.PQ(np.arange(8, dtype=np.float32).reshape(2, 2, 2), None)
        >>> storage = ffjax.QuantizedArray(pq, np.array([[0, 1], [1, 1]], dtype=np.uint8), None)
        >>> storage.shape, storage[0]
        ((2, 4), array([0., 1., 6., 7.], dtype=float32))
    """

    row_arrays: ClassVar[tuple[str, ...]] = ("codes", "norms")

    quantizer: PQ
    codes: UInt8[AnyArray, "rows subquantizers"]
    norms: Float32[AnyArray, " rows"] | None

    def __init__(self, pq: PQ, quantized_embeddings: Any, norms: Any = None) -> None:
        if not isinstance(pq, PQ):
            raise TypeError(f"`pq`: expected a PQ, got {type(pq).__name__}.")
        check_array("quantized_embeddings", quantized_embeddings, 2, "uint8")
        rows, subquantizers = quantized_embeddings.shape
        if subquantizers != pq.subquantizers.shape[0]:
            raise ValueError(
                f"`quantized_embeddings`: expected {pq.subquantizers.shape[0]} codes a row, got {subquantizers}."
            )
        if norms is not None:
            check_array("norms", norms, 1, "float32")
            if norms.shape != (rows,):
                raise ValueError(f"`norms`: expected {rows}, one for each row, got {norms.shape[0]}.")
        object.__setattr__(self, "quantizer", pq)
        object.__setattr__(self, "codes", placed_array(quantized_embeddings))
        object.__setattr__(self, "norms", placed_array(norms))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and dimensions of the reconstructed matrix."""
        return self.codes.shape[0], self.quantizer.reconstructed_len

    @property
    def dtype(self) -> np.dtype:
        """The type of reconstructed numbers."""
        return self.quantizer.subquantizers.dtype

    @property
    def codebooks(self) -> Float32[AnyArray, "subquantizers centroids dims_each"]:
        """The quantizer's centroids."""
        return self.quantizer.subquantizers

    @property
    def projection(self) -> Float32[AnyArray, "dims dims"] | None:
        """The quantizer's rotation, if it has one."""
        return self.quantizer.projection

    @property
    def quantized_len(self) -> int:
        """Codes in a row."""
        return self.codes.shape[1]

    @property
    def on_host(self) -> bool:
        """Whether the host reads codes and norms without a copy."""
        codes, norms = self._host
        return codes is not None and (norms is not None or self.norms is None)

    def rows(self, ids: Int32[Array, "*batch"]) -> Float[Array, "*batch dims"]:
        """The reconstructed rows with these numbers; numbers outside are clipped into range."""
        return self._rotate(self._centroids(ids))

    def chunk(self, start: Int32[Array, ""] | int, size: int) -> Float[Array, "size dims"]:
        """`size` reconstructed rows from row `start` on."""
        # The barrier keeps XLA from widening all codes before a loop over chunks.
        codes, norms, first = jax.lax.optimization_barrier((self.codes, self.norms, jnp.asarray(start, jnp.int32)))

        def sliced(array: Array) -> Array:
            return jax.lax.dynamic_slice_in_dim(array, first, size)

        return self._rotate(self._decoded(sliced(codes), None if norms is None else sliced(norms)))

    def sum_rows(self, ids: Int32[Array, "*batch slots"]) -> Float[Array, "*batch dims"]:
        """The sum of the reconstructed rows named in each line of `ids`, those below zero left out."""
        return self.finish_sum(self.sum_parts(ids))

    def sum_parts(self, ids: Int32[Array, "*batch slots"], *, whole: bool = False) -> Float[Array, "*batch dims"]:
        """The sum of the centroids of each row, times its norm, before the rotation."""
        total = nothing_yet(ids, self.shape[1])

        def add(total: Array, slot: Array) -> tuple[Array, None]:
            return total + jnp.where((slot >= 0)[..., None], self._centroids(slot), jnp.float32(0)), None

        return jax.lax.scan(add, total, jnp.moveaxis(ids, -1, 0), unroll=4)[0]

    def finish_sum(self, total: Float[Array, "*batch dims"]) -> Float[Array, "*batch dims"]:
        """The sum rotated back: the rotation is linear, so it is applied once and not to each row."""
        return self._rotate(total)

    def embedding(self, key: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Reconstructed rows as a NumPy array.

        Args:
            key: an `int`, a slice, or integers as a list or an array.
            out: where to write the answer, of the answer's shape.
        """
        key = checked_key(key)
        host_codes, host_norms = self._host
        if host_codes is None:
            codes = np.asarray(self.codes[key])
        elif isinstance(key, np.ndarray) and key.dtype.kind in "iu":
            codes = host_codes.take(key, axis=0)  # several times as fast as indexing
        else:
            codes = host_codes[key]
        vectors = self.quantizer.reconstruct(codes, out=out)
        if self.norms is not None:
            norms = host_norms[key] if host_norms is not None else np.asarray(self.norms[key])
            vectors *= norms[..., None]
        return vectors

    def read_rows(self, ids: Int32[np.ndarray, " n"], out: Float32[np.ndarray, "n dims"]) -> None:
        """Writes many rows into a contiguous array on the host; numbers outside are clipped into range.

        Raises:
            ValueError: codes or norms are not on the host, see `on_host`.
        """
        codes, norms = self._host
        if codes is None or (norms is None and self.norms is not None):
            raise ValueError("`ids`: expected a storage on the host, got one on another device. Use `rows`.")
        self.quantizer.reconstruct_rows(codes, ids, out)
        if norms is not None:
            out *= norms.take(ids, mode="clip")[:, None]

    def __getitem__(self, key: Any) -> Any:
        """A quantized storage for a slice, reconstructed rows as NumPy arrays for anything else."""
        if isinstance(key, slice):
            return replace_fields(self, codes=self.codes[key], norms=None if self.norms is None else self.norms[key])
        return self.embedding(key)

    def __eq__(self, other: object) -> bool:
        return equal(self, other) if isinstance(other, QuantizedArray) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        rows, dims = self.shape
        return f"QuantizedArray({rows} x {dims}, {self.quantizer!r}{', norms' if self.norms is not None else ''})"

    @cached_property
    def _host(self) -> tuple[np.ndarray | None, np.ndarray | None]:
        return host_view(self.codes), None if self.norms is None else host_view(self.norms)

    def _centroids(self, ids: Int32[Array, "*batch"]) -> Float32[Array, "*batch dims"]:
        if self.shape[0] == 0:
            return jnp.zeros((*ids.shape, self.shape[1]), jnp.float32)
        codes = jnp.take(jnp.asarray(self.codes), ids, axis=0, mode="clip")
        norms = None if self.norms is None else jnp.take(jnp.asarray(self.norms), ids, mode="clip")
        return self._decoded(codes, norms)

    def _decoded(
        self, codes: UInt8[Array, "*batch subquantizers"], norms: Float32[Array, "*batch"] | None
    ) -> Float32[Array, "*batch dims"]:
        books = jnp.asarray(self.codebooks)
        number, centroids, each = books.shape
        firsts = jnp.arange(number, dtype=jnp.int32).reshape((1,) * (codes.ndim - 1) + (-1,)) * centroids
        places = codes.astype(jnp.int32) + firsts
        vectors = jnp.take(books.reshape(number * centroids, each), places, axis=0, mode="clip")
        vectors = vectors.reshape(*codes.shape[:-1], number * each)[..., : self.shape[1]]
        return vectors if norms is None else vectors * norms[..., None]

    def _rotate(self, vectors: Float32[Array, "*batch dims"]) -> Float32[Array, "*batch dims"]:
        if self.projection is None:
            return vectors
        return jnp.matmul(vectors, jnp.asarray(self.projection).T, precision=jax.lax.Precision.HIGHEST)
