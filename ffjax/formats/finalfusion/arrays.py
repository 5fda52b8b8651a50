"""The chunks of arrays; each begins with its identifier and length, which `header` reads.

    chunk 2, a matrix
        rows           u64
        dims           u32
        type           u32   10, 32-bit floats
        padding        1 to 4
        matrix         f32[rows, dims]

    chunk 4, a product-quantized matrix
        projection     u32   1 if there is a projection, else 0
        norms          u32   1 if there are norms, else 0
        subquantizers  u32   codes in a row
        dims           u32   of a reconstructed row; a multiple of `subquantizers`
        centroids      u32   in each codebook
        rows           u64
        code type      u32   1, bytes
        float type     u32   10, 32-bit floats
        padding        1 to 4
        projection     f32[dims, dims]                                    if there is one
        codebooks      f32[subquantizers, centroids, dims / subquantizers]
        norms          f32[rows]                                          if there are any
        codes          u8[rows, subquantizers]

    chunk 6, the norms of words; n-grams have none
        n_norms        u64
        type           u32   10, 32-bit floats
        padding        1 to 4
        norms          f32[n_norms]

A row of chunk 4 is its centroids one after the other, times the transposed projection, times its
norm. The padding is `4 - position % 4` bytes, 1 to 4 and never 0, counted from the start of the
file, so that matrices can be mapped; a chunk's length includes it and so depends on where the chunk
stands.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ffjax._internal.arrays import host_view, read_array, release_pages
from ffjax.formats.finalfusion.header import ChunkId, cannot_hold
from ffjax.formats.io.binary import Cursor, Output
from ffjax.storage import PQ, ComposedArray, NdArray, QuantizedArray
from ffjax.storage.norms import Norms

TYPE_U8 = 1
TYPE_F32 = 10
# Rows are numbered in 32 bits, and JAX counts the elements of an axis in them.
_MAX_ROWS = 2**31 - 1
_BLOCK_BYTES = 1 << 24
_F32 = np.dtype("<f4")


class ComposedRows:
    """Rows that are composed while they are written, after which `norms` are known."""

    def __init__(self, storage: ComposedArray) -> None:
        self.storage = storage
        self._norms = np.empty(storage.n_words, np.float32)
        self.norms = Norms.view(self._norms)

    def blocks(self) -> Iterator[np.ndarray]:
        """The rows of words, then those of n-grams."""
        storage, n_words = self.storage, self.storage.n_words
        step = max(1, _BLOCK_BYTES // (4 * storage.shape[1]))
        for start in range(0, n_words, step):
            words = np.arange(start, min(start + step, n_words))
            rows, self._norms[words] = storage.units(words)
            yield rows
            release_pages(storage)
        for _, rows in storage.row_blocks(n_words, rows=step):
            yield rows


def read_matrix(cursor: Cursor, *, mmap: bool = False) -> NdArray:
    """Reads the body of chunk 2, or maps the matrix."""
    shape = cursor.number("Q", "rows", 0, _MAX_ROWS), cursor.u32("dims")
    cursor.number("I", "type", TYPE_F32, TYPE_F32)
    _skip_padding(cursor)
    return NdArray(_read_array(cursor, "matrix", shape, mmap=mmap))


def write_matrix(out: Output, storage: NdArray) -> None:
    """Writes the body of chunk 2."""
    if storage.dtype != _F32:
        hint = "Convert it, as in `ffjax.NdArray(storage.matrix.astype(jnp.float32))`."
        expected = "float32, which is all that finalfusion holds"
        raise cannot_hold("type", expected, str(storage.dtype), hint)
    _write_rows(out, storage.shape, _host_blocks(storage.matrix))


def write_composed(out: Output, rows: ComposedRows) -> None:
    """Writes the body of chunk 2 with rows that are composed."""
    _write_rows(out, rows.storage.shape, rows.blocks())


def read_quantized(cursor: Cursor, *, mmap: bool = False) -> QuantizedArray:
    """Reads the body of chunk 4, or maps the codes."""
    has_projection = cursor.number("I", "projection", 0, 1)
    has_norms = cursor.number("I", "norms", 0, 1)
    n_codes, dims_at = cursor.number("I", "subquantizers", 1), cursor.position
    dims, centroids = cursor.u32("dims"), cursor.u32("centroids")
    if dims % n_codes:
        expected = f"a multiple of the {n_codes} subquantizers"
        raise cursor.error("dims", expected, str(dims), offset=dims_at)
    rows = cursor.number("Q", "rows", 0, _MAX_ROWS)
    cursor.number("I", "code type", TYPE_U8, TYPE_U8)
    cursor.number("I", "float type", TYPE_F32, TYPE_F32)
    _skip_padding(cursor)
    projection = _read_array(cursor, "projection", (dims, dims)) if has_projection else None
    codebooks = _read_array(cursor, "codebooks", (n_codes, centroids, dims // n_codes))
    norms = _read_array(cursor, "norms", (rows,)) if has_norms else None
    codes_at = cursor.position
    codes = _read_array(cursor, "codes", (rows, n_codes), np.uint8, mmap=mmap)
    cursor.finish()  # the size, before any code is read
    _check_codes(cursor, codes_at, n_codes, centroids)
    return QuantizedArray(PQ(codebooks, projection), codes, norms)


def write_quantized(out: Output, storage: QuantizedArray) -> None:
    """Writes the body of chunk 4."""
    n_codes, centroids, _ = storage.codebooks.shape
    if n_codes < 1:
        raise cannot_hold("subquantizers", "at least 1", str(n_codes))
    rows, dims = storage.shape
    out.pack("II", storage.projection is not None, storage.norms is not None)
    out.pack("IIIQII", n_codes, dims, centroids, rows, TYPE_U8, TYPE_F32)
    _write_padding(out)
    for array in (storage.projection, storage.codebooks, storage.norms, storage.codes):
        if array is not None:
            out.write_blocks(array.nbytes, _host_blocks(array))


def read_norms(cursor: Cursor) -> Norms:
    """Reads the body of chunk 6."""
    count = cursor.number("Q", "number of norms", 0, _MAX_ROWS)
    cursor.number("I", "type", TYPE_F32, TYPE_F32)
    _skip_padding(cursor)
    return Norms(_read_array(cursor, "norms", (count,)))


def write_norms(out: Output, norms: Norms) -> None:
    """Writes the body of chunk 6."""
    out.pack("QI", len(norms), TYPE_F32)
    _write_padding(out)

    def blocks() -> Iterator[np.ndarray]:
        # The norms of composed rows are known only when those have been written.
        yield from _host_blocks(norms.array)

    out.write_blocks(4 * len(norms), blocks())


def _skip_padding(cursor: Cursor) -> None:
    """Steps over the padding, whatever its bytes are."""
    cursor.skip("padding", 4 - cursor.position % 4)


def _write_padding(out: Output) -> None:
    out.write(bytes(4 - out.position % 4))


def _read_array(
    cursor: Cursor, field: str, shape: tuple[int, ...], dtype: Any = _F32, *, mmap: bool = False
) -> Any:
    """Reads or maps an array, which must lie within the chunk."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size > cursor.remaining:
        expected = f"{size} bytes for {' x '.join(map(str, shape))} numbers"
        raise cursor.error(field, expected, f"{cursor.remaining} before the end of the chunk")
    return read_array(cursor.source, cursor.skip(field, size), shape, dtype, mmap=mmap)


def _write_rows(out: Output, shape: tuple[int, int], blocks: Iterable[np.ndarray]) -> None:
    rows, dims = shape
    out.pack("QII", rows, dims, TYPE_F32)
    _write_padding(out)
    out.write_blocks(rows * dims * _F32.itemsize, blocks)


def _host_blocks(array: Any) -> Iterator[np.ndarray]:
    """A few rows at a time, so that a device's array is never copied at once."""
    if not array.size:
        return
    host = host_view(array)
    step = max(1, _BLOCK_BYTES // max(1, array.nbytes // len(array)))
    for start in range(0, len(array), step):
        yield np.ascontiguousarray((array if host is None else host)[start : start + step])
        release_pages(array)


def _check_codes(cursor: Cursor, start: int, n_codes: int, centroids: int) -> None:
    """Checks that each code has a centroid; with 256 of them all bytes do."""
    codes = cursor.source.view(start, cursor.position)
    if centroids < 256 and codes.size and codes.max() >= centroids:
        i = int(np.argmax(codes >= centroids))
        row, column = divmod(i, n_codes)
        name, expected = f"code {column} of row {row}", f"less than {centroids}, the centroids"
        raise cursor.error(name, expected, str(codes[i]), offset=start + i)


READERS = {
    ChunkId.NdArray: read_matrix,
    ChunkId.QuantizedArray: read_quantized,
    ChunkId.NdNorms: read_norms,
}
WRITERS = {
    NdArray: (ChunkId.NdArray, write_matrix),
    ComposedRows: (ChunkId.NdArray, write_composed),
    QuantizedArray: (ChunkId.QuantizedArray, write_quantized),
    Norms: (ChunkId.NdNorms, write_norms),
}
