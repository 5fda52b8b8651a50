"""Reading fastText models.

After the settings (`layout`) and the dictionary (`dictionary`) a file has

    quantized  u8                1 if the input matrix is quantized, else 0
    input      i64 rows, i64 dims, f32[rows, dims]; or see `quantized`
    quantized  u8                1 if the output matrix is quantized too
    output     likewise

The input matrix has a row for each word, then one for each bucket of n-grams (or for each n-gram
that remains after pruning); the output matrix one for each label, or for models of words one for
each word. A file never has a quantized output matrix and a dense input matrix: there the flag means
nothing.
"""

import math
from typing import Any, NamedTuple

import jax
import numpy as np

from ffjax._internal.arrays import aligned_empty, read_array
from ffjax._internal.file_arguments import check_limit, counted
from ffjax._internal.warn import warn_user
from ffjax.embeddings.metadata import Metadata
from ffjax.embeddings.training_state import TrainingState
from ffjax.embeddings.value import Embeddings
from ffjax.formats.fasttext import dictionary, layout, quantized
from ffjax.formats.fasttext.dictionary import Dictionary
from ffjax.formats.fasttext.layout import (
    MAGIC,
    SUPERVISED,
    WITHOUT_MAGIC,
    Config,
    is_without_magic,
    read_quantized,
    read_version,
)
from ffjax.formats.io.binary import ByteSource, Cursor, File
from ffjax.formats.io.streams import Stream, open_source
from ffjax.storage import PQ, ComposedArray, NdArray, QuantizedArray, Storage
from ffjax.storage.norms import Norms
from ffjax.storage.word_sums import NgramRows, compose
from ffjax.strings.string_table import StringTable
from ffjax.vocab import FastTextVocab, SimpleVocab, Vocab
from ffjax.vocab.ngrams import FastTextIndexer, PrunedIndexer

_F32 = np.dtype("<f4")
# No model of words has longer n-grams, or more of them in a word; their number grows with the
# square of a word's length.
_MAX_CHARACTERS = 1024
_MAX_NGRAMS = 1 << 24


def load_fasttext(
    file: File | Stream, *, mmap: bool = False, lossy: bool = False, limit: int | None = None
) -> Embeddings:
    """Reads a fastText model, `.bin` or quantized `.ftz`.

    The vector of a known word is the mean of its own row and the rows of its n-grams, at unit
    length; the norms are in `norms`. The rows of n-grams stay as they are. So
    `lookup(..., unnormalize=True)` answers what fastText does, for known and unknown words. The
    settings become the metadata, under the names that finalfusion uses.

    Counts, labels and the output matrix of a classifier are in `training`. The output matrix of
    other models, which only training needs, is left in the file unless it is mapped.

    Rows with NaN or infinity stay as they are and make NaN of the vectors that they are part of; a
    warning says how many. Where vectors are composed when they are read, there is no warning.

    Args:
        file: a path; a descriptor, which is closed afterwards as `open` does; or a stream.
        mmap: whether to map the matrices instead of reading them: opening then takes the time that
            the words take, and vectors are composed when they are read. The file must not be
            changed in place while the embeddings are used. What is not a regular file is copied to
            a temporary one.
        lossy: whether to replace bytes that are not UTF-8 by U+FFFD. A word that would then equal
            another keeps its bytes. Vectors are those of the words as they were trained either way.
        limit: how many words to keep, from the first; n-grams are all kept.

    Returns:
        Embeddings with a `FastTextVocab`, or a `SimpleVocab` for a model without n-grams of
        characters. The storage is an `NdArray`; where vectors are composed when they are read
        (`mmap`, and quantized models with n-grams) a `ComposedArray`; for quantized models without
        n-grams a `QuantizedArray`.

    Raises:
        FormatError: if the file is truncated, corrupt or of another format, or a word is not UTF-8.
            The error has the file, the byte offset, the section and the field.
        TypeError: if `limit` is not an integer.
        ValueError: if `limit` is negative.
        OSError: if the file cannot be read.

    Examples:
        >>> import ffjax, tempfile, pathlib, numpy as np
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "words.bin"
        >>> vocab = ffjax.FastTextVocab(["tea", "coffee"], ffjax.FastTextIndexer(10, 3, 6))
        >>> matrix = np.linspace(0, 1, 12 * 3, dtype=np.float32).reshape(12, 3)
        >>> ffjax.write_fasttext(path, ffjax.Embeddings(ffjax.NdArray(matrix), vocab))
        >>> emb = ffjax.load_fasttext(path)
        >>> emb.vocab.words, emb.dims, emb.metadata["max_n"], emb["teas"].shape
        (['tea', 'coffee'], 3, 6, (3,))
    """
    check_limit(limit)
    with open_source(file, magic=MAGIC, without_magic=is_without_magic) as source:
        return read_embeddings(source, mmap=mmap, lossy=lossy, limit=limit)


def read_embeddings(
    source: ByteSource,
    *,
    mmap: bool = False,
    lossy: bool = False,
    limit: int | None = None,
    as_trained: bool = False,
) -> Embeddings:
    """Reads a model from an open file or from bytes; `load_fasttext` is this for a path.

    With `as_trained` rows stay as they are, in a `ComposedArray`, and words may be any bytes.
    """
    mmap = mmap and source.mappable
    cursor = Cursor(source)
    version = read_version(cursor)
    config = Config.read(cursor)
    dictionary_at = cursor.position
    has_pruned = version != WITHOUT_MAGIC
    entries = dictionary.read(cursor, config.buckets, has_pruned=has_pruned)
    hashing = hashing_of(config, version)
    if hashing is not None:
        check_ngrams(cursor, hashing, entries.words, dictionary_at)

    matrix = _read_matrix(cursor, "input matrix", config.dims, version, mmap)
    buckets, n_words = entries.buckets, len(entries.words)
    # finalfusion-python writes 0, "every n-gram pruned", into files that have all of them, and no
    # head for the output.
    is_finalfusions = matrix.codes is None and buckets is not None and len(buckets) == 0
    if is_finalfusions:
        buckets = None
    n_ngrams = config.buckets if buckets is None else len(buckets)
    _check_rows(cursor, matrix, n_words, n_ngrams, buckets is not None, hashing is not None)
    output, n_bytes = None, matrix.rows * config.dims * _F32.itemsize
    if not is_finalfusions or cursor.remaining != n_bytes:  # else the input matrix once more
        is_quantized = matrix.codes is not None
        matrix_out = _read_matrix(
            cursor, "output matrix", config.dims, version, mmap, is_quantized
        )
        cursor.finish()
        if config.model == SUPERVISED or mmap:
            output = matrix_out.read(0, matrix_out.rows)

    limit = n_words if limit is None else min(limit, n_words)
    table = entries.words
    if limit < n_words:
        table = StringTable.from_buffer(table.host_data, table.host_offsets[: limit + 1])
    indexer = hashing
    if hashing is not None and buckets is not None:
        indexer = PrunedIndexer(hashing, buckets)
    vocab = _build_vocab(cursor, table, indexer, entries, lossy, as_trained)
    storage, norms, original = _build_storage(matrix, n_words, table, indexer, as_trained)
    has_word_ngrams = indexer is None and matrix.rows > n_words
    training = TrainingState(
        entries.counts[:limit],
        n_tokens=entries.n_tokens,
        labels=entries.labels,
        label_counts=entries.counts[n_words:],
        output=output,
        word_ngrams=matrix.read(n_words, matrix.rows) if has_word_ngrams else None,
        word_ngram_buckets=buckets if indexer is None else None,
        original=original,
        version=version or layout.VERSIONS[0],
    )
    return Embeddings(storage, vocab, norms, Metadata(config._asdict()), training)


def hashing_of(config: Config, version: int) -> FastTextIndexer | None:
    """How words are cut into n-grams; `None` for a model without n-grams of characters."""
    lengths = config.ngram_lengths(version)
    if lengths is None:
        return None
    # To gensim, which reads files without a magic number too, `</s>` is a word like any other.
    bare_eos = version != WITHOUT_MAGIC
    return FastTextIndexer(config.buckets, *lengths, skip_edge_unigrams=True, bare_eos=bare_eos)


class _Matrix(NamedTuple):
    """A matrix of a file, which begins at `start`; quantized ones are read at once."""

    source: ByteSource
    start: int
    rows: int
    dims: int
    mmap: bool
    codes: QuantizedArray | None

    def read(self, first: int, stop: int) -> Any:
        """A storage of the rows from `first` up to `stop`, as they are in the file."""
        if self.codes is not None:
            return self.codes[first:stop]
        shape, start = (stop - first, self.dims), self.row_start(first)
        if self.mmap and stop > first:  # an empty map does not exist
            return NdArray(self.source.map(start, shape, _F32))
        return NdArray(read_array(self.source, start, shape, _F32))

    def row_start(self, row: int) -> int:
        """Where a row begins in the file."""
        return self.start + row * self.dims * _F32.itemsize


def check_ngrams(cursor: Cursor, indexer: FastTextIndexer, words: StringTable, at: int) -> None:
    """Checks that the longest word doesn't have too many n-grams."""
    longest = int(np.diff(words.host_offsets).max(initial=0)) + 2
    most = min(indexer.max_n, longest)
    if most > _MAX_CHARACTERS or longest * (most - indexer.min_n + 1) > _MAX_NGRAMS:
        bounds = f"{_MAX_CHARACTERS} characters, at most {_MAX_NGRAMS} in a word"
        got = f"{indexer.min_n} and {indexer.max_n}, and a word of {longest - 2} bytes"
        raise cursor.error("min_n, max_n", f"n-grams of at most {bounds}", got, offset=at)


def _read_matrix(
    cursor: Cursor,
    chunk: str,
    dims: int,
    version: int,
    mmap: bool,
    may_be_quantized: bool = True,
) -> _Matrix:
    """Reads the head of a matrix and steps over its rows; a quantized one is read."""
    cursor.chunk = chunk
    if read_quantized(cursor, version) and may_be_quantized:
        start, codes = cursor.position, _read_codes(cursor, dims, mmap)
        return _Matrix(cursor.source, start, len(codes), dims, mmap, codes)
    rows, start = layout.skip_dense(cursor, dims)
    return _Matrix(cursor.source, start, rows, dims, mmap, None)


def _read_codes(cursor: Cursor, dims: int, mmap: bool) -> QuantizedArray:
    start, shape, codebooks, norms = quantized.read(cursor, dims)
    if mmap and math.prod(shape):
        codes: Any = cursor.source.map(start, shape, np.uint8)
    else:
        codes = np.empty(shape, np.uint8)
        cursor.source.read_into(start, codes)
    return QuantizedArray(PQ(codebooks, dims=dims), codes, norms)


def _check_rows(
    cursor: Cursor, matrix: _Matrix, n_words: int, n_ngrams: int, is_pruned: bool, has_ngrams: bool
) -> None:
    """Checks that the input matrix has the rows that the dictionary promises."""
    if matrix.codes is None and is_pruned:
        offset, hint = matrix.start - 17, "fastText can't read it either."
        expected = "1, since n-grams have been pruned"
        raise cursor.error("quantized", expected, "0", offset=offset, hint=hint)
    words_alone = matrix.rows == n_words and not has_ngrams
    if matrix.rows != n_words + n_ngrams and not words_alone:
        expected = f"{n_words} for words and {n_ngrams} for n-grams"
        offset = matrix.start - (16 if matrix.codes is None else 0)
        raise cursor.error("rows", expected, str(matrix.rows), offset=offset)


def _build_vocab(
    cursor: Cursor,
    table: StringTable,
    indexer: FastTextIndexer | PrunedIndexer | None,
    entries: Dictionary,
    lossy: bool,
    any_bytes: bool,
) -> Vocab:
    cursor.chunk = "dictionary"
    if lossy:
        table = table.replace_invalid(distinct=True)
    elif not any_bytes:
        labels_at = entries.offsets[len(entries.words) :]
        dictionary.check_utf8(cursor, table, entries.offsets, "word")
        dictionary.check_utf8(cursor, entries.labels, labels_at, "label")
    try:
        return SimpleVocab(table) if indexer is None else FastTextVocab(table, indexer)
    except ValueError as error:
        offset = int(entries.offsets[0])
        raise cursor.error("words", "each word once", str(error), offset=offset) from error


def _build_storage(
    matrix: _Matrix,
    n_words: int,
    table: StringTable,
    indexer: FastTextIndexer | PrunedIndexer | None,
    as_trained: bool,
) -> tuple[Storage, Norms | None, Storage | None]:
    """The storage; norms that it does not have itself; the rows in the file if it scales them."""
    if matrix.codes is not None and indexer is None and not as_trained:
        return _scale(matrix.read(0, len(table)))
    if matrix.codes is None and not matrix.mmap and not as_trained:
        return *_compose(matrix, n_words, table, indexer), None
    ngrams = None if indexer is None else matrix.read(n_words, matrix.rows)
    return ComposedArray(matrix.read(0, len(table)), table, ngrams, indexer), None, None


def _scale(rows: QuantizedArray) -> tuple[QuantizedArray, Norms, QuantizedArray]:
    """Codes of rows at unit length, the norms, and the codes as they were."""
    norms = quantized.row_norms(rows)
    scale = np.ones_like(norms) if rows.norms is None else np.asarray(rows.norms)
    scale = np.divide(scale, norms, out=np.zeros_like(norms), where=norms > 0)
    return QuantizedArray(rows.quantizer, rows.codes, scale), Norms(norms), rows


def _compose(
    matrix: _Matrix, n_words: int, table: StringTable, indexer: Any
) -> tuple[NdArray, Norms]:
    """Reads a matrix and replaces words' rows by their vectors, without a second matrix."""
    n = len(table)
    stop = n_words if indexer is None else matrix.rows
    rows = aligned_empty((n + stop - n_words, matrix.dims), _F32)
    matrix.source.read_into(matrix.row_start(0), rows[:n])
    matrix.source.read_into(matrix.row_start(n_words), rows[n:])
    return compose_rows(rows, table, indexer)


def compose_rows(rows: np.ndarray, table: StringTable, indexer: Any) -> tuple[NdArray, Norms]:
    """Replaces rows of words, which come first, by their vectors; returns these and the norms."""
    n = len(table)
    norms = np.empty(n, np.float32)
    device = _host_device()
    n_invalid = 0
    with jax.default_device(device):
        # The storage shares the memory of the rows. Those of n-grams do not change, and no word
        # reads another word's row.
        shared = NdArray(jax.device_put(rows, device))
        ngrams = None if indexer is None else NgramRows(shared, n, table, indexer)
        for block in compose(shared, ngrams, np.arange(n)):
            rows[block.words], norms[block.words] = block.units, block.norms
            n_invalid += int(np.count_nonzero(~np.isfinite(block.norms)))
    if n_invalid:
        reason = "since rows of the model hold NaN or infinity"
        warn_user(f"{counted(n_invalid, 'vector')} without a finite length, {reason}")
    return NdArray(jax.device_put(rows)), Norms(norms)


def _host_device() -> Any:
    """The CPU, whose memory holds the matrix; `None` where JAX has been configured without it."""
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:
        return None
