"""A quantized matrix of a fastText file.

    norms      u8                 1 if the length of each row is quantized apart from its direction, else 0
    rows       i64
    dims       i64
    size       i32                rows * n_codes
    codes      u8[rows, n_codes]
    quantizer of the rows
    norm_codes u8[rows]           if `norms`
    quantizer of one dimension    if `norms`

where a quantizer is

    dims       i32
    n_codes    i32                codes a row
    width      i32                dimensions of each code but the last
    last       i32                dimensions of the last code, at most `width`
    centroids  f32[n_codes - 1, 256, width], f32[256, last]

A `QuantizedArray` has the last code's centroids filled up with zeros to `width`, and leaves out the dimensions that
come of them. The lengths of rows are decoded when they are read; 256 numbers are soon found again.
"""

from typing import Any

import numpy as np
from jaxtyping import Float32

from ffjax.formats.io.binary import Cursor, Output
from ffjax.storage import PQ, QuantizedArray

CENTROIDS = 256


def read(cursor: Cursor, dims: int, *, mmap: bool = False) -> QuantizedArray:
    """Reads a quantized matrix.

    Args:
        cursor: where it begins.
        dims: the dimensions that the settings say.
        mmap: whether to map the codes instead of reading them.

    Raises:
        FormatError: the file ends within it, or it contradicts itself.
    """
    has_norms = read_flag(cursor, "norms")
    at = cursor.position
    rows, columns, size = cursor.number("q", "rows"), cursor.number("q", "dims"), cursor.number("i", "size of codes")
    if columns != dims:
        raise cursor.error("dims", f"{dims}, as the settings say", str(columns), offset=at + 8)
    if rows < 0 or size < 0 or (rows and size % rows) or (not rows and size):
        raise cursor.error("rows, size of codes", "as many codes for each row", f"{rows} and {size}", offset=at)
    codes_at = cursor.skip("codes", size)
    quantizer_at = cursor.position
    books = _read_quantizer(cursor, dims)
    if size != rows * books.shape[0]:
        got = f"{books.shape[0]} for {rows} rows and {size} codes"
        raise cursor.error("codes a row", f"{size // max(rows, 1)}", got, offset=quantizer_at)
    norms = None
    if has_norms:
        norm_codes = np.frombuffer(cursor.take("norm codes", rows), np.uint8)
        norms = _read_quantizer(cursor, 1).reshape(CENTROIDS)[norm_codes]
    shape = (rows, books.shape[0])
    if mmap and cursor.source.mappable and size:
        codes: Any = cursor.source.map(codes_at, shape, np.uint8)
    else:
        codes = np.empty(shape, np.uint8)
        cursor.source.read_into(codes_at, codes)
    return QuantizedArray(PQ(books, dims=dims), codes, norms)


def write(output: Output, storage: QuantizedArray, dims: int) -> None:
    """Writes a quantized matrix that `can_hold`."""
    rows, n_codes = storage.codes.shape
    output.pack("?qqi", storage.norms is not None, rows, dims, rows * n_codes)
    output.write(np.ascontiguousarray(storage.codes))
    _write_quantizer(output, np.asarray(storage.codebooks), dims)
    if storage.norms is not None:
        values, codes = np.unique(np.asarray(storage.norms), return_inverse=True)
        book = np.zeros((1, CENTROIDS, 1), np.float32)
        book[0, : len(values), 0] = values
        output.write(codes.astype(np.uint8))
        _write_quantizer(output, book, 1)


def can_hold(storage: Any) -> bool:
    """Whether fastText's format can hold a storage as it is: 256 centroids, no rotation, at most 256 lengths."""
    return (
        isinstance(storage, QuantizedArray)
        and storage.projection is None
        and storage.codebooks.shape[1] == CENTROIDS
        and storage.codes.size < 2**31
        and (storage.norms is None or len(np.unique(np.asarray(storage.norms))) <= CENTROIDS)
    )


def read_flag(cursor: Cursor, field: str) -> bool:
    """Reads a byte that is 0 or 1.

    Raises:
        FormatError: it is something else.
    """
    at = cursor.position
    flag = cursor.number("B", field)
    if flag > 1:
        raise cursor.error(field, "0 or 1", str(flag), offset=at)
    return bool(flag)


def _read_quantizer(cursor: Cursor, dims: int) -> Float32[np.ndarray, "n_codes centroids width"]:
    at = cursor.position
    columns, n_codes, width, last = (cursor.number("i", f) for f in ("dims", "n_codes", "width", "last"))
    if columns != dims or width < 1 or not 1 <= last <= width or n_codes < 1 or (n_codes - 1) * width + last != dims:
        raise cursor.error(
            "dims, n_codes, width, last",
            f"{dims}, and numbers with (n_codes - 1) * width + last = {dims}",
            f"{columns}, {n_codes}, {width}, {last}",
            offset=at,
        )
    flat = np.frombuffer(cursor.take("centroids", dims * CENTROIDS * 4), "<f4")
    width = min(width, dims)  # one code may declare to be wider than all dimensions
    books = np.zeros((n_codes, CENTROIDS, width), np.float32)
    whole = (n_codes - 1) * CENTROIDS * width
    books[:-1] = flat[:whole].reshape(n_codes - 1, CENTROIDS, width)
    books[-1, :, :last] = flat[whole:].reshape(CENTROIDS, last)
    return books


def _write_quantizer(output: Output, books: Float32[np.ndarray, "n_codes centroids width"], dims: int) -> None:
    n_codes, _, width = books.shape
    last = dims - (n_codes - 1) * width
    output.pack("iiii", dims, n_codes, width, last)
    output.write(np.ascontiguousarray(books[:-1], "<f4"))
    output.write(np.ascontiguousarray(books[-1, :, :last], "<f4"))


def row_lengths(storage: QuantizedArray) -> Float32[np.ndarray, " rows"]:
    """The length of each row, without putting any together."""
    squares = np.square(np.asarray(storage.codebooks, np.float64)).sum(-1)
    codes = np.asarray(storage.codes)
    total = np.zeros(len(codes))
    for code, book in zip(codes.T, squares, strict=True):
        total += book[code]
    lengths = np.sqrt(total)
    return (lengths if storage.norms is None else lengths * np.abs(np.asarray(storage.norms))).astype(np.float32)

