r"""NumPy's `.npy`: one array.

    magic    93 "NUMPY", u8 major, u8 minor
    length   u16 (version 1) or u32 (versions 2 and 3)
    header   a Python dict: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }, then
             spaces and a line feed
    data     the numbers, row by row unless `fortran_order`

See https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html. Arrays of objects are
pickles, which are not read.
"""

import ast
from typing import Any

import numpy as np

from ffjax.formats.io.binary import Array, ByteSource, Cursor
from ffjax.formats.registry import FORMATS

(MAGIC,) = FORMATS["npy"].magics
_MOST_HEADER_BYTES = 1 << 16
_MOST_NDIM = 2
_KINDS = "fiuSU"
_FIELDS = {"descr", "fortran_order", "shape"}


def read_npy(source: ByteSource, name: str = "header", *, any_kind: bool = False) -> Array:
    """Reads the head of an array, which errors call `name`, and checks the number of its bytes.

    With `any_kind` it may hold other things than numbers and strings, in more than two dimensions.
    """
    cursor = Cursor(source, chunk=name)
    magic = bytes(cursor.take("magic", len(MAGIC)))
    if magic != MAGIC:
        raise cursor.error("magic", repr(MAGIC), repr(magic), offset=0)
    major = cursor.number("B", "version", 1, 3)
    cursor.number("B", "version", 0, 0)
    size = cursor.number("H" if major == 1 else "I", "length", 1, _MOST_HEADER_BYTES)
    offset, text = cursor.position, str(cursor.take("header", size), "latin-1")
    try:
        fields = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        fields = None
    if not isinstance(fields, dict) or set(fields) != _FIELDS:
        expected = f"a dict of {', '.join(sorted(_FIELDS))}"
        raise cursor.error("header", expected, repr(text[:64]), offset=offset)
    shape, dtype = fields["shape"], _dtype(cursor, fields["descr"], offset, any_kind)
    is_shape = isinstance(shape, tuple) and all(type(n) is int and 0 <= n < 1 << 48 for n in shape)
    if not is_shape or len(shape) > _MOST_NDIM and not any_kind:
        expected = f"at most {_MOST_NDIM} sizes"
        raise cursor.error("shape", expected, repr(shape)[:64], offset=offset)
    array = Array(source, cursor.position, dtype, shape, fields["fortran_order"] is True)
    if array.nbytes != cursor.remaining and not dtype.hasobject:  # only the pickle tells their size
        expected = f"{array.nbytes} bytes for {dtype} of shape {shape}"
        raise cursor.error("data", expected, f"{cursor.remaining} before the end")
    return array


def _dtype(cursor: Cursor, descr: Any, offset: int, any_kind: bool) -> np.dtype:
    """The type of the numbers or strings."""
    try:
        dtype = np.dtype(descr) if any_kind or isinstance(descr, str) else None
    except (TypeError, ValueError, SyntaxError):
        dtype = None
    if dtype is None or (dtype.kind not in _KINDS and not any_kind):
        hint, got = None, repr(descr)[:64]
        if isinstance(descr, str) and descr.endswith("O"):
            hint = "Arrays of objects are pickles, which are not read. Save numbers or `str`."
        raise cursor.error("descr", "numbers or strings", got, offset=offset, hint=hint)
    return dtype
