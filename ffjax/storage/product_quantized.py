"""Product-quantized storage: each row is a few byte-sized codes into codebooks.

A row is the concatenation of its centroids, times the transposed projection where there is one
(optimized product quantization), times its norm where there is one:

    row[i] = norms[i] * (concat(codebooks[m][codes[i, m]] for m) @ projection.T)
"""

import math
from functools import cached_property
from itertools import pairwise
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, UInt8

from ffjax._internal.arguments import check_array, check_out, whole_number
from ffjax._internal.arrays import AnyArray, on_host, placed_array
from ffjax._internal.cpus import map_blocks, n_cpus
from ffjax._internal.pytree import set_fields, value
from ffjax.kernels.gather_sum import gather_sum
from ffjax.kernels.pq_scan import ROUNDING, Codes, code_scores, code_starts, rotate
from ffjax.kernels.top_k.rows import RowSource
from ffjax.kernels.top_k.top_k_numpy import Queries, Scores, row_scores
from ffjax.storage.base import Ids, NewRows, RowArrays, RowKey, Slots, Vectors, written

# Codes decoded at a time on the host: their centroids stay in the cache until they are read.
_BLOCK_CODES = 1 << 17


@value(static=("reconstructed_len",))
class PQ:
    """A product quantizer: codebooks, and for optimized product quantization a rotation.

    Args:
        quantizers: the codebooks, float32 `[subquantizers, centroids, dims_each]`.
        projection: the rotation, float32 `[dims, dims]`, or `None`.
        dims: dimensions of the reconstructed vectors, if fewer than `subquantizers * dims_each`:
            only the first numbers of the last subquantizer's centroids are used then.

    Raises:
        TypeError: if an array is not float32 or has the wrong rank.
        ValueError: if the projection is not `[dims, dims]`, or the last subquantizer has no dims.

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
        return bool(np.abs(matrix.T @ matrix - np.eye(len(matrix))).sum(1).max() <= ROUNDING)

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

    def _decoded(
        self, codes: np.ndarray, ids: np.ndarray | None, batch: tuple[int, ...], out: Any
    ) -> np.ndarray:
        """The vectors of codes, or of the rows `ids` of them, on all cores if it pays."""
        rows = out
        if out is None or not out.flags.c_contiguous or out.dtype != np.float32:
            rows = np.empty((*batch, self.reconstructed_len), np.float32)
        if not rows.size:
            return written(rows, out)
        flat = rows.reshape(-1, self.reconstructed_len)
        centroids, starts, projection = self._host
        step = max(1, _BLOCK_CODES // len(starts))
        aligned = projection is None and flat.shape[1] == centroids.shape[1] * len(starts)

        def decode_rows(begin: int, end: int) -> None:
            entries = np.empty((step, len(starts)), np.intp)
            for first in range(begin, end, step):
                block = slice(first, min(first + step, end))
                block_codes = codes[block]
                if ids is not None:
                    block_codes = codes.take(ids[block], axis=0, mode="clip")
                    if self.n_centroids != 256:
                        block_codes = self._checked_codes(block_codes)
                if aligned:  # straight into `flat`; "raise" would buffer
                    numbers = entries[: len(block_codes)]
                    numbers[...] = block_codes + starts
                    target = flat[block].reshape(*numbers.shape, -1)
                    centroids.take(numbers, axis=0, out=target, mode="clip")
                else:
                    vectors = self._concatenated(block_codes)
                    flat[block] = vectors if projection is None else vectors @ projection.T

        # Matrix products use all cores by themselves.
        if len(flat) < 8 * step or projection is not None or n_cpus() == 1:
            decode_rows(0, len(flat))
        else:
            ends = np.linspace(0, len(flat), n_cpus() + 1, dtype=int).tolist()
            map_blocks(lambda bounds: decode_rows(*bounds), list(pairwise(ends)))
        return rows if rows is out else written(rows, out)

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
        centroids = on_host(self.codebooks).reshape(-1, dims_each)
        projection = None if self.projection is None else on_host(self.projection)
        return centroids, code_starts(n_books, n_centroids), projection


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
        return rotate(total, self.projection)

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
        if self.projection is not None:
            queries = queries @ on_host(self.projection)
        books = on_host(self.codebooks)
        scores = code_scores(books, codes, queries, self.shape[1], unit=unit)
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
        """The same as JAX arrays, in compiled code too."""
        x = jax.tree.map(jnp.asarray, self)
        return Codes(x.codebooks, x.codes, x.norms, x.projection, self.shape[1])

    def _unrotated(self, ids: Ids) -> Vectors:
        if self.shape[0] == 0:
            return jnp.zeros((*ids.shape, self.shape[1]), jnp.float32)
        return self._on_device.gather(ids)
