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

from typing import Any, NamedTuple

import jax
import numpy as np

from ffjax._internal.arrays import aligned_empty, read_array
from ffjax._internal.file_arguments import check_limit, counted
from ffjax._internal.warn import warn_user
from ffjax.embeddings.metadata import Metadata
from ffjax.embeddings.training_state import TrainingState
from ffjax.embeddings.value import Embeddings
from ffjax.formats.fasttext import layout, quantized
from ffjax.formats.fasttext.layout import Config
from ffjax.formats.io.binary import ByteSource, Cursor, File
from ffjax.formats.io.streams import Stream
from ffjax.storage import PQ, ComposedArray, NdArray, QuantizedArray, Storage
from ffjax.storage.norms import Norms
from ffjax.storage.word_sums import NgramRows, compose
from ffjax.strings.string_table import StringTable
from ffjax.vocab import FastTextVocab, SimpleVocab
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
    with layout.open_model(file) as source:
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
    model = layout.read_model(cursor)
    config, entries, n_words = model.config, model.entries, model.entries.n_words
    spans = entries.starts, entries.ends
    labels = StringTable.from_spans(entries.data, *(x[n_words:] for x in spans))
    words = StringTable.from_spans(entries.data, *(x[:n_words][:limit] for x in spans))
    cursor.chunk = "dictionary"
    hashing = hashing_of(config, model.version)
    indexer: Any = hashing
    if hashing is not None:
        longest = int((entries.ends - entries.starts)[:n_words].max(initial=0))
        check_ngrams(cursor, hashing, longest, entries.begin)
        if model.buckets is not None:
            indexer = PrunedIndexer(hashing, model.buckets)
    texts = words.replace_invalid(distinct=True) if lossy else words
    if not lossy and not as_trained:
        check_utf8(cursor, words, entries.offsets, "word")
        check_utf8(cursor, labels, entries.offsets[n_words:], "label")
    try:
        vocab = SimpleVocab(texts) if indexer is None else FastTextVocab(texts, indexer)
    except ValueError as error:
        offset = int(entries.offsets[0])
        raise cursor.error("words", "each word once", str(error), offset=offset) from error

    file = _Rows(source, model.input, config.dims, mmap)
    storage, norms, original = _storage(file, n_words, words, indexer, as_trained)
    output, n_rows = None, model.input.rows
    if model.output is not None and (config.model == layout.SUPERVISED or mmap):
        output = file._replace(matrix=model.output).read(0, model.output.rows)
    has_word_ngrams = indexer is None and n_rows > n_words
    training = TrainingState(
        entries.counts[:n_words][:limit],
        n_tokens=entries.n_tokens,
        labels=labels,
        label_counts=entries.counts[n_words:],
        output=output,
        word_ngrams=file.read(n_words, n_rows) if has_word_ngrams else None,
        word_ngram_buckets=model.buckets if indexer is None else None,
        original=original,
        version=model.version or layout.OLDER,
    )
    return Embeddings(storage, vocab, norms, Metadata(config._asdict()), training)


def hashing_of(config: Config, version: int) -> FastTextIndexer | None:
    """How words are cut into n-grams; `None` for a model without n-grams of characters."""
    lengths = config.ngram_lengths(version)
    if lengths is None:
        return None
    # To gensim, which reads files without a magic number too, `</s>` is a word like any other.
    bare_eos = version != layout.WITHOUT_MAGIC
    return FastTextIndexer(config.buckets, *lengths, skip_edge_unigrams=True, bare_eos=bare_eos)


def check_ngrams(cursor: Cursor, indexer: FastTextIndexer, longest: int, at: int) -> None:
    """Checks that the longest word, of so many bytes, doesn't have too many n-grams."""
    most = min(indexer.max_n, longest + 2)
    if most > _MAX_CHARACTERS or (longest + 2) * (most - indexer.min_n + 1) > _MAX_NGRAMS:
        bounds = f"{_MAX_CHARACTERS} characters, at most {_MAX_NGRAMS} in a word"
        got = f"{indexer.min_n} and {indexer.max_n}, and a word of {longest} bytes"
        raise cursor.error("min_n, max_n", f"n-grams of at most {bounds}", got, offset=at)


def check_utf8(cursor: Cursor, table: StringTable, offsets: np.ndarray, noun: str) -> None:
    """Checks that every string is UTF-8; `offsets` are where they begin in the file."""
    if invalid := table.first_invalid():
        offset, got = int(offsets[invalid.index]) + invalid.offset, repr(table.raw(invalid.index))
        hint = "Use `lossy=True` to replace what is not UTF-8 by U+FFFD."
        raise cursor.error(f"{noun} {invalid.index}", "UTF-8", got, offset=offset, hint=hint)


class _Rows(NamedTuple):
    """The rows of a matrix in a file."""

    source: ByteSource
    matrix: quantized.Matrix
    dims: int
    mmap: bool

    def read(self, first: int, stop: int) -> Any:
        """A storage of the rows from `first` up to `stop`, as they are in the file."""
        books, norms = self.matrix.codebooks, self.matrix.norms
        dtype, width = (_F32, self.dims) if books is None else (np.dtype("u1"), len(books))
        shape, start = (stop - first, width), self.matrix.start + first * width * dtype.itemsize
        rows = read_array(self.source, start, shape, dtype, mmap=self.mmap)
        if books is None:
            return NdArray(rows)
        norms = None if norms is None else norms[first:stop]
        return QuantizedArray(PQ(books, dims=self.dims), rows, norms)


def _storage(
    file: _Rows, n_words: int, table: StringTable, indexer: Any, as_trained: bool
) -> tuple[Storage, Norms | None, Storage | None]:
    """The storage; norms that it does not have itself; the rows in the file if it scales them."""
    matrix, n = file.matrix, len(table)
    is_quantized = matrix.codebooks is not None
    if as_trained or (file.mmap and not is_quantized) or (is_quantized and indexer is not None):
        ngrams = None if indexer is None else file.read(n_words, matrix.rows)
        return ComposedArray(file.read(0, n), table, ngrams, indexer), None, None
    if is_quantized:  # the same codes, with norms that make rows of unit length
        rows = file.read(0, n)
        norms = quantized.row_norms(rows)
        scale = np.ones_like(norms) if rows.norms is None else np.asarray(rows.norms)
        scale = np.divide(scale, norms, out=np.zeros_like(norms), where=norms > 0)
        return QuantizedArray(rows.quantizer, rows.codes, scale), Norms(norms), rows
    # Words' rows are replaced by their vectors, without a second matrix.
    stop = n_words if indexer is None else matrix.rows
    rows = aligned_empty((n + stop - n_words, file.dims), _F32)
    file.source.read_into(matrix.start, rows[:n])
    file.source.read_into(matrix.start + n_words * rows[:1].nbytes, rows[n:])
    return *compose_rows(rows, table, indexer), None


def compose_rows(rows: np.ndarray, table: StringTable, indexer: Any) -> tuple[NdArray, Norms]:
    """Replaces rows of words, which come first, by their vectors; returns these and the norms."""
    n = len(table)
    norms = np.empty(n, np.float32)
    try:
        device = jax.local_devices(backend="cpu")[0]  # whose memory holds the matrix
    except RuntimeError:  # JAX has been configured without it
        device = None
    n_invalid = 0
    with jax.default_device(device):
        # The storage shares the memory of the rows. Those of n-grams do not change, and no word
        # reads another word's row.
        shared = NdArray(jax.device_put(rows, device))
        ngrams = None if indexer is None else NgramRows(shared, n, table, indexer)
        for words, units, lengths in compose(shared, ngrams, np.arange(n)):
            rows[words], norms[words] = units, lengths
            n_invalid += int(np.count_nonzero(~np.isfinite(lengths)))
    if n_invalid:
        reason = "since rows of the model hold NaN or infinity"
        warn_user(f"{counted(n_invalid, 'vector')} without a finite length, {reason}")
    return NdArray(jax.device_put(rows)), Norms(norms)
