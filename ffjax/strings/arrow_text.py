"""Texts in Arrow's arrays as lines of bytes, without strings of Python's."""

from typing import Any

import numpy as np

from ffjax.strings.byte_views import arrow_strings


def arrow_lines(texts: Any, newline: str, name: str) -> bytes:
    r"""Texts of an Arrow array as lines, empty ones for nulls; arguments as for `as_lines`.

    Examples:
        >>> import pyarrow as pa
        >>> arrow_lines(pa.array(["tea", None, "for\ntwo"]), " ", "texts")
        b'tea\n\nfor two\n'
    """
    texts = arrow_strings(texts, name)
    pa, pc = _pyarrow()
    array = texts.cast(pa.large_binary())
    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    lines = _joined(array)
    if lines.count(b"\n") > len(array):
        if newline == "error":
            number = pc.index(pc.match_substring(array, "\n"), True).as_py()
            raise ValueError(line_feed_error(name, number))
        lines = _joined(pc.replace_substring(array, "\n", newline))
    return lines


def line_feed_error(name: str, number: int) -> str:
    """The message for a text that is not one line."""
    return (
        f"`{name}`: expected one line each, got a line feed in text {number}. Remove it "
        '("\\n"), or choose `newline=" "` or `newline=""`.'
    )


def first_characters(texts: Any, n: int) -> Any:
    """An Arrow array of texts that are cut to so many characters; `None` if it is not UTF-8."""
    pa, pc = _pyarrow()
    try:
        return pc.utf8_slice_codeunits(texts.cast(pa.large_string()), 0, n)
    except pa.ArrowInvalid:
        return None


def byte_lengths(texts: Any) -> np.ndarray:
    """How many bytes each text of an Arrow array has, int64 `[n]`; none for nulls."""
    _, pc = _pyarrow()
    return np.asarray(pc.fill_null(pc.binary_length(texts), 0)).astype(np.int64)


def null_mask(texts: Any) -> np.ndarray | None:
    """Which texts of an Arrow array are null, or `None` if it has no nulls."""
    array = arrow_strings(texts)
    return np.asarray(array.is_null()) if array.null_count else None


def _joined(array: Any) -> bytes:
    """The strings of an array with a line feed after each."""
    pa, pc = _pyarrow()
    if not len(array):
        return b""
    # Joined with an empty string, each string gets a line feed, in a buffer without gaps.
    empty, feed = pa.scalar(b"", array.type), pa.scalar(b"\n", array.type)
    options = {"null_handling": "replace", "null_replacement": b""}
    return pc.binary_join_element_wise(array, empty, feed, **options).buffers()[2].to_pybytes()


def _pyarrow() -> tuple[Any, Any]:
    """pyarrow, and its functions of arrays, which it makes when it is imported."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pa, pc
