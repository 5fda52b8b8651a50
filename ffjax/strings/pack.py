"""`pack`: words become padded batches of bytes, of a few sizes.

    small batches    powers of four: 4, 16, 64, 256 or 1024 rows of 16, 64, 256 or 1024 bytes
    larger ones      powers of two

A batch is one array, so all of its rows are as wide as its longest word. Where a few words are much
longer than the others, `pack_ragged` makes a narrow batch of all the others and wide ones of those.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int32

from ffjax._internal.arguments import whole_number
from ffjax._internal.arrays import on_host, padded_size
from ffjax.strings.byte_views import ByteViews, byte_views
from ffjax.strings.codec import decode_word
from ffjax.strings.string_table import Strings

_MIN_WIDTH = 16
# Batches of more rows than this have widths of powers of two: their padding costs more than a
# program for another width.
_COARSE_ROWS = 1024
# The largest batch that `pack` makes if nearly all of it is padding.
_MAX_PADDED_BYTES = 1 << 26
# Words are gathered in blocks that stay in a CPU's cache; those of wider rows are copied singly.
_GATHER_ROWS, _GATHER_BYTES, _GATHER_WIDTH = 1 << 14, 1 << 22, 1 << 10
# The largest batch that `pack_ragged` makes of words that are longer than most.
_BATCH_BYTES = 1 << 24


class RaggedBatch(NamedTuple):
    """Those words of a list that fit one width, as one batch.

    Attributes:
        positions: which word of the list each row holds, int32 `[n]`; rows after them are fillers.
        strings: the batch.
    """

    positions: Int32[np.ndarray, " n"]
    strings: Strings


def pack(
    words: Any, *, offsets: Any = None, width: int | None = None, count: int | None = None
) -> Strings:
    """Packs words into one padded batch of bytes, the form in which device functions take them.

    The width holds the longest word and the number of rows all words; both come from a few sizes
    (powers of four up to 1024, powers of two beyond, at least 16 bytes), so that batches of many
    sizes share a few compiled programs. Rows after the last word have length -1 and are never
    found. Take the first `len(words)` rows of the result, or pass `count=len(words)` for a batch
    without filler rows.

    Every row is as wide as the longest word. For many words of which a few are very long, use
    `pack_ragged`, or `Embeddings.embedding_batch`, which does.

    Args:
        words: `str` or `bytes` in a list or another iterable; a NumPy array of strings (fixed
            width, `StringDType` or objects); a `StringTable`; Arrow strings or binary from any
            object with the PyCapsule interface, such as pyarrow's arrays, whose bytes are read in
            place, and chunked arrays (nulls become filler rows); or, with `offsets`, one buffer of
            bytes.
        offsets: where each word starts in the buffer `words`, and where the last one ends, shape
            `[n + 1]`.
        width: bytes a row, at least the longest word's.
        count: rows of the batch, at least the number of words.

    Returns:
        The batch: `bytes` uint8 `[count, width]` and `lengths` int32 `[count]`, as NumPy arrays.

    Raises:
        TypeError: if a word is neither `str` nor `bytes`, `words` is a single word or not a list,
            or a size is not a whole number.
        ValueError: if `width` or `count` is too small, offsets do not fit the buffer, or the batch
            would exceed 64 MiB of which less than an eighth are words and no `width` is given.
        ImportError: for Arrow data, if the extra `arrow` is not installed.

    Examples:
        >>> import ffjax, numpy as np
        >>> batch = ffjax.pack(["Berlin", "Zürich", ""])
        >>> batch.bytes.shape, batch.lengths.tolist()
        ((4, 16), [6, 7, 0, -1])
        >>> ffjax.unpack(batch)
        ['Berlin', 'Zürich', '']
        >>> ffjax.unpack(ffjax.pack(b"ParisRome", offsets=[0, 5, 9]))
        ['Paris', 'Rome']
        >>> ffjax.pack(np.array(["tea", "coffee"])).lengths.tolist()
        [3, 6, -1, -1]
    """
    views = byte_views(words, offsets)
    lengths = views.lengths
    n, longest = len(lengths), int(lengths.max(initial=0))
    n_rows = padded_size(n, 0, coarse=True)
    if count is not None:
        n_rows = _at_least("count", count, n, "the number of words")
    if width is not None:
        width = _at_least("width", width, longest, "the longest word's bytes")
        return pack_views(views, n_rows, width)
    width = padded_size(longest, _MIN_WIDTH, coarse=n_rows <= _COARSE_ROWS)
    n_bytes = int(np.maximum(lengths, 0).sum(dtype=np.int64))
    if n_rows * width > max(_MAX_PADDED_BYTES, 8 * n_bytes):
        raise ValueError(
            f"`words`: expected words of similar lengths, got {n} of which the longest has "
            f"{longest} bytes: a batch of {n_rows} x {width} bytes for {n_bytes} bytes of words. "
            "Use `pack_ragged`, or `Embeddings.embedding_batch`."
        )
    return pack_views(views, n_rows, width)


def pack_ragged(words: Any, *, offsets: Any = None) -> list[RaggedBatch]:
    """Packs words of mixed lengths into a few batches, grouped by length to keep padding small.

    The first batch has a row for every word, in order. Where a few words are much longer than most,
    it is only as wide as most words need, rows of the long ones are fillers in it, and further
    batches hold those, by length. So one word of 100 kB among a million short ones costs its own
    128 KiB, and a few long words don't slow down the lookup of all others. Small batches are split
    only for words of more than 1024 bytes.

    Args:
        words: as for `pack`.
        offsets: as for `pack`.

    Returns:
        The batches. `positions` of the first are `0, 1, 2, ...`.

    Raises:
        TypeError: as `pack`.
        ValueError: if offsets do not fit the buffer.
        ImportError: as `pack`.

    Examples:
        >>> import ffjax
        >>> batches = ffjax.pack_ragged(["tea", "x" * 5000, "coffee"])
        >>> [(batch.positions.tolist(), batch.strings.bytes.shape) for batch in batches]
        [([0, 1, 2], (4, 16)), ([1], (1, 8192))]
    """
    views = byte_views(words, offsets)
    lengths = views.lengths
    n_rows = padded_size(len(lengths), 0, coarse=True)
    width = _common_width(lengths, n_rows)
    positions = np.arange(len(lengths), dtype=np.int32)
    batches = [RaggedBatch(positions, pack_views(views, n_rows, width, longest=width))]
    longer = np.flatnonzero(lengths > width)
    widest = padded_size(int(lengths.max(initial=0)), coarse=True)
    while longer.size:
        width = min(4 * width, widest)
        fits = lengths[longer] <= width
        positions, longer = longer[fits], longer[~fits]
        step = max(1, _BATCH_BYTES // width)
        for start in range(0, len(positions), step):
            block = positions[start : start + step]
            n_rows = _long_rows(len(block), width)
            strings = pack_views(views.take(block), n_rows, width)
            batches.append(RaggedBatch(block.astype(np.int32), strings))
    return batches


def unpack(strings: Strings) -> list[str]:
    """The words of a batch as a list of `str`, in order, without filler rows.

    Bytes that are not UTF-8 come back as lone surrogates (as `os.fsdecode` does), and `pack` turns
    those into the same bytes again.
    """
    rows, lengths = on_host(strings.bytes), on_host(strings.lengths)
    pairs = zip(rows.reshape(-1, rows.shape[-1]), lengths.reshape(-1), strict=True)
    return [decode_word(row[:length].tobytes()) for row, length in pairs if length >= 0]


def _at_least(name: str, value: int, minimum: int, what: str) -> int:
    value = whole_number(name, value)
    if value < minimum:
        expected = f"expected at least {what} ({minimum})"
        raise ValueError(f"`{name}`: {expected}, got {value}. Leave it out for a fitting size.")
    return value


def _common_width(lengths: np.ndarray, n_rows: int) -> int:
    """The width of the first batch at which all batches together have the fewest bytes."""
    longest = int(lengths.max(initial=0))
    width = padded_size(longest, _MIN_WIDTH, coarse=n_rows <= _COARSE_ROWS)
    if n_rows <= _COARSE_ROWS and width <= _COARSE_ROWS:
        return width

    def n_bytes(narrow: int) -> int:
        total = n_rows * narrow
        while narrow < width:
            wide = min(4 * narrow, width)
            n_longer = int(np.count_nonzero((lengths > narrow) & (lengths <= wide)))
            total += _long_rows(n_longer, wide) * wide
            narrow = wide
        return total

    widths = [width]
    while widths[-1] > _MIN_WIDTH:
        widths.append(widths[-1] // 2)
    return min(widths, key=n_bytes)


def _long_rows(n: int, width: int) -> int:
    """The rows of a batch of long words, with fewer fillers where rows are wide."""
    return padded_size(n, 0, coarse=width <= _COARSE_ROWS)


def pack_views(words: ByteViews, n_rows: int, width: int, longest: int | None = None) -> Strings:
    """All words one after the other; words over `longest` bytes become fillers."""
    data, starts, lengths = words
    if longest is not None:
        lengths = np.where(lengths > longest, np.int32(-1), lengths)
    n, sizes = len(lengths), np.maximum(lengths, 0)
    out, out_lengths = np.zeros((n_rows, width), np.uint8), np.full(n_rows, -1, np.int32)
    out_lengths[:n] = lengths
    last_start = data.size - width if width <= _GATHER_WIDTH else -1
    if last_start >= 0:
        unit = np.dtype(np.uint8 if width % 8 else np.uint64)
        # Overlapping rows of `width` bytes, one from each byte of the buffer that has so many.
        shape, strides = (last_start + 1, width // unit.itemsize), (1, unit.itemsize)
        slices = np.ndarray(shape, unit, data, 0, strides)
        # Masks keep the first bytes of a row.
        masks = (np.arange(width) < np.arange(width + 1)[:, None]) * np.uint8(255)
        masks, rows = masks.view(unit), out[:n].view(unit)
        step = max(1, min(_GATHER_ROWS, _GATHER_BYTES // max(1, width)))
        for begin in range(0, n, step):
            block = slice(begin, begin + step)
            gathered = slices[np.minimum(starts[block], last_start)]
            np.bitwise_and(gathered, masks[sizes[block]], out=rows[block])
    # Too near the end of the buffer, words got other bytes.
    for i in np.flatnonzero((starts > last_start) & (sizes > 0)).tolist():
        row = data[starts[i] : starts[i] + sizes[i]]
        out[i, : row.size], out[i, row.size :] = row, 0
    return Strings(out, out_lengths)
