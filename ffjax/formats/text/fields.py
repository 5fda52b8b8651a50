"""Fields of text looked at one line at a time: to detect formats, check words and report errors."""

import codecs
import re

SAMPLE_LINES = 64  # from which to tell the number of values

SEPARATORS = b" \t\r\n"
FIELD = re.compile(rb"[^ \t\r\n]+")
# An integer may end a word ("windows 10"); these are values.
_VALUE = re.compile(
    rb"[-+]?(\d+\.\d*|\.\d+)([eE][-+]?\d+)?|[-+]?\d+[eE][-+]?\d+|[-+]\d+|[-+]?(nan|inf)",
    re.IGNORECASE,
)
# A number with what stands around it in tables of other programs, or with the next line's word.
_NUMBER = rb"[-+]?(\d[\d.,]*|[.,]\d[\d.,]*)([eE][-+]?\d+)?"
_ALMOST_VALUE = re.compile(
    rb"[\[({\"']*(\d+:)?" + _NUMBER + rb"[,;:|\])}\"'\x00]*|[-+]?\d*\.\d+[^ \t\r\n]*"
)
_STUCK = b",;:|"
# Spaces that are part of a word: no-break, of various widths, ideographic.
GLUED_VALUE = re.compile(
    rb"(?:\xc2\xa0|\xe2\x80[\x80-\x8a\xaf]|\xe3\x80\x80)([-+]?\d*\.\d+(?:[eE][-+]?\d+)?)\Z"
)
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
# The byte order mark that some editors put before UTF-8.
_MARK = b"\xef\xbb\xbf"


def one_number(text: bytes) -> float:
    """Reads one number of any form: exponents, `nan`, `inf`, any number of digits."""
    if b"_" in text:  # which Python's own literals may have
        raise ValueError
    return float(text)


def count_values(line: bytes) -> int:
    """How many numbers a line ends with, not counting a first field that begins the line."""
    fields = list(FIELD.finditer(line))
    count = 0
    for field in reversed(fields[0 if fields and fields[0].start() else 1 :]):
        try:
            one_number(field[0])
        except ValueError:
            break
        count += 1
    return count


def word_before(line: bytes, n_values: int) -> bytes:
    """What precedes the last `n_values` fields of a line, and the separator before them."""
    fields = list(FIELD.finditer(line))
    return line[: max(0, fields[-n_values].start() - 1)] if len(fields) >= n_values > 0 else b""


def ends_with_value(word: bytes) -> bool:
    """Whether the last field of a word, as in `python 2.7`, would be taken for a value."""
    fields = re.split(rb"[ \t\r]", word.rstrip(SEPARATORS))
    if len(fields) < 2:
        return False
    is_value = _VALUE.fullmatch(fields[-1].rstrip(_STUCK + b"\x00")) is not None
    return is_value or stuck_separator(word) is not None or holds_values(word)


def number_hint(field: bytes) -> str | None:
    """What is wrong with a field that is almost a number."""
    if not _ALMOST_VALUE.fullmatch(field):
        return None
    return "Numbers have a point, not a comma, and nothing but spaces or tabs between them."


def are_almost_values(fields: list[bytes]) -> bool:
    """Whether fields are numbers, or have signs around them that numbers do not have."""
    return all(map(_ALMOST_VALUE.fullmatch, fields))


def holds_values(word: bytes) -> bool:
    """Whether most fields after the first are numbers, as where a line feed is lost."""
    if word.replace(b" ", b"").replace(b",", b"").isdigit():
        return False  # a word of whole numbers alone, such as `9 11 2001`
    fields = FIELD.findall(word)[1:]
    count = sum(_ALMOST_VALUE.fullmatch(field) is not None for field in fields)
    return count > 1 and 2 * count > len(fields)


def stuck_separator(word: bytes) -> str | None:
    """The comma or the like with which every field of a word ends, if the last is a number."""
    fields = FIELD.findall(word)
    last = word.rstrip(SEPARATORS)[-1:]
    if len(fields) < 2 or not last or last not in _STUCK:
        return None
    if fields[1::2] == [last] * (len(fields) // 2) and len(fields) % 2 == 0:
        # "a | 0.5 |", where separators stand alone.
        return last.decode() if len(fields) > 2 and are_almost_values(fields[2::2]) else None
    is_number = _ALMOST_VALUE.fullmatch(fields[-1]) is not None
    return last.decode() if is_number and all(f.endswith(last) for f in fields) else None


def other_separator(line: bytes) -> str | None:
    """The separator of a table that is not separated by spaces or tabs."""
    for separator in _STUCK:
        fields = line.split(bytes([separator]))[1:]
        if fields and all(_ALMOST_VALUE.fullmatch(field.strip()) for field in fields):
            return chr(separator)
    return None


def is_plain(head: bytes) -> bool:
    """Whether bytes are UTF-8 without control characters; the last character may be cut short."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return _CONTROL.search(head) is None


def mark_bytes(head: bytes) -> int:
    """The length of the byte order mark of a text; a mark before a separator is a word."""
    size = len(_MARK)
    return size if head[:size] == _MARK and head[size : size + 1] not in SEPARATORS else 0


def ends_with_cr(text: bytes) -> bool:
    """Whether there is no LF, and lines that end with CR alone have values, as in old files."""
    if b"\n" in text.rstrip(SEPARATORS):
        return False
    lines = text.split(b"\r", SAMPLE_LINES + 1)[:SAMPLE_LINES]
    lines = [line for line in lines if line.strip(SEPARATORS)]
    if len(lines) > 2 and not text.endswith(b"\r"):
        lines.pop()  # which may be cut short
    counts = list(map(count_values, lines))
    # The first line may be a header that ends with words.
    return len(counts) > 1 and all(counts[1:]) and (counts[0] > 0 or len(counts) > 2)


def shown(text: bytes, limit: int = 60) -> str:
    """Bytes for an error message."""
    word = text.decode("utf-8", errors="backslashreplace")
    return repr(word if len(word) <= limit else word[: limit - 3] + "...")


def line_of(text: bytes, i: int) -> bytes:
    """The line with a number, empty if there are fewer."""
    return (text.split(b"\n", i + 1) + [b""] * (i + 1))[i]


def table_hint(head: bytes) -> str:
    """What to do about a table with other separators, or with numbers in another form."""
    for line in (line_of(head, 0).strip(), line_of(head, 1).strip()):
        number, _, numbered = line.partition(b",")
        brackets = "".join(bracket for bracket in "[](){}" if bracket.encode() in line)
        values = line.split()[1:]
        if (separator := other_separator(line)) is not None:
            signs = brackets + separator
            # Only where spaces follow the separator may it be left out.
            change = f"-d '{signs}'" if are_almost_values(values) and values else f"'{signs}' ' '"
            remedy = f"Replace it, as in `tr {change} < OLD > NEW`."
        elif number.isdigit() and (separator := other_separator(numbered)) == ",":
            remedy = (
                "A number precedes the word. Remove it and replace the commas, as in "
                "`cut -d, -f2- OLD | tr ',' ' ' > NEW`."
            )
        elif values and are_almost_values(values):
            remedy = f"Remove them, as in `tr -d '{brackets}' < OLD > NEW`." if brackets else ""
            return f"{shown(values[-1])} is not a number. {remedy or number_hint(values[-1])}"
        else:
            continue
        return f"Values are separated by spaces or tabs, and here by {separator!r}. {remedy}"
    return (
        "It is text, but not a table of vectors: a word and its values on each line, separated by "
        "spaces or tabs."
    )
