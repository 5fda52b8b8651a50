"""Embeddings in text: a word and its values on each line, with or without a first line `rows dims`.

    [rows SP dims LF]
    word SP value SP ... value LF
    ...

GloVe writes the form without dimensions, word2vec and fastText (`.vec`) the one with. Words are UTF-8. A byte order
mark before the first word or number is no part of it (gensim keeps it in the word, and does not read the number).
"""

import re
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import numpy as np

from ffjax.embeddings.value import Embeddings
from ffjax.errors import FormatError
from ffjax.formats.io.binary import File
from ffjax.formats.io.streams import Stream, open_stream
from ffjax.formats.rows.limits import check_dims, check_limit
from ffjax.formats.rows.row_blocks import Block, Blocks, check_words, collect, in_order, unit_length
from ffjax.formats.text.lines import (
    SAMPLE_LINES,
    count_values,
    ends_with_cr,
    mark_bytes,
    parse_lines,
    shown,
)
from ffjax.formats.text.parse_floats import PAD, padded

_BLOCK = 1 << 21
_LONGEST_LINE = 1 << 26
_HEAD = 1 << 16
_SAMPLE = (SAMPLE_LINES, 1 << 20)  # lines and bytes from which to tell the number of values
_LF = 10

# Far more than any embeddings have; what a file claims beyond is a mistake.
MOST_DIMS = 1 << 24
# The longest header that is read, and its form.
HEADER_BYTES = 64
HEADER = re.compile(rb"[ \t]*([0-9]{1,18})[ \t]+([0-9]{1,18})[ \t]*\r?\n")


def load_text(
    file: File | Stream, lossy: bool = False, limit: int | None = None, *, dims: int | None = None
) -> Embeddings:
    r"""Reads embeddings in text without a line of dimensions, such as GloVe's.

    Vectors are scaled to unit length, and `norms` has the lengths that they had; zero vectors stay zero. The file may
    be compressed (gzip, bzip2, xz, zstd) or the one file in a zip or tar archive.

    How many values a line has, most of the first lines tell. Whatever precedes them is the word, which may hold spaces.
    Of a word that occurs several times the first vector counts, with one warning; vectors with NaN or infinity are kept
    with norm 1, with one warning.

    Args:
        file: a path, or a descriptor, which is closed afterwards as `open` does.
        lossy: whether to replace what is no UTF-8 in words by U+FFFD.
        limit: how many words to read at most; all of them by default.
        dims: how many values each line has. It settles lines like `python 2.7 0.5 0.25`, whose second field may belong
            to the word or be a value too many; without it they are an error.

    Returns:
        Embeddings with a `SimpleVocab`, an `NdArray` and norms.

    Raises:
        FormatError: a line has fewer or more values than others, or what is no number; a word is no UTF-8; the file is
            empty, or wrapped in something corrupt. The error has the byte, counted after decompression.
        OSError: the file cannot be read.

    Examples:
        >>> import ffjax, tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "vectors.txt"
        >>> _ = path.write_text("one 3.0 4.0\nNew York 0.5 0.0\n")
        >>> emb = ffjax.load_text(path)
        >>> emb.vocab.words, emb["one"].tolist(), float(emb.norms[0])
        (['one', 'New York'], [0.6000000238418579, 0.800000011920929], 5.0)
    """
    with read_text_blocks(file, header=False, dims=dims, lossy=lossy, limit=limit, unit=True) as blocks:
        return collect(blocks)


def load_text_dims(
    file: File | Stream, lossy: bool = False, limit: int | None = None, *, dims: int | None = None
) -> Embeddings:
    r"""Reads embeddings in text with a first line `rows dims`, as word2vec and fastText (`.vec`) write them.

    As `load_text` in everything else.

    Args:
        file: a path, or a descriptor, which is closed afterwards as `open` does.
        lossy: whether to replace what is no UTF-8 in words by U+FFFD.
        limit: how many words to read at most; all of them by default.
        dims: the dimensions that the file has, given to say that surplus fields belong to the word, whatever they look
            like.

    Returns:
        Embeddings with a `SimpleVocab`, an `NdArray` and norms.

    Raises:
        FormatError: as `load_text`, and if there are more or fewer rows than the first line says.
        OSError: the file cannot be read.

    Examples:
        >>> import ffjax, tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "vectors.vec"
        >>> _ = path.write_text("2 2\none 3.0 4.0 \ntwo 0.5 0.0 \n")
        >>> ffjax.load_text_dims(path, limit=1)
        Embeddings(NdArray(1 x 2), SimpleVocab(1 words), Norms(1))
    """
    with read_text_blocks(file, header=True, dims=dims, lossy=lossy, limit=limit, unit=True) as blocks:
        return collect(blocks)


@contextmanager
def read_text_blocks(
    file: File | Stream,
    *,
    header: bool,
    dims: int | None = None,
    lossy: bool = False,
    limit: int | None = None,
    unit: bool = False,
    values: bool = True,
) -> Iterator[Blocks]:
    r"""Opens a text file to read it a block of rows at a time, in memory for a few blocks.

    Args:
        file: a path, or a descriptor, which is closed afterwards as `open` does.
        header: whether the first line is `rows dims`.
        dims: as in `load_text`.
        lossy: whether to replace what is no UTF-8 in words by U+FFFD.
        limit: how many words to read at most.
        unit: whether to scale the rows to unit length.
        values: whether to read values at all, or the words alone.

    Raises:
        FormatError: as `load_text` and `load_text_dims`; most errors come while the blocks are gone through.

    Examples:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "vectors.txt"
        >>> _ = path.write_text("one 3.0 4.0\ntwo 0.5 0.0\n")
        >>> with read_text_blocks(path, header=False) as blocks:
        ...     [(block.words.strings, block.rows.tolist()) for block in blocks]
        [(['one', 'two'], [[3.0, 4.0], [0.5, 0.0]])]
    """
    check_limit(limit)
    check_dims(dims)
    with open_stream(file) as stream:
        n_rows, exact = None, dims is not None
        begin_text(stream)
        if header:
            n_rows, declared = read_header(stream)
            if dims is not None and dims != declared:
                raise ValueError(f"`dims`: expected {declared}, as the file's first line says, got {dims}.")
            dims = declared
            check_rows(stream, n_rows, 2 * dims + 1, _no_header(dims))
        jobs = cut_lines(stream)
        if dims is None:
            first = next(jobs, None)
            if first is None:
                raise stream.error(0, expected="a word and its values on each line", got="an empty file")
            dims, jobs = _count_dims(stream, first), _chain(first, jobs)
        reader = TextReader(stream, dims, exact=exact, lossy=lossy, unit=unit, values=values)
        with closing(reader.read(jobs, n_rows, limit)) as blocks:
            yield Blocks(dims, n_rows, blocks)


def begin_text(stream: Stream) -> None:
    """Skips a byte order mark.

    Raises:
        FormatError: lines end with a CR alone.
    """
    head = stream.head(_HEAD)
    if ends_with_cr(head):
        raise stream.error(
            head.index(b"\r"),
            expected="lines that end with LF, or with CR and LF",
            got="lines that end with CR alone",
            hint=r"Convert them first, as in `tr '\r' '\n' < OLD > NEW`.",
        )
    stream.read(mark_bytes(head))


def read_header(stream: Stream) -> tuple[int, int]:
    """Reads the line `rows dims`.

    Raises:
        FormatError: there is none.
    """
    head = stream.head(HEADER_BYTES)
    found = HEADER.match(head)
    if found is None:
        got = shown(head.split(b"\n", 1)[0]) if head else "an empty file"
        raise stream.error(0, chunk="first line", expected="two whole numbers, `rows dims`", got=got)
    rows, dims = int(found[1]), int(found[2])
    if not 1 <= dims <= MOST_DIMS:
        raise stream.error(0, chunk="first line", field="dims", expected=f"1 to {MOST_DIMS}", got=str(dims))
    stream.read(found.end())
    return rows, dims


def _no_header(dims: int) -> str | None:
    """What may be wrong where rows do not agree with a first line, which is of the form that they have themselves."""
    hint = "If that line is a word and its value, say that the file is text without dimensions with `format=`."
    return hint if dims == 1 else None


def check_rows(stream: Stream, n_rows: int, least: int, hint: str | None = None) -> None:
    """Refuses a number of rows that the rest of the file cannot hold at `least` bytes a row.

    Raises:
        FormatError: it cannot.
    """
    # The last row may lack its line feed.
    if stream.remaining is not None and n_rows * least > stream.remaining + 1:
        raise stream.error(
            0,
            chunk="first line",
            field="rows",
            expected=f"at most {(stream.remaining + 1) // least}, as many as {stream.remaining} bytes can hold",
            got=str(n_rows),
            hint=hint,
        )


@dataclass(frozen=True)
class Job:
    """Whole lines: `n_bytes` from `PAD` on in `buffer`, which are at `offset` in the file."""

    buffer: np.ndarray
    n_bytes: int
    offset: int

    def first(self, n_lines: int) -> "Job":
        """Its first lines, all of them if it has no more."""
        feeds = np.flatnonzero(self.buffer[PAD : PAD + self.n_bytes] == _LF)[:n_lines]
        return Job(self.buffer, int(feeds[-1]) + 1, self.offset)


def cut_lines(stream: Stream) -> Iterator[Job]:
    """Reads a stream in blocks of whole lines; the last line gets an LF if it has none.

    Raises:
        FormatError: a line is too long for any embeddings.
    """
    carry, more = b"", True
    while more:
        room = max(_BLOCK, 2 * len(carry))
        buffer = padded(room + 1)
        text = memoryview(buffer)[PAD:]
        text[: len(carry)] = carry
        n_bytes = len(carry) + stream.readinto(text[len(carry) : room])
        offset = stream.position - n_bytes
        more = n_bytes == room
        if not n_bytes:
            return
        if more:
            cut = _behind_last_feed(text, n_bytes)
            if not cut and n_bytes > _LONGEST_LINE:
                raise stream.error(offset, expected=f"lines of at most {_LONGEST_LINE} bytes", got="a longer one")
            carry = bytes(text[cut:n_bytes])
            n_bytes = cut
        elif text[n_bytes - 1] != _LF:
            text[n_bytes] = _LF
            n_bytes += 1
        if n_bytes:
            yield Job(buffer, n_bytes, offset)


def _behind_last_feed(text: memoryview, n_bytes: int, step: int = 1 << 16) -> int:
    for end in range(n_bytes, 0, -step):
        start = max(0, end - step)
        found = bytes(text[start:end]).rfind(b"\n")
        if found >= 0:
            return start + found + 1
    return 0


def _chain(first: Job, rest: Iterator[Job]) -> Iterator[Job]:
    yield first
    yield from rest


class TextReader:
    """Turns blocks of lines into blocks of rows."""

    def __init__(self, stream: Stream, dims: int, *, exact: bool, lossy: bool, unit: bool, values: bool) -> None:
        self._stream, self._dims = stream, dims
        self._exact, self._lossy, self._unit, self._values = exact, lossy, unit, values

    def read(self, jobs: Iterator[Job], n_rows: int | None, limit: int | None) -> Generator[Block, None, None]:
        """The rows of all lines, or of the first `limit` ones.

        Raises:
            FormatError: a line cannot be read, or there are not `n_rows` of them.
        """
        seen, empty_at = 0, None
        for block, empty in in_order(self._block, jobs if limit is None else _first_lines(jobs, limit)):
            if empty_at is not None and len(block):
                raise self._stream.error(empty_at, expected=f"a word and {self._dims} values", got="an empty line")
            empty_at = empty if empty_at is None else empty_at
            seen += len(block)
            if len(block):
                yield block
        wanted = n_rows if limit is None or n_rows is None else min(limit, n_rows)
        if wanted is not None and seen != wanted:
            raise self._stream.error(
                self._stream.position,
                expected=f"{n_rows} rows, as the first line says",
                got=f"{seen} up to the end" if seen < wanted else "more",
                hint=_no_header(self._dims),
            )

    def _block(self, job: Job) -> tuple[Block, int | None]:
        def fail(offset: int, **what: str | None) -> FormatError:
            return self._stream.error(job.offset + offset, **what)  # type: ignore[arg-type]

        def bad_word(i: int, expected: str, got: str) -> FormatError:
            hint = "`lossy=True` replaces what is no UTF-8."
            return fail(int(lines.starts[i]), field="word", expected=expected, got=got, hint=hint)

        lines = parse_lines(job.buffer, job.n_bytes, self._dims, fail, exact=self._exact, values=self._values)
        lengths = lines.ends - lines.starts
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        places = np.repeat(lines.starts + PAD - offsets[:-1], lengths) + np.arange(offsets[-1])
        words = check_words(job.buffer[places], offsets, self._lossy, bad_word)
        rows = np.empty((len(lengths), 0), np.float32) if lines.values is None else lines.values
        block = Block(words, rows, *unit_length(rows)) if self._unit else Block(words, rows)
        return block, None if lines.blank is None else job.offset + lines.blank


def _first_lines(jobs: Iterator[Job], limit: int) -> Iterator[Job]:
    while limit > 0 and (job := next(jobs, None)) is not None:
        n_lines = int(np.count_nonzero(job.buffer[PAD : PAD + job.n_bytes] == _LF))
        yield job.first(limit)
        limit -= n_lines


def _count_dims(stream: Stream, first: Job) -> int:
    """How many values most of the first lines have.

    Raises:
        FormatError: they have none.
    """
    n_lines, n_bytes = _SAMPLE
    text = first.buffer[PAD : PAD + first.n_bytes]
    lines = text[:n_bytes].tobytes().split(b"\n")[:-1][:n_lines] or text.tobytes().split(b"\n")[:1]
    counts = Counter(filter(None, map(count_values, lines)))
    if not counts:
        raise stream.error(0, expected="a word and its values on each line", got=shown(lines[0]))
    dims = counts.most_common(1)[0][0]
    if dims > 1 and count_values(lines[0]) == 1 and HEADER.fullmatch(lines[0] + b"\n"):
        raise stream.error(
            0,
            expected=f"a word and {dims} values",
            got=shown(lines[0]),
            hint="That is a line of dimensions; `load_text_dims` reads files with one.",
        )
    return dims
