"""What text, word2vec and floret files hold; importing this does not import JAX."""

from dataclasses import replace
from itertools import chain
from typing import Any

from ffjax.formats.io.streams import Stream
from ffjax.formats.text import header as headers
from ffjax.formats.text.fields import SAMPLE_LINES
from ffjax.formats.text.table import open_table
from ffjax.formats.word2vec_rows import check_head

_MATRIX = {"storage": "NdArray", "dtype": "float32"}


def describe_text(
    stream: Stream, *, format: str, lossy: bool = False, dims: int | None = None
) -> dict[str, Any]:
    """The number of words and dimensions; text without a first line `rows dims` is read."""
    table = open_table(stream, has_header=format == "textdims", dims=dims)
    if (chunk := next(table.chunks, None)) is not None:
        table.parse(chunk.first(SAMPLE_LINES))  # an error if `load` has one in the first lines
        table = replace(table, chunks=chain([chunk], table.chunks))
    if table.n_rows is not None:
        return _facts(table.n_rows, table.dims)
    n_rows, n_lines = table.count_words(lossy=lossy)
    return _facts(n_rows, table.dims) | {"repeated_words": (n_lines - n_rows) or None}


def describe_word2vec(stream: Stream) -> dict[str, Any]:
    """The number of words and dimensions, by the first line."""
    n_rows, dims = headers.read_header(stream)
    headers.check_rows(stream, n_rows, 4 * dims + 1)
    check_head(stream, n_rows, dims)
    return _facts(n_rows, dims)


def describe_floret(stream: Stream) -> dict[str, Any]:
    """How n-grams are hashed, and the shape of the table, by the first line."""
    headers.begin_text(stream)
    header = headers.read_floret_header(stream)
    headers.check_rows(stream, header.n_rows, 2 * header.dims + 2)
    return _MATRIX | {
        "vocabulary": "FloretVocab",
        "words": 0,
        "ngram_lengths": f"{header.min_n} to {header.max_n}",
        "hashes": header.n_hashes,
        "buckets": header.n_rows,
        "rows": header.n_rows,
        "dims": header.dims,
    }


def _facts(n_rows: int, dims: int) -> dict[str, Any]:
    sizes = {"words": n_rows, "rows": n_rows, "norms": n_rows, "dims": dims}
    return {"vocabulary": "SimpleVocab", **_MATRIX, **sizes}
