"""Product-quantized storage: each row is a few byte-sized codes into codebooks.

A row is the concatenation of its centroids, times the transposed projection where there is one
(optimized product quantization), times its norm where there is one:

    row[i] = norms[i] * (concat(codebooks[m][codes[i, m]] for m) @ projection.T)
"""

from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, UInt8

from ffjax._internal.arguments import check_array
from ffjax._internal.arrays import AnyArray, placed_array
from ffjax._internal.pytree import set_fields, value
from ffjax.kernels.gather_sum import gather_sum
from ffjax.kernels.pq_scan import Codes, rotate
from ffjax.kernels.top_k.rows import RowSource
from ffjax.kernels.top_k.top_k_numpy import Queries, Scores, row_scores
from ffjax.storage.base import Ids, NewRows, RowArrays, RowKey, Slots, Vectors
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

    row_arrays = ("codes", "norms")

    quantizer: PQ
    codes: UInt8[AnyArray, "rows subquantizers"]
    norms: Float32[AnyArray, " rows"] | None

    def __init__(self, pq: PQ, quantized_embeddings: Any, norms: Any = None) -> None:
        if not isinstance(pq, PQ):
            raise TypeError(f"`pq`: expected a PQ, got {type(pq).__name__}.")
        check_array("quantized_embeddings", quantized_embeddings, 2, "uint8")
        rows, n_codes = quantized_embeddings.shape
        if n_codes != (n_books := pq.codebooks.shape[0]):
            expected = f"expected {n_books} codes a row"
            raise ValueError(f"`quantized_embeddings`: {expected}, got {n_codes}.")
        if norms is not None:
            check_array("norms", norms, 1, "float32", rows=rows)
        codes = placed_array(quantized_embeddings)
        set_fields(self, quantizer=pq, codes=codes, norms=placed_array(norms))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and dimensions of the reconstructed matrix."""
        return self.codes.shape[0], self.quantizer.reconstructed_len

    @property
    def sums_are_linear(self) -> bool:
        """Whether sums are linear in the leaves of floats: centroids are multiplied by norms."""
        return self.norms is None

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

    def gather(self, ids: Ids) -> Vectors:
        """The reconstructed rows with these numbers; numbers are clipped into range."""
        return self.finish_sum(self._unrotated(ids))

    def partial_sum(self, ids: Slots) -> Vectors:
        """The sum of the centroids of each row, times its norm, before the rotation."""
        return gather_sum(self._unrotated, ids, self.shape[1])

    def finish_sum(self, total: Vectors) -> Vectors:
        """The sum rotated back: a rotation is linear, so it is applied once and not to each row."""
        projection = self.projection
        return rotate(total, None if projection is None else jnp.asarray(projection))

    def row_source(self, n_rows: int) -> RowSource:
        """The rows before the rotation, decoded in chunks or looked up in tables."""
        return self._on_device.source(n_rows)

    def read(self, ids: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Reconstructed rows on the host."""
        codes, norms = self._readable
        if isinstance(ids, np.ndarray) and isinstance(codes, np.ndarray):
            rows = self.quantizer.reconstruct_rows(codes, ids, out)
        else:
            rows = self.quantizer.reconstruct(np.asarray(codes[ids]), out)
        if norms is not None:
            rows *= np.asarray(norms[ids])[..., None]
        return rows

    def host_scores(self, rows: RowKey, queries: Queries, *, unit: bool) -> Scores:
        """The products of some rows with queries in NumPy, by tables if that is possible."""
        if unit and not self.quantizer.keeps_norms:
            return row_scores(self.read(rows), queries, unit=True)
        codes, norms = self.read_arrays(rows)
        scores = self.quantizer.code_scores(codes, queries, unit=unit)
        if norms is not None:
            # Whatever a row's norm is, the cosine only has its sign.
            scores *= np.sign(norms) if unit else norms
        return scores

    def encode(self, rows: NewRows) -> dict[str, np.ndarray]:
        """Raises an error: the codebooks were not trained on other rows."""
        raise TypeError(
            "`embeddings`: expected rows of plain numbers, got quantized ones. Make them plain "
            "first, with `ffjax.reconstruct`, and quantize them again afterwards."
        )

    def to_tree(self) -> dict[str, Any]:
        """What a snapshot keeps."""
        arrays = {"codes": self.codes, "norms": self.norms, "centroids": self.codebooks}
        return {"kind": self.kind, **arrays, "projection": self.projection, "dims": self.shape[1]}

    @classmethod
    def from_tree(cls, tree: Any) -> "QuantizedArray":
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
        return f", {self.quantizer!r}{'' if self.norms is None else ', norms'}"

    @property
    def reads_on_host(self) -> bool:
        """Whether codes are on the host; compiled code is faster at products with a projection."""
        return self.projection is None and self.on_host and len(self) > 0

    @property
    def _on_device(self) -> Codes:
        """The same as JAX arrays, inside compiled code too."""
        x = jax.tree.map(jnp.asarray, self)
        return Codes(x.codebooks, x.codes, x.norms, x.projection, self.shape[1])

    def _unrotated(self, ids: Ids) -> Vectors:
        if self.shape[0] == 0:
            return jnp.zeros((*ids.shape, self.shape[1]), jnp.float32)
        return self._on_device.gather(ids)
