"""The head of a fastText file: magic number, version, and the settings of the training.

Everything is little endian, nothing is padded or aligned:

    i32     magic          793712314
    i32     version        11 or 12
    i32     dims           dimensions of the vectors
    i32     window_size    words on either side
    i32     epoch          passes over the corpus
    i32     min_count      words that occur less often are unknown
    i32     ns             negative samples
    i32     word_ngrams    the longest n-grams of words (supervised models)
    i32     loss           1 hierarchical softmax, 2 negative sampling, 3 softmax, 4 one against all
    i32     model          1 CBOW, 2 skip-gram, 3 supervised
    i32     buckets        rows for hashed n-grams
    i32     min_n, max_n   the shortest and longest n-grams of characters; max_n 0 for none
    i32     lr_update_rate
    f64     sampling_threshold

Then come the dictionary (`dictionary`), a flag and the input matrix, a flag and the output matrix
(`reader`, `quantized`). Files from before version 11 begin with `dims`; they have no flags, and the
dictionary has no number of pruned n-grams. Up to version 11 a supervised model has no n-grams of
characters, whatever its `max_n` says. The names of the settings are finalfusion's.
"""

import struct
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from ffjax.formats.fasttext import dictionary, quantized
from ffjax.formats.fasttext.dictionary import Dictionary
from ffjax.formats.fasttext.quantized import Matrix
from ffjax.formats.io.binary import ByteSource, Cursor, File
from ffjax.formats.io.streams import Stream, open_source
from ffjax.formats.registry import FORMATS

(MAGIC,) = FORMATS["fasttext"].magics
OLDER, NEWER = 11, 12  # versions
WITHOUT_MAGIC = 0
"""The version of files from before there was a magic number, in early 2017."""
_OLD_HEAD = struct.Struct("<12id3iq")  # up to the number of tokens
SUPERVISED, _THRESHOLD = "Supervised", "sampling_threshold"
# Settings that are numbers in the file and names in the metadata; the first name is 1.
_NAMES = {
    "loss": ("HierarchicalSoftmax", "NegativeSampling", "Softmax", "OneVsAll"),
    "model": ("CBOW", "SkipGram", SUPERVISED),
}
# Whole numbers in the place of a threshold are smaller.
_LEAST_NORMAL = 2.0**-1022
_I32 = range(-(2**31), 2**31)
_BOUNDS = {name: (1, len(names)) for name, names in _NAMES.items()}
_BOUNDS |= {"dims": (1, _I32[-1]), "buckets": (0, _I32[-1])}
_SHOWN_LABELS = 8


class Config(NamedTuple):
    """The settings in a file, in its order; the defaults stand for "unknown"."""

    dims: int
    window_size: int = -1
    epoch: int = -1
    min_count: int = -1
    ns: int = -1
    word_ngrams: int = 1
    loss: str = "Softmax"
    model: str = "SkipGram"
    buckets: int = 0
    min_n: int = 0
    max_n: int = 0
    lr_update_rate: int = -1
    sampling_threshold: float = 1e-4

    @classmethod
    def read(cls, cursor: Cursor) -> "Config":
        """Reads the settings."""
        cursor.chunk = "settings"
        begin = cursor.position
        values: dict[str, Any] = {}
        for name in cls._fields:
            code = "d" if name == _THRESHOLD else "i"
            value = cursor.number(code, name, *_BOUNDS.get(name, (None, None)))
            values[name] = _NAMES[name][value - 1] if name in _NAMES else value
        config = cls(**values)
        if 0 < config.sampling_threshold < _LEAST_NORMAL:  # they have a mode and hashes instead
            writer = "`save_floret_vectors`" if config.lr_update_rate == 2 else "`save_vectors`"
            hint = f"Load it with the package `floret`, and write its vectors with {writer}."
            expected = "a fastText model"
            raise cursor.error("mode", expected, "a floret model", offset=begin, hint=hint)
        if config.max_n < 0 <= config.min_n:
            hint = (
                "fastText takes n-grams of any length then, which would be very many. Write the "
                "vectors of words with fastText's `print-word-vectors`."
            )
            raise cursor.error("max_n", "0 or more", str(config.max_n), offset=begin, hint=hint)
        return config

    def packed(self) -> bytes:
        """The settings as a file has them."""
        settings = self._asdict()
        codes = {name: names.index(settings[name]) + 1 for name, names in _NAMES.items()}
        return struct.pack("<12id", *(settings | codes).values())

    @classmethod
    def of(cls, metadata: Mapping[str, Any] | None, dims: int) -> "Config":
        """The settings in metadata, with defaults for what is missing or does not fit."""
        settings = {name: value for name, value in (metadata or {}).items() if _fits(name, value)}
        return cls(**{**settings, "dims": dims})

    def ngram_lengths(self, version: int) -> tuple[int, int] | None:
        """The shortest and longest n-grams; `None` for a model without n-grams of characters."""
        min_n = max(self.min_n, 1)  # fastText counts characters from 1
        # fastText compares without signs: nothing is as long as a negative min_n.
        is_empty = self.buckets == 0 or self.max_n < min_n or self.min_n < 0
        is_old_classifier = version <= OLDER and self.model == SUPERVISED
        return None if is_empty or is_old_classifier else (min_n, self.max_n)


def is_without_magic(head: bytes) -> bool:
    """Whether a file begins with settings and sizes that fit each other, as very old ones do."""
    if len(head) < _OLD_HEAD.size:
        return False
    settings = _OLD_HEAD.unpack_from(head)
    dims, window_size, *_, loss, model, buckets, min_n, max_n, _, threshold = settings[:13]
    size, n_words, n_labels, n_tokens = settings[13:]
    return (
        0 < dims < 1 << 16
        and 0 < window_size < 1 << 16
        and loss in (1, 2, 3)
        and model in (1, 2, 3)
        and 0 <= buckets
        and 0 <= min_n < 1 << 10
        and 0 <= max_n < 1 << 10
        and 0 <= threshold <= 1
        and 0 < size == n_words + n_labels
        and min(n_words, n_labels) >= 0 < n_tokens
    )


def open_model(file: File | Stream) -> AbstractContextManager[ByteSource]:
    """Opens a model for reading in place."""
    title = "a fastText model (.bin or .ftz)"
    return open_source(file, magic=MAGIC, without_magic=is_without_magic, title=title)


def lost_settings(metadata: Mapping[str, Any] | None) -> list[str]:
    """The names in metadata for which a file has no place."""
    return [name for name, value in (metadata or {}).items() if not _fits(name, value)]


def _fits(name: str, value: Any) -> bool:
    """Whether metadata of this name is a setting."""
    if name in _NAMES:
        return value in _NAMES[name]
    if name == _THRESHOLD:
        return type(value) in (int, float)
    return name in Config._fields and type(value) is int and value in _I32


class Model(NamedTuple):
    """What a file says, but for the numbers of its matrices; `output` is missing in some."""

    version: int
    config: Config
    entries: Dictionary
    buckets: Any  # of the remaining n-grams; `None` if nothing was pruned
    input: Matrix
    output: Matrix | None


def read_model(cursor: Cursor) -> Model:
    """Reads a file up to its end, without the rows of matrices."""
    cursor.chunk, version = "header", WITHOUT_MAGIC
    if cursor.remaining < len(MAGIC) or bytes(cursor.source.data[: len(MAGIC)]) == MAGIC:
        cursor.skip("magic", len(MAGIC))
        version = cursor.number("i", "version", OLDER, NEWER)
    config = Config.read(cursor)
    entries = dictionary.read(cursor, config.buckets, has_pruned=version != WITHOUT_MAGIC)
    matrix = _read_matrix(cursor, "input matrix", config.dims, version)
    is_quantized = matrix.codebooks is not None
    # finalfusion-python writes 0, "every n-gram pruned", into files that have all of them, and no
    # head for the output: the input matrix once more.
    buckets, output = entries.buckets, None
    is_finalfusions = not is_quantized and buckets is not None and len(buckets) == 0
    if is_finalfusions:
        buckets = None
    _check_rows(cursor, config, version, entries.n_words, buckets, matrix)
    if not is_finalfusions or cursor.remaining != 4 * matrix.rows * config.dims:
        output = _read_matrix(cursor, "output matrix", config.dims, version, is_quantized)
        cursor.finish()
    return Model(version, config, entries, buckets, matrix, output)


def _read_matrix(
    cursor: Cursor, chunk: str, dims: int, version: int, may_be_quantized: bool = True
) -> Matrix:
    """Reads a matrix, but for its rows or codes."""
    cursor.chunk = chunk
    is_quantized = version != WITHOUT_MAGIC and cursor.number("B", "quantized", 0, 1)
    if is_quantized and may_be_quantized:
        return quantized.read(cursor, dims)
    head = cursor.position
    rows, columns = cursor.number("q", "rows"), cursor.number("q", "dims")
    if rows < 0 or (columns != dims and rows):
        expected, got = f"0 or more, and {dims}", f"{rows} and {columns}"
        raise cursor.error("rows, dims", expected, got, offset=head)
    start = cursor.skip("rows", cursor.claim("rows", rows, 4 * dims, offset=head))
    return Matrix(head, start, rows)


def _check_rows(
    cursor: Cursor, config: Config, version: int, n_words: int, buckets: Any, matrix: Matrix
) -> None:
    """Checks that the input matrix has the rows that the dictionary promises."""
    if matrix.codebooks is None and buckets is not None:
        offset, hint = matrix.head - 1, "fastText can't read it either."
        expected = "1, since n-grams have been pruned"
        raise cursor.error("quantized", expected, "0", offset=offset, hint=hint)
    n_ngrams = config.buckets if buckets is None else len(buckets)
    has_words_alone = matrix.rows == n_words and config.ngram_lengths(version) is None
    if matrix.rows != n_words + n_ngrams and not has_words_alone:
        expected = f"{n_words} for words and {n_ngrams} for n-grams"
        raise cursor.error("rows", expected, str(matrix.rows), offset=matrix.head)


def describe(stream: Stream) -> dict[str, Any]:
    """The settings, the sizes of the dictionary, and the shapes of the matrices."""
    with open_model(stream) as source:
        version, config, entries, buckets, matrix, output = read_model(Cursor(source))
        n_words = entries.n_words
        shown = slice(n_words, n_words + _SHOWN_LABELS)
        bounds = zip(entries.starts[shown], entries.ends[shown], strict=True)
        labels = [entries.data[slice(*at)].tobytes() for at in bounds]
    lengths = config.ngram_lengths(version)
    facts: dict[str, Any] = {"vocabulary": "SimpleVocab", "words": n_words}
    if lengths is not None:
        facts["vocabulary"] = "FastTextVocab"
        facts["ngram_lengths"] = "{} to {}".format(*lengths)
        facts["buckets"] = config.buckets if buckets is None else len(buckets)
    facts |= {"dims": config.dims, "storage": "NdArray", "dtype": "float32"}
    facts["rows"] = matrix.rows if lengths else n_words
    if matrix.codebooks is not None:
        del facts["dtype"]
        facts |= {"storage": "QuantizedArray", "codes_per_row": len(matrix.codebooks)}
    facts |= {"norms": n_words, "metadata": list(config._fields), "tokens": entries.n_tokens}
    n_labels = len(entries.starts) - n_words
    facts |= {"labels": n_labels, "output_rows": None if output is None else output.rows}
    if labels:
        names = [label.decode("utf-8", "replace") for label in labels]
        facts |= {"loss": config.loss, "word_ngrams": config.word_ngrams}
        facts["first_labels"] = [name.removeprefix("__label__") for name in names]
    return facts
