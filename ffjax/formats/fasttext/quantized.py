"""A quantized matrix of a fastText file.

    norms      u8                 1 if the norm of each row is quantized apart, else 0
    rows       i64
    dims       i64
    size       i32                rows * n_codes
    codes      u8[rows, n_codes]
    quantizer of the rows
    norm_codes u8[rows]           if `norms`
    quantizer of one dimension    if `norms`

where a quantizer is

    dims       i32
    n_codes    i32                codes of a row
    width      i32                dimensions of each code but the last
    last       i32                dimensions of the last code, at most `width`
    centroids  f32[n_codes - 1, 256, width], f32[256, last]

A `QuantizedArray` has the last code's centroids padded with zeros to `width`, and leaves out the
dimensions that come of them. The norms of rows are decoded when they are read; 256 numbers are soon
encoded again.
"""

from typing import Any, NamedTuple

import numpy as np

from ffjax.formats.io.binary import Cursor, Output

CENTROIDS = 256


class Matrix(NamedTuple):
    """A matrix of a file, whose head, numbers (or codes) begin at bytes `head` and `start`."""

    head: int
    start: int
    rows: int
    codebooks: np.ndarray | None = None
    norms: np.ndarray | None = None


def read(cursor: Cursor, dims: int) -> Matrix:
    """Reads a quantized matrix of as many dimensions as the settings say, but for its codes."""
    head = cursor.position
    has_norms = cursor.number("B", "norms", 0, 1)
    start = cursor.position
    rows, columns = cursor.number("q", "rows"), cursor.number("q", "dims")
    size = cursor.number("i", "size of codes")
    if columns != dims:
        expected = f"{dims}, as the settings say"
        raise cursor.error("dims", expected, str(columns), offset=start + 8)
    if rows < 0 or size < 0 or (rows and size % rows) or (not rows and size):
        expected, got = "as many codes for each row", f"{rows} and {size}"
        raise cursor.error("rows, size of codes", expected, got, offset=start)
    start = cursor.skip("codes", size)
    quantizer_at = cursor.position
    codebooks, norms = _read_quantizer(cursor, dims), None
    if size != rows * len(codebooks):
        expected = str(size // max(rows, 1))
        got = f"{len(codebooks)} for {rows} rows and {size} codes"
        raise cursor.error("codes of a row", expected, got, offset=quantizer_at)
    if has_norms:
        norm_codes = np.frombuffer(cursor.take("norm codes", rows), np.uint8)
        norms = _read_quantizer(cursor, 1).reshape(CENTROIDS)[norm_codes]
    return Matrix(head, start, rows, codebooks, norms)


def write(output: Output, storage: Any, dims: int) -> None:
    """Writes a quantized matrix that the format `can_hold`."""
    rows, n_codes = storage.codes.shape
    output.pack("?qqi", storage.norms is not None, rows, dims, rows * n_codes)
    output.write(np.ascontiguousarray(storage.codes))
    _write_quantizer(output, np.asarray(storage.codebooks), dims)
    if storage.norms is not None:
        values, codes = np.unique(np.asarray(storage.norms), return_inverse=True)
        codebook = np.zeros((1, CENTROIDS, 1), np.float32)
        codebook[0, : len(values), 0] = values
        output.write(codes.astype(np.uint8))
        _write_quantizer(output, codebook, 1)


def can_hold(storage: Any) -> bool:
    """Whether the format can hold rows as codes: 256 centroids, no rotation, at most 256 norms."""
    return (
        getattr(storage, "kind", None) == "QuantizedArray"
        and storage.projection is None
        and storage.codebooks.shape[1] == CENTROIDS
        and storage.codes.size < 2**31
        and (storage.norms is None or len(np.unique(np.asarray(storage.norms))) <= CENTROIDS)
    )


def row_norms(storage: Any) -> np.ndarray:
    """The norm of each row, float32 `[rows]`, without reconstructing one."""
    squares = np.square(np.asarray(storage.codebooks, np.float64)).sum(-1)
    codes = np.asarray(storage.codes)
    total = np.zeros(len(codes))
    for column, codebook in zip(codes.T, squares, strict=True):
        total += codebook[column]
    norms = np.sqrt(total)
    if storage.norms is not None:
        norms = norms * np.abs(np.asarray(storage.norms))
    return norms.astype(np.float32)


def _read_quantizer(cursor: Cursor, dims: int) -> np.ndarray:
    """Codebooks of a quantizer of so many dimensions, float32 `[n_codes, 256, width]`."""
    start = cursor.position
    columns, n_codes = cursor.number("i", "dims"), cursor.number("i", "n_codes")
    width, last = cursor.number("i", "width"), cursor.number("i", "last")
    is_split = n_codes >= 1 and 1 <= last <= width and (n_codes - 1) * width + last == dims
    if columns != dims or not is_split:
        raise cursor.error(
            "dims, n_codes, width, last",
            f"{dims}, and numbers with (n_codes - 1) * width + last = {dims}",
            f"{columns}, {n_codes}, {width}, {last}",
            offset=start,
        )
    flat = np.frombuffer(cursor.take("centroids", dims * CENTROIDS * 4), "<f4")
    width = min(width, dims)  # one code may declare to be wider than all dimensions
    codebooks = np.zeros((n_codes, CENTROIDS, width), np.float32)
    split = (n_codes - 1) * CENTROIDS * width
    codebooks[:-1] = flat[:split].reshape(n_codes - 1, CENTROIDS, width)
    codebooks[-1, :, :last] = flat[split:].reshape(CENTROIDS, last)
    return codebooks


def _write_quantizer(output: Output, codebooks: np.ndarray, dims: int) -> None:
    n_codes, _, width = codebooks.shape
    last = dims - (n_codes - 1) * width
    output.pack("iiii", dims, n_codes, width, last)
    output.write(np.ascontiguousarray(codebooks[:-1], "<f4"))
    output.write(np.ascontiguousarray(codebooks[-1, :, :last], "<f4"))
