"""Words as views of a buffer: those of NumPy and Arrow in place, lists of `str` joined to one."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ffjax._internal.arguments import check_several
from ffjax._internal.extras import needs_extra
from ffjax.kernels.spans_numpy import join_spans
from ffjax.strings.codec import join_words
from ffjax.strings.string_table import StringTable, check_offsets


class ByteViews(NamedTuple):
    """Words in one buffer (uint8), with their starts and their lengths in bytes, -1 for no word."""

    data: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray

    def take(self, words: Any) -> "ByteViews":
        """Views of some words of the same buffer."""
        return ByteViews(self.data, self.starts[words], self.lengths[words])

    def raw(self) -> list[bytes]:
        """The bytes of each word."""
        data, ends = self.data.tobytes(), self.starts + np.maximum(self.lengths, 0)
        bounds = zip(self.starts.tolist(), ends.tolist(), strict=True)
        return [data[start:end] for start, end in bounds]

    @classmethod
    def concat(cls, views: "Sequence[ByteViews]") -> "ByteViews":
        """The words of several buffers, copied into one."""
        if len(views) == 1:
            return views[0]
        lengths = np.concatenate([np.zeros(0, np.int32), *(x.lengths for x in views)])
        offsets = np.append(0, np.cumsum(np.maximum(lengths, 0), dtype=np.int64))
        data, first = np.empty(offsets[-1], np.uint8), 0
        for view in views:
            bounds = offsets[first : first + len(view.lengths) + 1]
            first += len(view.lengths)
            out = data[bounds[0] : bounds[-1]]
            join_spans(view.data, view.starts, bounds - bounds[0], out)
        return cls(data, offsets[:-1], lengths)


def byte_views(words: Any, offsets: Any = None) -> ByteViews:
    """Views of words in order; arguments as for `pack`."""
    if offsets is not None:
        return _with_offsets(words, offsets)
    if isinstance(words, StringTable):
        return _between(words.host_data, words.host_offsets)
    if is_arrow(words):
        return _arrow(words)
    check_several("words", words, "word", "pass `offsets` for a buffer of bytes")
    if isinstance(words, np.ndarray):
        return _numpy(words)
    return ByteViews(*join_words(list(words)))


def _with_offsets(buffer: Any, offsets: Any) -> ByteViews:
    try:
        data = buffer if isinstance(buffer, np.ndarray) else np.frombuffer(buffer, np.uint8)
    except (TypeError, ValueError) as error:
        expected = f"expected a buffer of bytes with `offsets`, got {type(buffer).__name__}"
        raise TypeError(f"`words`: {expected}. Leave `offsets` out for a list of words.") from error
    if data.dtype != np.uint8 or data.ndim != 1:
        raise TypeError(
            "`words`: expected one dimension of uint8 with `offsets`, got "
            f"{data.ndim} of {data.dtype}. `array.view(np.uint8)` shows the same bytes."
        )
    offsets = np.asarray(offsets)
    if offsets.dtype.kind not in "iu":
        raise TypeError(f"`offsets`: expected whole numbers, got {offsets.dtype}.")
    check_offsets(offsets, data.size)
    return _between(np.ascontiguousarray(data), offsets.astype(np.int64))


def _between(data: np.ndarray, offsets: np.ndarray) -> ByteViews:
    return ByteViews(data, offsets[:-1], np.diff(offsets).astype(np.int32))


def _numpy(words: np.ndarray) -> ByteViews:
    kind, width, data = words.dtype.kind, words.dtype.itemsize, None
    if kind == "S" and width:
        data = np.ascontiguousarray(words).view(np.uint8)
    if kind == "U" and width and words.dtype.isnative:
        data, width = np.ascontiguousarray(words).view(np.uint32), width // 4
    if data is None or (kind == "U" and data.max(initial=0) > 0x7F):
        return ByteViews(*join_words(words.tolist()))
    data = data.astype(np.uint8, copy=False)
    # A string ends with its last byte that is not NUL, as in NumPy.
    from_end = data.reshape(-1, width)[:, ::-1] != 0
    lengths = np.where(from_end.any(1), width - from_end.argmax(1), 0).astype(np.int32)
    return ByteViews(data, np.arange(len(words), dtype=np.int64) * width, lengths)


def is_arrow(words: Any) -> bool:
    """Whether something is an array or a stream of Arrow's, by its PyCapsule interface."""
    return hasattr(words, "__arrow_c_array__") or hasattr(words, "__arrow_c_stream__")


def arrow_strings(words: Any, name: str = "words") -> Any:
    """Arrow strings or binary as an array of pyarrow's, or a chunked one, with 32 or 64 bits."""
    with needs_extra("arrow", f"`{name}`: Arrow data"):
        import pyarrow as pa
    # Both calls share the buffers of their arguments.
    stream = not hasattr(words, "__arrow_c_array__")
    array: Any = pa.chunked_array(words) if stream else pa.array(words)
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    kind, types = array.type, pa.types
    if types.is_string_view(kind) or types.is_binary_view(kind) or types.is_null(kind):
        return array.cast(pa.large_binary())
    if kind not in (pa.string(), pa.binary(), pa.large_string(), pa.large_binary()):
        expected = f"expected Arrow strings or binary, got {kind}"
        raise TypeError(f"`{name}`: {expected}. Cast them to `pa.string()`.")
    return array


def as_one_array(array: Any) -> Any:
    """Arrow strings as one array of bytes, with 64 bits for offsets, which chunks may exceed 32."""
    import pyarrow as pa

    array = array.cast(pa.large_binary())
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _arrow(words: Any) -> ByteViews:
    array = arrow_strings(words)
    if hasattr(array, "chunks"):
        array = array.chunk(0) if array.num_chunks == 1 else as_one_array(array)
    dtype = np.dtype(np.int64 if str(array.type).startswith("large") else np.int32)
    _, offsets, data = array.buffers()
    n, first_byte = len(array), array.offset * dtype.itemsize
    # An array without strings may come without buffers.
    offsets = np.frombuffer(offsets, dtype, n + 1, first_byte) if n else np.zeros(1, dtype)
    data = np.zeros(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)
    views = _between(data, offsets)
    if not array.null_count:
        return views
    nulls = array.is_null().to_numpy(zero_copy_only=False)
    return views._replace(lengths=np.where(nulls, np.int32(-1), views.lengths))
