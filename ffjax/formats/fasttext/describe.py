"""What a fastText model holds, without its words and rows."""

from typing import Any

from ffjax.formats.fasttext import quantized
from ffjax.formats.fasttext.entries import TAIL_BYTES, find_ends, read_sizes
from ffjax.formats.fasttext.layout import (
    MAGIC,
    WITHOUT_MAGIC,
    Config,
    is_without_magic,
    read_quantized,
    read_version,
    skip_dense,
)
from ffjax.formats.io.binary import Cursor
from ffjax.formats.io.streams import Stream, open_source

_LABEL, _SHOWN_LABELS = 1, 8  # the type of an entry


def describe(stream: Stream) -> dict[str, Any]:
    """The settings, the sizes of the dictionary, and the shapes of the matrices."""
    with open_source(stream, magic=MAGIC, without_magic=is_without_magic) as source:
        cursor = Cursor(source)
        version = read_version(cursor)
        config = Config.read(cursor)
        sizes = read_sizes(cursor, has_pruned=version != WITHOUT_MAGIC)
        data = source.view(cursor.position, cursor.end)
        ends = find_ends(cursor, data, sizes.n_entries)
        first_labels = _first_labels(data, ends)
        cursor.skip("entries", int(ends[-1]) + TAIL_BYTES if len(ends) else 0)
        cursor.skip("n-grams", 8 * max(sizes.pruned, 0))
        lengths = config.ngram_lengths(version)
        vocabulary = {"vocabulary": "SimpleVocab", "words": sizes.n_words}
        if lengths is not None:
            vocabulary["vocabulary"] = "FastTextVocab"
            vocabulary["ngram_lengths"] = "{} to {}".format(*lengths)
            vocabulary["buckets"] = config.buckets if sizes.pruned <= 0 else sizes.pruned

        cursor.chunk = "input matrix"
        is_quantized = read_quantized(cursor, version)
        rows, n_codes = _skip_matrix(cursor, config.dims, is_quantized)
        matrix: dict[str, Any] = {
            "dims": config.dims,
            "storage": "QuantizedArray" if is_quantized else "NdArray",
            "rows": rows if lengths else sizes.n_words,
        }
        matrix |= {"codes_per_row": n_codes} if is_quantized else {"dtype": "float32"}
        output_rows = None
        # finalfusion-python writes the input matrix once more, without a head.
        if sizes.pruned != 0 or cursor.remaining != 4 * rows * config.dims:
            cursor.chunk = "output matrix"
            is_quantized = read_quantized(cursor, version) and is_quantized
            output_rows, _ = _skip_matrix(cursor, config.dims, is_quantized)
        training = {"tokens": sizes.n_tokens, "labels": sizes.n_labels, "output_rows": output_rows}
        if sizes.n_labels:
            training |= {"loss": config.loss, "word_ngrams": config.word_ngrams}
            training["first_labels"] = first_labels
        values = {"norms": sizes.n_words, "metadata": list(config._fields)}
        return {**vocabulary, **matrix, **values, **training}


def _first_labels(data: Any, ends: Any) -> list[str]:
    """The first labels of a dictionary, without their prefix."""
    (entries,) = (data[ends + TAIL_BYTES - 1] == _LABEL).nonzero()
    bounds = [(ends[i - 1] + TAIL_BYTES if i else 0, ends[i]) for i in entries[:_SHOWN_LABELS]]
    names = (data[start:end].tobytes().decode("utf-8", "replace") for start, end in bounds)
    return [name.removeprefix("__label__") for name in names]


def _skip_matrix(cursor: Cursor, dims: int, is_quantized: bool) -> tuple[int, int]:
    """Steps over a matrix; returns its rows and the codes of a row."""
    return quantized.read(cursor, dims).shape if is_quantized else (skip_dense(cursor, dims)[0], 0)
