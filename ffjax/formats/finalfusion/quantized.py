"""The chunk of a product-quantized matrix, behind identifier 4 and length.

    projection     u32   1 if there is a projection, else 0
    norms          u32   1 if there are norms, else 0
    subquantizers  u32   codes in a row
    dims           u32   of a reconstructed row; a multiple of `subquantizers`
    centroids      u32   in each codebook
    rows           u64
    code type      u32   1, bytes
    float type     u32   10, 32-bit floats
    padding        1 to 4
    projection     f32[dims, dims]                                             if there is one
    codebooks      f32[subquantizers, centroids, dims / subquantizers]
    norms          f32[rows]                                                   if there are any
    codes          u8[rows, subquantizers]

A row is its centroids one after the other, times the transposed projection, times its norm.
"""

import numpy as np

from ffjax.errors import FinalfusionFormatError
from ffjax.formats.finalfusion.floats import (
    MAX_ROWS,
    padding,
    skip_array,
    skip_padding,
    write_array,
)
from ffjax.formats.finalfusion.header import (
    CHUNK_HEADER,
    TYPE_F32,
    TYPE_U8,
    ChunkId,
    write_chunk_header,
)
from ffjax.formats.finalfusion.vocab_common import read_within
from ffjax.formats.io.arrays import read_array
from ffjax.formats.io.binary import Cursor, File, Output
from ffjax.storage import PQ, QuantizedArray

_FIELDS = CHUNK_HEADER + 5 * 4 + 8 + 2 * 4
_BLOCK = 1 << 20


def read(cursor: Cursor, *, mmap: bool = False) -> QuantizedArray:
    """Reads the body of the chunk.

    Args:
        cursor: where the body begins.
        mmap: whether to map the codes instead of reading them; codebooks and norms are read.

    Raises:
        FinalfusionFormatError: it is cut short, has bytes left over, holds other types, shapes that don't fit each
            other, or a code without a centroid.
    """
    rotated = read_within(cursor, "I", "projection", 0, 1)
    with_norms = read_within(cursor, "I", "norms", 0, 1)
    at = cursor.position
    number, dims, centroids = cursor.u32("subquantizers"), cursor.u32("dims"), cursor.u32("centroids")
    if number < 1:
        raise cursor.error("subquantizers", "at least 1", str(number), offset=at)
    if dims % number:
        raise cursor.error("dims", f"a multiple of the {number} subquantizers", str(dims), offset=at + 4)
    rows = read_within(cursor, "Q", "rows", 0, MAX_ROWS)
    read_within(cursor, "I", "code type", TYPE_U8, TYPE_U8)
    read_within(cursor, "I", "float type", TYPE_F32, TYPE_F32)
    skip_padding(cursor)

    projection_at = skip_array(cursor, "projection", (dims, dims)) if rotated else None
    books_at = skip_array(cursor, "codebooks", (number, centroids, dims // number))
    norms_at = skip_array(cursor, "norms", (rows,)) if with_norms else None
    codes_at = skip_array(cursor, "codes", (rows, number), np.uint8)
    cursor.finish()
    _check_codes(cursor, codes_at, number, centroids)

    def floats(start: int | None, *shape: int):
        return None if start is None else read_array(cursor.source, start, shape, "<f4")

    quantizer = PQ(floats(books_at, number, centroids, dims // number), floats(projection_at, dims, dims))
    if mmap and cursor.source.mappable and rows:
        codes = cursor.source.map(codes_at, (rows, number), np.uint8)
    else:
        codes = read_array(cursor.source, codes_at, (rows, number), np.uint8)
    return QuantizedArray(quantizer, codes, floats(norms_at, rows))


def size(storage: QuantizedArray, position: int, *, file: File | None = None) -> int:
    """Bytes of the whole chunk if it begins at `position` in the file.

    Raises:
        FinalfusionFormatError: a row has no codes.
    """
    number, centroids, each = storage.codebooks.shape
    if number < 1:
        raise FinalfusionFormatError(
            file, chunk=ChunkId.QuantizedArray.name, field="subquantizers", expected="at least 1", got=str(number)
        )
    rows, dims = storage.shape
    floats = number * centroids * each
    floats += 0 if storage.projection is None else dims * dims
    floats += 0 if storage.norms is None else rows
    return _FIELDS + padding(position + _FIELDS) + 4 * floats + rows * number


def write(out: Output, storage: QuantizedArray) -> None:
    """Writes the whole chunk."""
    write_chunk_header(out, ChunkId.QuantizedArray, size(storage, out.position) - CHUNK_HEADER)
    number, centroids, _ = storage.codebooks.shape
    rows, dims = storage.shape
    out.pack("II", storage.projection is not None, storage.norms is not None)
    out.pack("IIIQII", number, dims, centroids, rows, TYPE_U8, TYPE_F32)
    out.write(bytes(padding(out.position)))
    for array in (storage.projection, storage.codebooks, storage.norms, storage.codes):
        if array is not None:
            write_array(out, array)


def _check_codes(cursor: Cursor, start: int, number: int, centroids: int) -> None:
    """Looks at every code, which is needed only where a byte can name a centroid that does not exist."""
    if centroids >= 256:
        return
    for first in range(start, cursor.end, _BLOCK):
        codes = cursor.source.view(first, min(first + _BLOCK, cursor.end))
        if codes.max() >= centroids:
            at = first + int(np.argmax(codes >= centroids))
            row, column = divmod(at - start, number)
            got = str(codes[at - first])
            raise cursor.error(f"code {column} of row {row}", f"less than {centroids}, the centroids", got, offset=at)
