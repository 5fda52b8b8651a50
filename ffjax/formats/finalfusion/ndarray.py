"""The chunk of a matrix, behind identifier 2 and length.

    rows     u64
    dims     u32
    type     u32     10, 32-bit floats
    padding  1 to 4  bytes, up to a position in the file that four divides
    matrix   f32[rows, dims]

The padding makes the matrix fit for mapping.
"""

import math
from collections.abc import Iterable

import numpy as np
from jaxtyping import Float32

from ffjax.errors import FinalfusionFormatError
from ffjax.formats.finalfusion.floats import (
    F32,
    MAX_ROWS,
    host_blocks,
    padding,
    read_floats,
    skip_array,
    skip_padding,
)
from ffjax.formats.finalfusion.header import CHUNK_HEADER, TYPE_F32, ChunkId, write_chunk_header
from ffjax.formats.finalfusion.vocab_common import read_within
from ffjax.formats.io.binary import Cursor, File, Output
from ffjax.storage import NdArray


def read(cursor: Cursor, *, mmap: bool = False) -> NdArray:
    """Reads the body of the chunk.

    Args:
        cursor: where the body begins.
        mmap: whether to map the matrix instead of reading it.

    Raises:
        FinalfusionFormatError: it is cut short, has bytes left over, or holds another type.
    """
    at = cursor.position
    rows, dims = cursor.u64("rows"), cursor.u32("dims")
    if rows > MAX_ROWS:
        raise cursor.error("rows", f"at most {MAX_ROWS}", str(rows), offset=at)
    read_within(cursor, "I", "type", TYPE_F32, TYPE_F32)
    skip_padding(cursor)
    shape = (rows, dims)
    if mmap and cursor.source.mappable and rows and dims:
        start = skip_array(cursor, "matrix", shape)
        cursor.finish()
        return NdArray(cursor.source.map(start, shape, F32))
    matrix = read_floats(cursor, "matrix", shape)
    cursor.finish()
    return NdArray(matrix)


def size(storage: NdArray, position: int, *, file: File | None = None) -> int:
    """Bytes of the whole chunk if it begins at `position` in the file.

    Raises:
        FinalfusionFormatError: the matrix is not of 32-bit floats.
    """
    if storage.dtype != F32:
        raise FinalfusionFormatError(
            file,
            chunk=ChunkId.NdArray.name,
            field="type",
            expected="float32, which is all that finalfusion holds",
            got=str(storage.dtype),
            hint="Convert it, as in `ffjax.NdArray(storage.matrix.astype(jnp.float32))`.",
        )
    return size_of(storage.shape, position)


def size_of(shape: tuple[int, int], position: int) -> int:
    """Bytes of the whole chunk of a matrix of this shape if it begins at `position` in the file."""
    fields = CHUNK_HEADER + 8 + 4 + 4
    return fields + padding(position + fields) + math.prod(shape) * F32.itemsize


def write(out: Output, storage: NdArray) -> None:
    """Writes the whole chunk."""
    write_rows(out, storage.shape, host_blocks(storage.matrix))


def write_rows(out: Output, shape: tuple[int, int], blocks: Iterable[Float32[np.ndarray, "n dims"]]) -> None:
    """Writes the whole chunk of a matrix of this shape whose rows come in blocks, little endian."""
    write_chunk_header(out, ChunkId.NdArray, size_of(shape, out.position) - CHUNK_HEADER)
    out.pack("QII", *shape, TYPE_F32)
    out.write(bytes(padding(out.position)))
    for block in blocks:
        out.write(block)
