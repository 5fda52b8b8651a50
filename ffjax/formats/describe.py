"""What a file holds, as far as its head says; importing this does not import JAX."""

import tomllib
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from typing import Any

from ffjax._internal.file_arguments import check_dims, check_member, check_same_dims
from ffjax.errors import FinalfusionFormatError, FormatError
from ffjax.formats.detect import check_format, detect, is_folder
from ffjax.formats.fasttext import describe as fasttext
from ffjax.formats.fasttext.layout import MAGIC as FASTTEXT_MAGIC
from ffjax.formats.fasttext.layout import is_without_magic
from ffjax.formats.finalfusion import describe as finalfusion
from ffjax.formats.finalfusion.header import MAGIC as FINALFUSION_MAGIC
from ffjax.formats.gensim.describe import describe as describe_gensim
from ffjax.formats.hub import local_path
from ffjax.formats.io.binary import File
from ffjax.formats.io.folders import Folder
from ffjax.formats.io.streams import Stream, open_source, open_stream
from ffjax.formats.model2vec import describe as static_model
from ffjax.formats.snapshot import describe as snapshot
from ffjax.formats.snapshot.envelope import MAGIC as SNAPSHOT_MAGIC
from ffjax.formats.spacy import describe as spacy
from ffjax.formats.tables.layout import FORMATS as TABLES
from ffjax.formats.tables.layout import Layout, check_columns, open_layout, words_beside
from ffjax.formats.text.fields import SAMPLE_LINES
from ffjax.formats.text.header import (
    begin_text,
    check_rows,
    read_floret_header,
    read_header,
)
from ffjax.formats.text.table import open_table
from ffjax.formats.word2vec_rows import check_head

# By format: the bytes that it begins with, the class of its errors, and who describes it.
_IN_PLACE = {
    "finalfusion": (FINALFUSION_MAGIC, FinalfusionFormatError, finalfusion.describe),
    "fasttext": (FASTTEXT_MAGIC, FormatError, fasttext.describe),
    "msgpack": (SNAPSHOT_MAGIC, FormatError, snapshot.describe),
}
_FOLDERS: dict[str, Callable[[Folder], dict[str, Any]]] = {
    "spacy": spacy.describe,
    "model2vec": static_model.describe,
}
# What people are shown for the names that files and this library use.
_VOCABULARIES = {
    "SimpleVocab": "words",
    "BucketSubwordVocab": "words, n-grams in finalfusion's buckets",
    "FinalfusionBucketVocab": "words, n-grams in finalfusion's buckets",
    "FastTextSubwordVocab": "words, n-grams in fastText's buckets",
    "FastTextVocab": "words, n-grams in fastText's buckets",
    "ExplicitSubwordVocab": "words, stored n-grams",
    "ExplicitVocab": "words, stored n-grams",
    "FloretSubwordVocab": "n-grams in floret's buckets",
    "FloretVocab": "n-grams in floret's buckets",
}
_NO_WORDS = "none in the file; name the words with `words=`"
_STORAGES = {"NdArray": "plain", "Int8Array": "int8", "QuantizedArray": "quantized"}
# In this order.
_FACTS = (
    *("format", "layout", "tokenizer", "chunks", "vocabulary", "words", "repeated_words"),
    *("word_rows", "ngram_lengths"),
    *("ngrams", "ngram_rows", "buckets", "hashes", "dims", "storage", "rows", "dtype"),
    *("codes_per_row", "centroids", "rotated", "row_norms", "norms", "metadata", "tokens"),
    "normalized",
    *("labels", "first_labels", "output_rows", "loss", "word_ngrams"),
)


def describe(
    file: File,
    format: str | None = None,
    *,
    lossy: bool = False,
    dims: int | None = None,
    member: str | None = None,
    words: File | None = None,
    vectors: str | None = None,
) -> dict[str, Any]:
    """The format of a file and what it holds; only text without a header is read as a whole."""
    check_format("format", format)
    check_dims(dims)
    check_member(member)
    with open_stream(local_path(file), member, is_folder) as stream:
        format = detect(stream) if format is None else format
        if format in _IN_PLACE:
            magic, error, describe_source = _IN_PLACE[format]
            options = {"without_magic": is_without_magic} if format == "fasttext" else {}
            with open_source(stream, magic=magic, error=error, **options) as source:
                facts = describe_source(source)
        elif format == "gensim":
            facts = describe_gensim(stream)
        elif format in _FOLDERS:
            facts = _FOLDERS[format](stream.expected_folder())
        elif format in TABLES:
            with open_layout(stream, format, words, vectors) as layout:
                facts = _describe_layout(layout)
                if words is None and not layout.has_words and not _has_words_beside(stream):
                    facts |= {"vocabulary": _NO_WORDS, "words": 0}
        else:
            facts = _describe_table(stream, format, lossy, dims)
    check_columns(format, words, vectors)
    if "dims" in facts:
        check_same_dims(facts["dims"], dims)
    for name, shown in (("vocabulary", _VOCABULARIES), ("storage", _STORAGES)):
        if name in facts:
            facts[name] = shown.get(facts[name], facts[name])
    facts["format"] = format
    return {name: facts[name] for name in sorted(facts, key=_FACTS.index)}


def _has_words_beside(stream: Stream) -> bool:
    try:
        return bool(words_beside(stream.file))
    except ValueError:  # an error of the format too
        return False


def _describe_layout(layout: Layout) -> dict[str, Any]:
    n_rows, is_exact = layout.n_rows, layout.is_exact
    facts = {"vocabulary": "SimpleVocab", "words": n_rows, "storage": "NdArray", "rows": n_rows}
    if layout.has_norms or not is_exact:
        facts["norms"] = n_rows
    if layout.toml is not None:
        facts["metadata"] = list(tomllib.loads(layout.toml))
    return {**facts, "dims": layout.dims, "dtype": layout.dtype}


def _describe_table(stream: Stream, format: str, lossy: bool, dims: int | None) -> dict[str, Any]:
    matrix: dict[str, Any] = {"storage": "NdArray", "dtype": "float32"}
    if format == "floret":
        begin_text(stream)
        header = read_floret_header(stream)
        check_rows(stream, header.n_rows, 2 * header.dims + 2)
        ngrams = {
            "ngram_lengths": f"{header.min_n} to {header.max_n}",
            "hashes": header.n_hashes,
            "buckets": header.n_rows,
        }
        matrix |= {"dims": header.dims, "rows": header.n_rows}
        return {"vocabulary": "FloretVocab", "words": 0, **ngrams, **matrix}
    values: dict[str, Any] = {"vocabulary": "SimpleVocab"}
    if format == "word2vec":
        n_rows, dims = read_header(stream)
        check_rows(stream, n_rows, 4 * dims + 1)
        check_head(stream, n_rows, dims)
    else:
        table = open_table(stream, has_header=format == "textdims", dims=dims)
        if (chunk := next(table.chunks, None)) is not None:
            table.parse(chunk.first(SAMPLE_LINES))  # an error if `load` has one in the first lines
            table = replace(table, chunks=chain([chunk], table.chunks))
        n_rows, dims = table.n_rows, table.dims
        if n_rows is None:
            n_rows, n_lines = table.count_words(lossy=lossy)
            values["repeated_words"] = (n_lines - n_rows) or None
    return {**values, "words": n_rows, **matrix, "dims": dims, "rows": n_rows, "norms": n_rows}
