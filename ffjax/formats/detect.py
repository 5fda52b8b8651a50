"""Which format a file is in, by its content."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ffjax._internal.file_arguments import check_dims, check_file, check_limit, wrong_type
from ffjax.errors import FormatError
from ffjax.formats import registry
from ffjax.formats.foreign import foreign_file
from ffjax.formats.hub import local_path
from ffjax.formats.io.streams import Stream, open_stream
from ffjax.formats.text.fields import (
    count_values,
    ends_with_value,
    is_plain,
    line_of,
    mark_bytes,
    table_hint,
    word_before,
)
from ffjax.formats.text.header import HEADER, is_floret_header

# Enough for a first line, and for a long one if it is text.
_HEAD_BYTES = 1 << 16
_LONG_HEAD_BYTES = 1 << 24
_SAMPLE_LINES = 16
_SHOWN_NAMES = 5
_NUMBERS = re.compile(rb"[0-9eEaAfFiInN+. \t\r\n-]*")
_KNOWN = (
    "If it is a supported format, name it with `format=`. Recognized are finalfusion (begins "
    "with `FiFu`), fastText (begins with the bytes ba 16 4f 2f), a snapshot (begins with the bytes "
    "83 a5 and `ffjax`), gensim (begins with the bytes 80 02 to 80 05), tables (NumPy, Parquet, "
    "Arrow, safetensors, PyTorch), word2vec or text with dimensions (a first line `rows dims`), "
    "floret (a first line of six whole numbers and two markers), and text (a word and its values "
    "on each line, separated by spaces or tabs)."
)


@contextmanager
def open_file(
    path: Any,
    format: str | None,
    member: str | None,
    options: Mapping[str, Any],
    *,
    path_name: str = "path",
    format_name: str = "format",
) -> Iterator[tuple[Stream, registry.Format]]:
    """Opens embeddings, and recognizes their format if it is not given; checks reading options.

    `path_name` and `format_name` are what errors call `path` and `format`.
    """
    registry.check_format(format_name, format)
    check_limit(options.get("limit"))
    check_dims(options["dims"])
    if not isinstance(member, str | None):
        raise wrong_type("member", "the name of a file in an archive, or None", member)
    path = local_path(path)
    check_file(path, path_name)
    with open_stream(path, member, registry.is_folder) as stream:
        try:
            entry = registry.FORMATS[detect(stream) if format is None else format]
        except FormatError as error:
            error.hint = error.hint and error.hint.replace("`format=`", f"`{format_name}=`")
            raise
        for name in sorted({"words", "vectors"} - registry.options_of(entry.describe)):
            if options[name] is not None:
                expected = f"expected None for {entry.name} files, which have no columns"
                raise ValueError(f"`{name}`: {expected}, got {options[name]!r}.")
        yield stream, entry


def detect(stream: Stream) -> str:
    r"""Recognizes the format of a stream at its start; the bytes do not count as read.

    A folder is recognized by the names of its files.

    Both word2vec files and text with dimensions begin with a line `rows dims`; it is text if the
    first row ends with so many numbers in text. If all rows have one value, and there are not as
    many as the first line says, then that line is a word with its value. So is a first line like
    floret's if it ends with numbers, not with markers, and the next line is not a row of a table.

    Examples:
        >>> import io
        >>> texts = b"1 2\none 0.5 0.25\n", b"one 0.5 0.25\n"
        >>> [detect(Stream(None, io.BytesIO(text))) for text in texts]
        ['textdims', 'text']
    """
    if stream.folder is not None:
        names = stream.folder.names
        if (format := registry.by_names(names)) is not None:
            return format.name
        shown = ", ".join(map(repr, names[:_SHOWN_NAMES])) + ", ..." * (len(names) > _SHOWN_NAMES)
        got = f"a folder with {shown}" if names else "a folder without files"
        raise stream.error(None, "embeddings", got, hint="Name a file in it.")
    head = stream.head(_HEAD_BYTES)
    line = head.partition(b"\n")[0]
    # A row of text begins with any word, such as `FiFu`.
    if b"\0" in line or not head[:4].isalnum() or not count_values(line):
        if (format := registry.by_head(head)) is not None:
            return format.name
    if b"\n" not in head and b"\x00" not in head and len(head) == _HEAD_BYTES:
        head = stream.head(_LONG_HEAD_BYTES)
    if (foreign := foreign_file(head)) is not None:
        raise stream.error(0, "embeddings", foreign.name, hint=foreign.advice)
    mark = mark_bytes(head)
    head = head[mark:]
    if _is_floret(head):
        return "floret"
    if (header := HEADER.match(head)) is not None:
        return _with_dims(stream, int(header[1]), int(header[2]), mark + header.end())
    if _is_text(head):
        return "text"
    if not head:
        raise stream.error(0, "embeddings", "an empty file")
    got = f"{head[:32]!r}{'...' if len(head) > 32 else ''}"
    raise stream.error(0, "embeddings", got, hint=table_hint(head) if is_plain(head) else _KNOWN)


def _is_text(head: bytes) -> bool:
    """Whether half of the first lines, or more, are a word and its values."""
    lines = head.split(b"\n", _SAMPLE_LINES)[:_SAMPLE_LINES]
    lines = [line for line in lines if line.strip()]
    counts = list(map(count_values, lines))
    if b"\x00" in head:  # which a word may hold, but no number
        words = map(word_before, lines, counts)
        return 0 < len(lines) == sum(map(bool, counts)) and not any(map(ends_with_value, words))
    return 2 * sum(map(bool, counts)) >= len(lines) > 0


def _is_floret(head: bytes) -> bool:
    line, _, rest = head.partition(b"\n")
    if not is_floret_header(line):
        return False
    fields, row = line.split(), rest.partition(b"\n")[0].split()
    if count_values(b" ".join(fields[5:])) < 2:
        return True
    # The markers are numbers, so it may be a word and seven values as well.
    return not row or (row[0] == b"0" and len(row) == 1 + int(fields[1]))


def _with_dims(stream: Stream, n_rows: int, dims: int, start: int) -> str:
    """The format of a file whose first line `rows dims` ends at byte `start`."""
    head = stream.head(_HEAD_BYTES)[start:]
    if b"\n" not in head and len(head) + start == _HEAD_BYTES:
        head = stream.head(_LONG_HEAD_BYTES)[start:]
    line = head.partition(b"\n")[0]
    values = count_values(line)
    if values >= dims or not n_rows or not head:
        return "textdims"
    if values == 1 and dims > 1 and HEADER.fullmatch(line + b"\n"):
        # The line of dimensions twice, or vectors of one number and numbers for words.
        is_twice = line.split() == stream.head(start).split()
        return "textdims" if is_twice and count_values(line_of(head, 1)) >= dims else "text"
    if values and (counts := _value_counts(head)):
        lines = head.removesuffix(b"\n").count(b"\n") + 1
        return "text" if set(counts) == {1} and dims > 1 and lines != n_rows else "textdims"
    # If a row is too short, the reader of text says so; binary numbers do not look like this.
    vector = head.partition(b" ")[2][: 4 * dims]
    if vector and _NUMBERS.fullmatch(vector):
        return "textdims"
    has_separators = re.search(rb"[\s,;:|]", vector or line) is not None
    return "textdims" if has_separators and is_plain(head) else "word2vec"


def _value_counts(head: bytes) -> list[int]:
    """How many values each of the first lines has, if all of them have some."""
    lines = head.removesuffix(b"\n").split(b"\n")
    if len(lines) > 1 and not head.endswith(b"\n"):
        lines.pop()  # it may be cut short
    counts = list(map(count_values, lines[:_SAMPLE_LINES]))
    return counts if all(counts) and b"\x00" not in head else []
