"""Readers as simple as can be, one line after the other, to hold the fast ones against."""

import re
import zlib

import numpy as np


def text_rows(raw: bytes, dims: int) -> tuple[list[bytes], np.ndarray]:
    """The words and rows of lines of text that are known to be right.

    The last `dims` fields of a line are its values; before one separator stands the word.
    """
    words, rows = [], []
    lines = raw.split(b"\n")
    while lines and not lines[-1].strip(b" \t\r"):
        lines.pop()
    for line in lines:
        fields = list(re.finditer(rb"[^ \t\r]+", line))[-dims:]
        words.append(line[: fields[0].start() - 1])
        with np.errstate(over="ignore"):
            rows.append([np.float32(float(field[0])) for field in fields])
    return words, np.array(rows, np.float32).reshape(len(words), dims)


def word2vec_rows(raw: bytes, n_rows: int, dims: int) -> tuple[list[bytes], np.ndarray]:
    """The words and rows after the header of a valid word2vec file."""
    words, rows = [], []
    for _ in range(n_rows):
        raw = raw.lstrip(b"\n")
        word, _, raw = raw.partition(b" ")
        words.append(word)
        rows.append(np.frombuffer(raw[: 4 * dims], "<f4"))
        raw = raw[4 * dims :]
    return words, np.array(rows, np.float32).reshape(n_rows, dims)


def same(words: list[bytes], rows: np.ndarray, blocks: list) -> None:
    """Checks what a fast reader gave.

    Raises:
        AssertionError: it gave something else.
    """
    got = [block.words.raw(i) for block in blocks for i in range(len(block))]
    assert got == words, (got, words)
    values = np.concatenate(
        [np.empty((0, rows.shape[1]), np.float32), *(block.rows for block in blocks)]
    )
    assert values.shape == rows.shape, (values.shape, rows.shape)
    both_nan = np.isnan(values) & np.isnan(rows)
    assert ((values.view(np.uint32) == rows.view(np.uint32)) | both_nan).all(), (values, rows)


def with_checksum(data: bytes) -> bytes:
    """A snapshot with the checksum that its bytes ask for."""
    body = data[:-8]
    return body + b"%08x" % zlib.crc32(body)
