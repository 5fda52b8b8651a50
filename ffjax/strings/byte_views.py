"""Words of every kind that `pack` takes as spans of a few buffers: where each begins and how long it is.

Buffers of NumPy and Arrow are read where they are; lists of `str` are joined to one.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ffjax.strings.codec import join_words
from ffjax.strings.string_table import StringTable, check_offsets


class ByteViews(NamedTuple):
    """Words that lie in one buffer.

    Attributes:
        data: the buffer, uint8.
        starts: where each word begins, `[n]`.
        lengths: its bytes, int32 `[n]`; -1 for no word.
    """

    data: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray


def byte_views(words: Any, offsets: Any = None) -> list[ByteViews]:
    """The words as spans, in order: one for each buffer that they lie in.

    Args:
        words: as `pack` takes them.
        offsets: as `pack` takes them.

    Raises:
        TypeError: a word is neither `str` nor `bytes`, or `words` is of another type.
        ValueError: offsets that decrease or leave the buffer.
        ImportError: Arrow data without pyarrow.

    Examples:
        >>> [spans] = byte_views(["tea", "é"])
        >>> spans.starts.tolist(), spans.lengths.tolist()
        ([0, 4], [3, 2])
    """
    if offsets is not None:
        return [_with_offsets(words, offsets)]
    if isinstance(words, StringTable):
        return [_between(words.host_data, words.host_offsets)]
    if isinstance(words, (str, bytes, bytearray, memoryview)):
        raise TypeError(
            f"`words`: expected a list of words, got the single word {words!r}. Write [{words!r}], or give `offsets` "
            "for a buffer of many words."
        )
    if isinstance(words, np.ndarray):
        return [_numpy(words)]
    if hasattr(words, "__arrow_c_array__") or hasattr(words, "__arrow_c_stream__"):
        return _arrow(words)
    if not isinstance(words, Iterable):
        raise TypeError(f"`words`: expected a list of words, got {type(words).__name__} {words!r}.")
    return [_listed(words if isinstance(words, (list, tuple)) else list(words))]


def _listed(words: Sequence[Any]) -> ByteViews:
    return ByteViews(*join_words(words))


def _with_offsets(buffer: Any, offsets: Any) -> ByteViews:
    try:
        data = np.frombuffer(buffer, np.uint8) if not isinstance(buffer, np.ndarray) else buffer
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"`words`: expected a buffer of bytes beside `offsets`, got {type(buffer).__name__}. Leave `offsets` out "
            "for a list of words."
        ) from error
    if data.dtype != np.uint8 or data.ndim != 1:
        raise TypeError(
            f"`words`: expected one dimension of uint8 beside `offsets`, got {data.ndim} of {data.dtype}. "
            "`array.view(np.uint8)` looks at the same bytes."
        )
    offsets = np.asarray(offsets)
    if offsets.dtype.kind not in "iu":
        raise TypeError(f"`offsets`: expected whole numbers, got {offsets.dtype}.")
    check_offsets(offsets, data.size)
    return _between(np.ascontiguousarray(data), offsets)


def _between(data: np.ndarray, offsets: np.ndarray) -> ByteViews:
    return ByteViews(data, offsets[:-1], np.diff(offsets).astype(np.int32))


def _numpy(words: np.ndarray) -> ByteViews:
    if words.ndim != 1:
        raise TypeError(f"`words`: expected an array of one dimension, got shape {words.shape}. Use `words.ravel()`.")
    kind, width = words.dtype.kind, words.dtype.itemsize
    if kind == "S" and width:
        data = np.ascontiguousarray(words).view(np.uint8)
    elif kind == "U" and width and words.dtype.isnative:
        codes, width = np.ascontiguousarray(words).view(np.uint32), width // 4
        if codes.max(initial=0) > 0x7F:
            return _listed(words.tolist())
        data = codes.astype(np.uint8)
    elif kind in "SUTO":
        return _listed(words.tolist())
    else:
        raise TypeError(
            f"`words`: expected an array of strings, got {words.dtype}. For a buffer of bytes give `offsets`."
        )
    # A string ends with its last byte that is no NUL, as NumPy has it.
    used = data.reshape(-1, width)[:, ::-1] != 0
    lengths = np.where(used.any(1), width - used.argmax(1), 0).astype(np.int32)
    return ByteViews(data, np.arange(len(words), dtype=np.int64) * width, lengths)


def _arrow(words: Any) -> list[ByteViews]:
    try:
        import pyarrow as pa
    except ImportError as error:
        raise ImportError(
            "`words`: expected pyarrow beside Arrow data, got no such module. Install the extra: `ffjax[arrow]`."
        ) from error
    # Both calls share the buffers of what they are given.
    array: Any = pa.array(words) if hasattr(words, "__arrow_c_array__") else pa.chunked_array(words)
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if array.type not in (pa.string(), pa.large_string(), pa.binary(), pa.large_binary()):
        if not any(check(array.type) for check in (pa.types.is_string_view, pa.types.is_binary_view, pa.types.is_null)):
            raise TypeError(f"`words`: expected Arrow strings or binary, got {array.type}. Cast them to `pa.string()`.")
        array = array.cast(pa.large_binary())
    chunks = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
    wide = array.type in (pa.large_string(), pa.large_binary())
    return [_chunk(chunk, np.dtype(np.int64 if wide else np.int32)) for chunk in chunks]


def _chunk(chunk: Any, dtype: np.dtype) -> ByteViews:
    _, places, data = chunk.buffers()
    n, first = len(chunk), chunk.offset
    # An array without strings may come without buffers.
    offsets = np.zeros(1, dtype) if n == 0 else np.frombuffer(places, dtype, n + 1, first * dtype.itemsize)
    spans = _between(np.zeros(0, np.uint8) if data is None else np.frombuffer(data, np.uint8), offsets)
    if chunk.null_count:
        nulls = chunk.is_null().to_numpy(zero_copy_only=False)
        return spans._replace(lengths=np.where(nulls, np.int32(-1), spans.lengths))
    return spans
