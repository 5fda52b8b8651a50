"""`pack`: words become padded batches of bytes, of a few sizes.

    small batches    powers of four: 4, 16, 64, 256 or 1024 rows, and rows of 16, 64, 256, 1024 bytes
    larger ones      powers of two

A batch is one array, so all of its rows are as wide as its longest word. Where a few words are much longer than the
others, `pack_ragged` makes a narrow batch of all the others and wide ones of those.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int32

from ffjax._internal.arguments import whole_number
from ffjax._internal.arrays import padded_size
from ffjax.strings.byte_views import ByteViews, byte_views
from ffjax.strings.codec import decode_word
from ffjax.strings.strings import Strings

_MIN_WIDTH = 16
# Up to here sizes are powers of four: what is added costs less than another program to compile.
_SMALL = 1024
# `pack` refuses to make more than so many bytes if nearly all of them are padding.
_MOST = 1 << 26
# Words are gathered in blocks that stay in a CPU's cache.
_BLOCK, _BLOCK_BYTES = 1 << 14, 1 << 22
# `pack_ragged` makes batches of at most so many bytes out of words that are longer than most.
_PART = 1 << 24


class RaggedBatch(NamedTuple):
    """Some words of a list as one batch.

    Attributes:
        positions: which word of the list each row holds, int32 `[n]`; rows behind the last of them are fillers.
        strings: the batch.
    """

    positions: Int32[np.ndarray, " n"]
    strings: Strings


def pack(words: Any, *, offsets: Any = None, width: int | None = None, count: int | None = None) -> Strings:
    """Packs words into one padded batch of bytes, the form in which device functions take them.

    The width holds the longest word and the number of rows all words; both come from a few sizes (powers of four up to
    1024, powers of two beyond, at least 16 bytes), so that batches of many sizes share a few compiled programs. Rows
    behind the last word have length -1 and are never found. Take the first `len(words)` rows of what comes back, or
    give `count=len(words)` for a batch without filler rows.

    Every row is as wide as the longest word. For many words of which a few are very long, use `pack_ragged`, or
    `Embeddings.embedding_batch`, which does.

    Args:
        words: `str` or `bytes` in a list or another iterable; a NumPy array of strings (fixed width, `StringDType` or
            objects); a `StringTable`; anything that gives Arrow strings or binary through the PyCapsule interface,
            such as pyarrow's arrays and chunked arrays, whose bytes are read where they are (nulls become filler
            rows); or, with `offsets`, one buffer of bytes.
        offsets: where each word starts in the buffer `words`, and where the last one ends, shape `[n + 1]`.
        width: bytes a row, at least the longest word's.
        count: rows of the batch, at least the number of words.

    Returns:
        The batch: `bytes` uint8 `[count, width]` and `lengths` int32 `[count]`, as NumPy arrays.

    Raises:
        TypeError: a word is neither `str` nor `bytes`, `words` is one `str` or no list, or a size is no whole number.
        ValueError: `width` or `count` is too small, offsets do not fit the buffer, or the batch would be more than
            64 MiB of which less than an eighth are words; `width` says that they are wanted all the same.
        ImportError: Arrow data, and the extra `arrow` is not installed.

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
    spans = byte_views(words, offsets)
    number = sum(len(part.lengths) for part in spans)
    longest = max((int(part.lengths.max(initial=0)) for part in spans), default=0)
    rows = _size("count", count, number, "the number of words", 0)
    wide = _size("width", width, longest, "the longest word's bytes", _MIN_WIDTH, small=rows <= _SMALL)
    total = sum(int(np.maximum(part.lengths, 0).sum(dtype=np.int64)) for part in spans)
    if width is None and rows * wide > max(_MOST, 8 * total):
        raise ValueError(
            f"`words`: expected words of like lengths, got {number} of which the longest has {longest} bytes: a batch "
            f"of {rows} x {wide} bytes for {total} bytes of words. Use `pack_ragged`, or `Embeddings.embedding_batch`."
        )
    return _packed(spans, rows, wide)


def pack_ragged(words: Any, *, offsets: Any = None) -> list[RaggedBatch]:
    """Packs words of any lengths into as few batches as make no more padding than need be.

    The first batch has a row for every word, in order. Where a few words are much longer than most, it is as wide as
    most words need, rows of the long ones are fillers in it, and further batches hold those, by length. So one word of
    100 kB among a million short ones costs its own 128 KiB, and a few long words don't make the lookup of all others
    slower. Small batches are split only for words of more than 1024 bytes.

    Args:
        words: as for `pack`.
        offsets: as for `pack`.

    Returns:
        The parts. `positions` of the first are `0, 1, 2, ...`.

    Raises:
        TypeError: as `pack`.
        ValueError: offsets do not fit the buffer.
        ImportError: as `pack`.

    Examples:
        >>> import ffjax
        >>> parts = ffjax.pack_ragged(["tea", "x" * 5000, "coffee"])
        >>> [(part.positions.tolist(), part.strings.bytes.shape) for part in parts]
        [([0, 1, 2], (4, 16)), ([1], (1, 8192))]
    """
    return ragged_batches(byte_views(words, offsets))


def ragged_batches(spans: list[ByteViews]) -> list[RaggedBatch]:
    """As `pack_ragged`, of words that are spans already."""
    lengths = np.concatenate([np.zeros(0, np.int32), *(part.lengths for part in spans)])
    rows = padded_size(len(lengths), 0, coarse=True)
    width = _common_width(lengths, rows)
    everything = np.arange(len(lengths), dtype=np.int32)
    parts = [RaggedBatch(everything, _packed(spans, rows, width, most=width))]
    if not (left := np.flatnonzero(lengths > width)).size:
        return parts
    where = np.cumsum([0, *(len(part.lengths) for part in spans)]).tolist()
    widest = int(lengths.max())
    while left.size:
        width = min(4 * width, padded_size(widest, 0, coarse=True))
        fits = lengths[left] <= width
        chosen, left = left[fits], left[~fits]
        step = max(1, _PART // width)
        for begin in range(0, len(chosen), step):
            positions = chosen[begin : begin + step]
            some = [_taken(part, positions, a, b) for part, a, b in zip(spans, where[:-1], where[1:], strict=True)]
            parts.append(RaggedBatch(positions.astype(np.int32), _packed(some, _rows(len(positions), width), width)))
    return parts


def unpack(strings: Strings) -> list[str]:
    """The words of a batch as a list of `str`, filler rows left out.

    Bytes that are not UTF-8 come back as lone surrogates (as `os.fsdecode` does), and `pack` turns those into the
    same bytes again.
    """
    rows, lengths = np.asarray(strings.bytes), np.asarray(strings.lengths)
    return [decode_word(row[:length].tobytes()) for row, length in zip(rows, lengths, strict=True) if length >= 0]


def _size(name: str, given: int | None, needed: int, what: str, least: int, small: bool = True) -> int:
    if given is None:
        return padded_size(needed, least if least > 1 else 0, coarse=small)
    given = whole_number(name, given)
    if given < needed:
        raise ValueError(
            f"`{name}`: expected at least {what} ({needed}), got {given}. Leave it out for a fitting size."
        )
    return given


def _common_width(lengths: np.ndarray, rows: int) -> int:
    """The width of the first part: that at which all parts together have the fewest bytes."""
    longest = int(lengths.max(initial=0))
    width = padded_size(longest, _MIN_WIDTH, coarse=rows <= _SMALL)
    if rows <= _SMALL and width <= _SMALL:
        return width
    best, fewest = width, rows * width
    candidate = width // 2
    while candidate >= _MIN_WIDTH:
        total, over = rows * candidate, candidate
        while over < width:
            wider = min(4 * over, width)
            total += _rows(int(np.count_nonzero((lengths > over) & (lengths <= wider))), wider) * wider
            over = wider
        if total < fewest:
            best, fewest = candidate, total
        candidate //= 2
    return best


def _rows(n: int, width: int) -> int:
    """The rows of a part that is not the first; where rows are long, fillers are dear."""
    return padded_size(n, 0, coarse=width <= _SMALL)


def _taken(spans: ByteViews, positions: np.ndarray, begin: int, end: int) -> ByteViews:
    own = positions[(positions >= begin) & (positions < end)] - begin
    return ByteViews(spans.data, spans.starts[own], spans.lengths[own])


def _packed(spans: list[ByteViews], rows: int, width: int, most: int | None = None) -> Strings:
    """All words one after the other in `rows` rows; those longer than `most` become fillers."""
    out, lengths = np.zeros((rows, width), np.uint8), np.full(rows, -1, np.int32)
    begin = 0
    for part in spans:
        end = begin + len(part.lengths)
        fits = part.lengths if most is None else np.where(part.lengths > most, np.int32(-1), part.lengths)
        lengths[begin:end] = fits
        _gather(part.data, part.starts, fits, out[begin:end])
        begin = end
    return Strings(out, lengths)


def _gather(data: np.ndarray, starts: np.ndarray, lengths: np.ndarray, out: np.ndarray) -> None:
    """Copies each word into its row; `data` may end with the last word."""
    width = out.shape[1]
    room = data.size - width
    masks, unit = _masks(width)
    shape, strides = (max(room + 1, 0), width // unit.itemsize), (1, unit.itemsize)
    windows = np.ndarray(shape, unit, data, 0, strides) if room >= 0 else None
    rows = out.view(unit)
    step = max(1, min(_BLOCK, _BLOCK_BYTES // width))
    for begin in range(0, len(starts), step):
        block = slice(begin, begin + step)
        first, used = starts[block], np.maximum(lengths[block], 0)
        if windows is not None:
            # Windows that would run over the end are read elsewhere and replaced below.
            found = windows[np.minimum(first, room)]
            if masks is None:
                found *= np.arange(width) < used[:, None]
                rows[block] = found
            else:
                np.bitwise_and(found, masks[used], out=rows[block])
        for i in np.flatnonzero((first > room) & (used > 0)) + begin:
            row = data[starts[i] : starts[i] + lengths[i]]
            out[i, : row.size], out[i, row.size :] = row, 0


def _masks(width: int) -> tuple[np.ndarray | None, np.dtype]:
    """Masks that keep the first bytes of a row, and the type in which rows are copied and masked."""
    if width % 8 or width > 256:
        return None, np.dtype(np.uint8)
    masks = np.where(np.arange(width) < np.arange(width + 1)[:, None], np.uint8(255), np.uint8(0))
    return masks.view(np.uint64), np.dtype(np.uint64)
