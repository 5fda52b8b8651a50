"""The chunk of a product-quantized matrix, after identifier 4 and length.

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

from ffjax._internal.arrays import read_array
from ffjax.formats.finalfusion import floats
from ffjax.formats.finalfusion.header import TYPE_F32, TYPE_U8, cannot_hold
from ffjax.formats.io.binary import Cursor, Output
from ffjax.storage import PQ, QuantizedArray

_SCAN_BYTES = 1 << 20


def read(cursor: Cursor, *, mmap: bool = False) -> QuantizedArray:
    """Reads the body of the chunk, or maps the codes."""
    has_projection = cursor.number("I", "projection", 0, 1)
    has_norms = cursor.number("I", "norms", 0, 1)
    n_codes, dims_at = cursor.number("I", "subquantizers", 1), cursor.position
    dims, centroids = cursor.u32("dims"), cursor.u32("centroids")
    if dims % n_codes:
        expected = f"a multiple of the {n_codes} subquantizers"
        raise cursor.error("dims", expected, str(dims), offset=dims_at)
    rows = cursor.number("Q", "rows", 0, floats.MAX_ROWS)
    cursor.number("I", "code type", TYPE_U8, TYPE_U8)
    cursor.number("I", "float type", TYPE_F32, TYPE_F32)
    floats.skip_padding(cursor)
    projection = floats.read_floats(cursor, "projection", (dims, dims)) if has_projection else None
    codebooks = floats.read_floats(cursor, "codebooks", (n_codes, centroids, dims // n_codes))
    norms = floats.read_floats(cursor, "norms", (rows,)) if has_norms else None
    shape = (rows, n_codes)
    codes_at = floats.skip_array(cursor, "codes", shape, np.uint8)
    cursor.finish()
    _check_codes(cursor, codes_at, n_codes, centroids)
    if mmap and cursor.source.mappable and rows:
        codes = cursor.source.map(codes_at, shape, np.uint8)
    else:
        codes = read_array(cursor.source, codes_at, shape, np.uint8)
    return QuantizedArray(PQ(codebooks, projection), codes, norms)


def write(out: Output, storage: QuantizedArray) -> None:
    """Writes the body of the chunk."""
    n_codes, centroids, _ = storage.codebooks.shape
    if n_codes < 1:
        raise cannot_hold("subquantizers", "at least 1", str(n_codes))
    rows, dims = storage.shape
    out.pack("II", storage.projection is not None, storage.norms is not None)
    out.pack("IIIQII", n_codes, dims, centroids, rows, TYPE_U8, TYPE_F32)
    floats.write_padding(out)
    for array in (storage.projection, storage.codebooks, storage.norms, storage.codes):
        if array is not None:
            floats.write_array(out, array)


def _check_codes(cursor: Cursor, start: int, n_codes: int, centroids: int) -> None:
    """Checks that each code has a centroid; with 256 of them all bytes do."""
    if centroids >= 256:
        return
    for first in range(start, cursor.end, _SCAN_BYTES):
        codes = cursor.source.view(first, min(first + _SCAN_BYTES, cursor.end))
        if codes.max() >= centroids:
            i = int(np.argmax(codes >= centroids))
            row, column = divmod(first + i - start, n_codes)
            expected = f"less than {centroids}, the centroids"
            name = f"code {column} of row {row}"
            raise cursor.error(name, expected, str(codes[i]), offset=first + i)
