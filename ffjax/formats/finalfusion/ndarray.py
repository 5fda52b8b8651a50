"""The chunk of a matrix, after identifier 2 and length.

    rows     u64
    dims     u32
    type     u32     10, 32-bit floats
    padding  1 to 4  bytes, up to a position in the file that four divides
    matrix   f32[rows, dims]

Thanks to the padding the matrix can be mapped.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from ffjax._internal.arrays import release_pages
from ffjax.formats.finalfusion import floats
from ffjax.formats.finalfusion.header import TYPE_F32, cannot_hold
from ffjax.formats.io.binary import Cursor, Output
from ffjax.storage import ComposedArray, NdArray
from ffjax.storage.norms import Norms

_BLOCK_BYTES = 1 << 24


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


def read(cursor: Cursor, *, mmap: bool = False) -> NdArray:
    """Reads the body of the chunk, or maps the matrix."""
    rows = cursor.number("Q", "rows", 0, floats.MAX_ROWS)
    shape = (rows, cursor.u32("dims"))
    cursor.number("I", "type", TYPE_F32, TYPE_F32)
    floats.skip_padding(cursor)
    if mmap and cursor.source.mappable and all(shape):
        start = floats.skip_array(cursor, "matrix", shape)
        cursor.finish()
        return NdArray(cursor.source.map(start, shape, floats.F32))
    matrix = floats.read_floats(cursor, "matrix", shape)
    cursor.finish()
    return NdArray(matrix)


def write(out: Output, storage: NdArray) -> None:
    """Writes the body of the chunk."""
    if storage.dtype != floats.F32:
        hint = "Convert it, as in `ffjax.NdArray(storage.matrix.astype(jnp.float32))`."
        expected = "float32, which is all that finalfusion holds"
        raise cannot_hold("type", expected, str(storage.dtype), hint)
    write_rows(out, storage.shape, floats.host_blocks(storage.matrix))


def write_composed(out: Output, rows: ComposedRows) -> None:
    """Writes the body of the chunk with rows that are composed."""
    write_rows(out, rows.storage.shape, rows.blocks())


def write_rows(out: Output, shape: tuple[int, int], blocks: Iterable[np.ndarray]) -> None:
    """Writes the body of the chunk with rows that come in blocks, little endian."""
    rows, dims = shape
    out.pack("QII", rows, dims, TYPE_F32)
    floats.write_padding(out)
    out.write_blocks(rows * dims * floats.F32.itemsize, blocks)
