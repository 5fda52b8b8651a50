"""Product-quantized storage: each row is a few byte-sized codes into codebooks.

A row is the concatenation of its centroids, times the transposed projection where there is one
(optimized product quantization), times its norm where there is one:

    row[i] = norms[i] * (concat(codebooks[m][codes[i, m]] for m) @ projection.T)
"""

from functools import cached_property
from typing import Any, ClassVar, final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int32, Integer, UInt8

from ffjax._internal.arguments import check_array
from ffjax._internal.arrays import AnyArray, host_view, placed_array
from ffjax._internal.pytree import set_fields, value
from ffjax._internal.snapshot_value import TreeReader
from ffjax.kernels.gather_sum import gather_rows, gather_sum
from ffjax.kernels.pq_scan import decode, pq_source, rotate
from ffjax.kernels.top_k.row_source import RowSource
from ffjax.kernels.top_k.top_k_numpy import row_scores
from ffjax.storage.base import Gradient, RowArrays, Storage, add_vjp
from ffjax.storage.pq import PQ


@final
@value()
class QuantizedArray(RowArrays, kind="QuantizedArray"):
    """Rows as codes of a product quantizer, decoded when they are read.

    Args:
        pq: the quantizer.
        quantized_embeddings: codes, uint8 `[rows, subquantizers]`; a memory map stays one.
        norms: factors of reconstructed rows, float32 `[rows]`, or `None`.

    Raises:
        TypeError: if an array has the wrong type or rank.
        ValueError: if the shapes do not fit each other.

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
        rows, n_codes = quantized_embeddings.shape
        if n_codes != pq.codebooks.shape[0]:
            raise ValueError(
                f"`quantized_embeddings`: expected {pq.codebooks.shape[0]} codes a row, "
                f"got {n_codes}."
            )
        if norms is not None:
            check_array("norms", norms, 1, "float32")
            if norms.shape != (rows,):
                raise ValueError(
                    f"`norms`: expected {rows}, one for each row, got {norms.shape[0]}."
                )
        codes = placed_array(quantized_embeddings)
        set_fields(self, quantizer=pq, codes=codes, norms=placed_array(norms))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and dimensions of the reconstructed matrix."""
        return self.codes.shape[0], self.quantizer.reconstructed_len

    @property
    def dtype(self) -> np.dtype:
        """The type of reconstructed numbers: float32."""
        return np.dtype(np.float32)

    @property
    def codebooks(self) -> Float32[AnyArray, "subquantizers centroids dims_each"]:
        """The quantizer's centroids."""
        return self.quantizer.codebooks

    @property
    def projection(self) -> Float32[AnyArray, "dims dims"] | None:
        """The quantizer's rotation, if it has one."""
        return self.quantizer.projection

    @property
    def quantized_len(self) -> int:
        """Codes in a row."""
        return self.codes.shape[1]

    def gather(self, ids: Integer[AnyArray, "*batch"]) -> Float32[Array, "*batch dims"]:
        """The reconstructed rows with these numbers; numbers are clipped into range."""
        return self.finish_sum(self._unrotated(ids))

    def partial_sum(
        self, ids: Int32[Array, "*batch slots"], *, all_valid: bool = False
    ) -> Float32[Array, "*batch dims"]:
        """The sum of the centroids of each row, times its norm, before the rotation."""
        return gather_sum(self._unrotated, ids, self.shape[1], all_valid=all_valid, unroll=4)

    def finish_sum(self, total: Float32[Array, "*batch dims"]) -> Float32[Array, "*batch dims"]:
        """The sum rotated back: a rotation is linear, so it is applied once and not to each row."""
        return rotate(total, self._device_projection)

    def add_gradient(
        self,
        gradient: Gradient,
        ids: Int32[Array, "batch slots"],
        cotangent: Float32[Array, "batch dims"],
    ) -> Gradient:
        """Adds what `partial_sum(ids)` passes back to the codebooks and norms."""
        return add_vjp(self, gradient, ids, cotangent)

    def row_source(self, n_rows: int) -> RowSource:
        """The rows before the rotation, decoded in chunks or looked up in tables."""
        codebooks, codes = jnp.asarray(self.codebooks), jnp.asarray(self.codes)
        norms = None if self.norms is None else jnp.asarray(self.norms)
        dims = self.shape[1]
        return pq_source(codebooks, codes, norms, self._device_projection, dims, n_rows)

    def read(self, ids: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Reconstructed rows on the host."""
        codes, norms = self._host
        if codes is None:
            rows = self.quantizer.reconstruct(np.asarray(self.codes[ids]), out)
        elif isinstance(ids, np.ndarray):
            rows = self.quantizer.reconstruct_rows(codes, ids, out)
        else:
            rows = self.quantizer.reconstruct(codes[ids], out)
        if self.norms is not None:
            rows *= np.asarray(self.norms[ids] if norms is None else norms[ids])[..., None]
        return rows

    def host_scores(
        self, rows: slice | np.ndarray, queries: Float32[np.ndarray, "batch dims"], *, unit: bool
    ) -> Float32[np.ndarray, "batch n"]:
        """The products of some rows with queries in NumPy, by tables if that is possible."""
        if unit and not self.quantizer.keeps_norms:
            return row_scores(self.read(rows), queries, unit=True)
        codes, norms = self._host
        codes = np.asarray(self.codes[rows]) if codes is None else codes[rows]
        scores = self.quantizer.code_scores(codes, queries, unit=unit)
        if self.norms is not None:
            norms = np.asarray(self.norms[rows]) if norms is None else norms[rows]
            # Whatever a row's norm is, the cosine only has its sign.
            scores *= np.sign(norms) if unit else norms
        return scores

    def concat(self, rows: Float[np.ndarray, "n dims"], at: int | None = None) -> Storage:
        """Raises an error: the codebooks were not trained on other rows."""
        raise TypeError(
            "`embeddings`: expected rows of plain numbers, got quantized ones. Make them plain "
            "first, with `ffjax.reconstruct`, and quantize them again afterwards."
        )

    def to_tree(self) -> dict[str, Any]:
        """What a snapshot keeps."""
        return {
            "kind": self.kind,
            "codes": self.codes,
            "norms": self.norms,
            "centroids": self.codebooks,
            "projection": self.projection,
            "dims": self.shape[1],
        }

    @classmethod
    def from_tree(cls, tree: TreeReader) -> "QuantizedArray":
        """The storage of a tree."""
        codes = tree.array("codes", 2, "uint8")
        norms = tree.maybe("norms", lambda name: tree.array(name, 1, "float32"))
        codebooks = tree.array("centroids", 3, "float32")
        projection = tree.maybe("projection", lambda name: tree.array(name, 2, "float32"))
        largest = int(np.asarray(codes).max(initial=0))
        if codes.size and largest >= codebooks.shape[1]:
            expected = f"at most {codebooks.shape[1] - 1}, the last of the centroids"
            raise tree.error("codes", expected, str(largest))
        pq = tree.made(PQ, codebooks, projection, dims=tree.whole("dims"))
        return tree.made(cls, pq, codes, norms)

    def _details(self) -> str:
        return f", {self.quantizer!r}{', norms' if self.norms is not None else ''}"

    @property
    def reads_on_host(self) -> bool:
        """Whether codes are on the host; compiled code is faster at products with a projection."""
        return self.projection is None and self.on_host and len(self) > 0

    @cached_property
    def _host(self) -> tuple[np.ndarray | None, np.ndarray | None]:
        return host_view(self.codes), None if self.norms is None else host_view(self.norms)

    @property
    def _device_projection(self) -> Array | None:
        return None if self.projection is None else jnp.asarray(self.projection)

    def _unrotated(self, ids: Integer[AnyArray, "*batch"]) -> Float32[Array, "*batch dims"]:
        if self.shape[0] == 0:
            return jnp.zeros((*ids.shape, self.shape[1]), jnp.float32)
        codes = gather_rows(jnp.asarray(self.codes), ids)
        norms = None if self.norms is None else gather_rows(jnp.asarray(self.norms), ids)
        return decode(jnp.asarray(self.codebooks), codes, norms, self.shape[1])
