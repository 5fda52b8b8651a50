"""safetensors: named arrays in one file, of which each can be read or mapped by itself.

    u64      the length of the header, at most 100 MB
    header   JSON: {name: {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...}, then
             spaces; the key `__metadata__` is an object of strings
    data     the arrays, little endian in C order, without gaps; offsets count from its start

The format is defined at https://github.com/huggingface/safetensors/blob/main/README.md.
"""

import json
import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from ml_dtypes import bfloat16, float8_e4m3fn, float8_e5m2

from ffjax.errors import FormatError
from ffjax.formats.io.binary import Array, ByteSource, Cursor, Output

_MAX_HEADER_BYTES = 100_000_000
_MAX_NDIM, _MAX_SIZE = 8, 1 << 62
_ALIGNMENT = 8
_METADATA = "__metadata__"
_FIELDS = {"dtype", "shape", "data_offsets"}
_DTYPES = {
    **{"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": bfloat16},
    **{"F8_E4M3": float8_e4m3fn, "F8_E5M2": float8_e5m2, "BOOL": np.bool_},
    **{"I64": np.int64, "I32": np.int32, "I16": np.int16, "I8": np.int8},
    **{"U64": np.uint64, "U32": np.uint32, "U16": np.uint16, "U8": np.uint8},
}
_NAMES = {np.dtype(dtype): name for name, dtype in _DTYPES.items()}


def is_safetensors(head: bytes) -> bool:
    """Whether the first bytes of a file may be those of safetensors."""
    if len(head) < 10 or not head[8:9] == b"{":
        return False
    return int.from_bytes(head[:8], "little") <= _MAX_HEADER_BYTES and head[9:10] in b'"} \t\r\n'


def read_header(source: ByteSource) -> dict[str, Array]:
    """The arrays of a file by name, which must fill the rest of the file exactly."""
    cursor = Cursor(source, chunk="header")
    size = cursor.number("Q", "length", 2, _MAX_HEADER_BYTES)
    cursor.claim("length", size, offset=0)
    start = cursor.position
    entries = cursor.json("JSON", size, dict, "an object of arrays")
    metadata = entries.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(type(x) is str for x in metadata.values()):
        got = repr(metadata)[:64]
        raise cursor.error(_METADATA, "an object of strings", got, offset=start)
    tensors = {name: _tensor(cursor, name, entry) for name, entry in entries.items()}
    position = start = cursor.position
    in_order = sorted(tensors.items(), key=lambda item: (item[1].start, item[1].nbytes))
    for name, tensor in in_order:
        if tensor.start != position:
            expected = f"{position - start} for the first, where the array before ends"
            raise _error(cursor, name, "data_offsets", expected, tensor.start - start)
        position += tensor.nbytes
    if position != cursor.end:
        got = f"{cursor.end - start} bytes of data"
        expected = f"{position - start}, where the last array ends"
        raise cursor.error("data", expected, got, offset=min(position, cursor.end))
    return tensors


def _tensor(cursor: Cursor, name: str, entry: Any) -> Array:
    """The array of an entry."""
    if not isinstance(entry, dict) or entry.keys() != _FIELDS:
        raise _error(cursor, name, "entry", "an object of `dtype`, `shape`, `data_offsets`", entry)
    kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(kind, str) or kind not in _DTYPES:
        raise _error(cursor, name, "dtype", f"one of {', '.join(_DTYPES)}", kind)
    if not _are_sizes(shape):
        raise _error(cursor, name, "shape", f"at most {_MAX_NDIM} sizes", shape)
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise _error(cursor, name, "data_offsets", "the first byte and the one after", offsets)
    if math.prod(n or 1 for n in shape) > _MAX_SIZE:
        raise _error(cursor, name, "shape", f"at most {_MAX_SIZE} numbers", shape)
    start, stop = offsets
    dtype = np.dtype(_DTYPES[kind])
    array = Array(cursor.source, cursor.position + start, dtype, tuple(shape))
    if stop - start != array.nbytes:
        expected = f"{array.nbytes} bytes for {kind} of shape {shape}"
        raise _error(cursor, name, "data_offsets", expected, offsets)
    if stop > cursor.remaining:
        expected = f"at most {cursor.remaining}, the bytes of data"
        raise _error(cursor, name, "data_offsets", expected, stop)
    return array


def _are_sizes(numbers: Any) -> bool:
    if not isinstance(numbers, list) or len(numbers) > _MAX_NDIM:
        return False
    return all(type(n) is int and 0 <= n <= _MAX_SIZE for n in numbers)


def _error(cursor: Cursor, name: str, field: str, expected: str, got: Any) -> FormatError:
    # The entries' own offsets are lost in parsing.
    return cursor.error(f"{name[:64]!r}: {field}", expected, repr(got)[:64], offset=8)


def write_header(
    out: Output,
    arrays: Mapping[str, tuple[Any, tuple[int, ...]]],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Writes the head of a file; the bytes of the arrays (dtype, shape) must follow in order."""
    header: dict[str, Any] = {_METADATA: dict(metadata)} if metadata else {}
    stop = 0
    for name, (dtype, shape) in arrays.items():
        dtype, start = np.dtype(dtype), stop
        stop += math.prod(shape) * dtype.itemsize
        entry = {"dtype": _NAMES[dtype.newbyteorder("=")], "shape": list(shape)}
        header[name] = {**entry, "data_offsets": [start, stop]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    out.write(struct.pack("<Q", len(text)) + text)


def write_tensors(
    out: Output, arrays: Mapping[str, Any], metadata: Mapping[str, str] | None = None
) -> None:
    """Writes arrays in the order of the mapping; wide numbers first are best aligned."""
    write_header(out, {name: (x.dtype, x.shape) for name, x in arrays.items()}, metadata)
    for array in arrays.values():
        out.write(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).view(np.uint8))
