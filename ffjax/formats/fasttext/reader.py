"""Reading fastText models.

Behind the settings (`layout`) and the dictionary (`dictionary`) a file has

    quantized  u8                1 if the input matrix is quantized, else 0
    input      i64 rows, i64 dims, f32[rows, dims]; or see `quantized`
    quantized  u8                1 if the output matrix is quantized too
    output     likewise

The input matrix has a row for each word, then one for each bucket of n-grams (or for each n-gram that has been kept);
the output matrix one for each label, or for models of words one for each word. A quantized output matrix in a file
whose input matrix is not quantized does not exist: there the flag says nothing.
"""

import warnings
from typing import Any, NamedTuple

import jax
import numpy as np

from ffjax._internal.arguments import check_limit
from ffjax._internal.arrays import aligned_empty
from ffjax.embeddings.training_state import TrainingState
from ffjax.embeddings.value import Embeddings
from ffjax.formats.fasttext import dictionary, quantized
from ffjax.formats.fasttext.dictionary import Dictionary
from ffjax.formats.fasttext.layout import MAGIC, SUPERVISED, Config, read_version
from ffjax.formats.io.arrays import read_array
from ffjax.formats.io.binary import ByteSource, Cursor, File
from ffjax.formats.io.streams import Stream, open_source
from ffjax.storage import ComposedArray, NdArray, QuantizedArray, Storage
from ffjax.storage.ngram_sums import WHOLE, Parts, compose
from ffjax.storage.norms import Norms
from ffjax.strings.string_table import StringTable
from ffjax.vocab import FastTextVocab, SimpleVocab, Vocab
from ffjax.vocab.ngrams import FastTextIndexer, PrunedIndexer

_F32 = np.dtype("<f4")
# Longer n-grams, or more of them, are no model of words; their number grows with the square of a word's length.
_MOST_CHARACTERS = 1024
_MOST_NGRAMS = 1 << 24


class Matrix(NamedTuple):
    """A matrix of a file that has not been read.

    Attributes:
        rows: its rows.
        start: where its numbers begin in the file.
        codes: the matrix itself if it is quantized.
    """

    rows: int
    start: int
    codes: QuantizedArray | None


def load_fasttext(
    file: File | Stream, *, mmap: bool = False, lossy: bool = False, limit: int | None = None
) -> Embeddings:
    """Reads a fastText model, `.bin` or quantized `.ftz`.

    The vector of a known word is the mean of its own row and the rows of its n-grams, at unit length; the lengths are
    in `norms`. The rows of n-grams stay as they are. So `lookup(..., unnormalize=True)` answers what fastText does, for
    known and unknown words alike. The settings are the metadata, under the names that finalfusion uses.

    Counts, labels and the output matrix of a classifier are in `training`. The output matrix of other models, which
    serves nothing but training on, is left in the file unless it is mapped.

    Rows with NaN or infinity stay as they are, and make NaN of the vectors that they are part of, of which a warning
    says how many there are; where vectors are composed when they are asked for, nobody has looked at them.

    Args:
        file: a path; a descriptor, which is closed afterwards as `open` does; or a stream.
        mmap: whether to map the matrices instead of reading them: opening then takes the time that the words take, and
            vectors are composed when they are asked for. The file must not be changed in place as long as the
            embeddings are used; what is
            not a regular file is copied to a temporary one.
        lossy: whether to put U+FFFD in the place of what is not UTF-8 in words. A word that would then be equal to
            another keeps its bytes. Vectors are those of the words as they were trained either way.
        limit: how many words to keep, from the first; n-grams are all kept.

    Returns:
        Embeddings with a `FastTextVocab`, or a `SimpleVocab` for a model without n-grams of characters. The storage is
        an `NdArray`; where vectors are composed when they are asked for (`mmap`, and quantized models with n-grams) it
        is a `ComposedArray`; quantized models without n-grams have a `QuantizedArray`.

    Raises:
        FormatError: the file is truncated, corrupt or of another format, or a word is not UTF-8. The error has the
            file, the byte offset, the chunk and the field.
        TypeError: `limit` is no whole number.
        ValueError: `limit` is negative.
        OSError: the file cannot be read.

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
    with open_source(file, magic=MAGIC) as source:
        return read_embeddings(source, mmap=mmap, lossy=lossy, limit=limit)


def read_embeddings(source: ByteSource, *, mmap: bool = False, lossy: bool = False, limit: int | None = None) -> Embeddings:
    """Reads a model from a file that is open, or from bytes in memory; `load_fasttext` is this for a path.

    Raises:
        FormatError: as `load_fasttext`.
    """
    mmap = mmap and source.mappable
    cursor = Cursor(source)
    version = read_version(cursor)
    config = Config.read(cursor)
    words_at = cursor.position
    found = dictionary.read(cursor, config.buckets)
    hashing = _hashing(cursor, config, version, found, words_at)
    given = _read_matrix(cursor, "input matrix", config.dims, mmap)
    n_words = len(found.words)
    # finalfusion-python writes 0, "every n-gram dropped", into files that have all of them, and no head for the output.
    ours = given.codes is None and found.kept is not None and len(found.kept) == 0
    n_ngrams = config.buckets if found.kept is None or ours else len(found.kept)
    _check_rows(cursor, given, found, n_words, n_ngrams, hashing is not None)
    output = _read_output(cursor, given, config, mmap, may_lack_head=ours)

    kept = n_words if limit is None else min(limit, n_words)
    table = _first(found.words, kept)
    indexer = hashing if hashing is None or found.kept is None or ours else PrunedIndexer(hashing, found.kept)
    vocab = _vocab(cursor, table, indexer, found, lossy)
    rows = _RowReader(source, given, config.dims, mmap)
    storage, norms, original = _storage(rows, n_words, table, indexer)
    training = TrainingState(
        found.counts[:kept],
        n_tokens=found.n_tokens,
        labels=found.labels,
        label_counts=found.counts[n_words:],
        output=output,
        word_ngrams=rows.read(n_words, given.rows) if indexer is None and given.rows > n_words else None,
        word_ngram_buckets=found.kept if indexer is None and not ours else None,
        original=original,
        version=version,
    )
    return Embeddings(storage, vocab, norms, config.metadata(), training)


class _RowReader(NamedTuple):
    """Reads or maps rows of a matrix."""

    source: ByteSource
    matrix: Matrix
    dims: int
    mmap: bool

    def read(self, first: int, stop: int) -> Storage:
        """Rows from `first` up to `stop`, as they are in the file."""
        if self.matrix.codes is not None:
            return self.matrix.codes[first:stop]
        shape, start = (stop - first, self.dims), self.start(first)
        if self.mmap and stop > first:  # nothing can't be mapped
            return NdArray(self.source.map(start, shape, _F32))
        return NdArray(read_array(self.source, start, shape, _F32))

    def start(self, row: int) -> int:
        """Where a row begins in the file."""
        return self.matrix.start + row * self.dims * _F32.itemsize


def _hashing(cursor: Cursor, config: Config, version: int, found: Dictionary, words_at: int) -> FastTextIndexer | None:
    hashing = config.indexer(version)
    if hashing is None:
        return None
    longest = int(np.diff(found.words.host_offsets).max(initial=0)) + 2
    most = min(hashing.max_n, longest)
    if most > _MOST_CHARACTERS or longest * (most - hashing.min_n + 1) > _MOST_NGRAMS:
        raise cursor.error(
            "min_n, max_n",
            f"n-grams of at most {_MOST_CHARACTERS} characters, and at most {_MOST_NGRAMS} of them in a word",
            f"{config.min_n} and {config.max_n}, and a word of {longest - 2} bytes",
            offset=words_at,
        )
    return hashing


def _read_matrix(cursor: Cursor, chunk: str, dims: int, mmap: bool, *, is_quantized: bool | None = None) -> Matrix:
    """Reads the head of a matrix and steps over its rows; a quantized one is read."""
    cursor.chunk = chunk
    flag = quantized.read_flag(cursor, "quantized")
    if flag if is_quantized is None else is_quantized and flag:
        at = cursor.position
        codes = quantized.read(cursor, dims, mmap=mmap)
        return Matrix(len(codes), at, codes)
    at = cursor.position
    rows, columns = cursor.number("q", "rows"), cursor.number("q", "dims")
    if rows < 0 or (columns != dims and rows):
        raise cursor.error("rows, dims", f"0 or more, and {dims}", f"{rows} and {columns}", offset=at)
    cursor.claim("rows", rows, dims * _F32.itemsize, offset=at)
    return Matrix(rows, cursor.skip("rows", rows * dims * _F32.itemsize), None)


def _check_rows(
    cursor: Cursor, given: Matrix, found: Dictionary, n_words: int, n_ngrams: int, has_ngrams: bool
) -> None:
    if given.codes is None and found.kept is not None and len(found.kept):
        hint = "fastText can't read it either."
        raise cursor.error("quantized", "1, since n-grams have been dropped", "0", offset=given.start - 17, hint=hint)
    if given.rows != n_words + n_ngrams and not (given.rows == n_words and not has_ngrams):
        expected = f"{n_words} for words and {n_ngrams} for n-grams"
        raise cursor.error("rows", expected, str(given.rows), offset=given.start - (16 if given.codes is None else 0))


def _read_output(cursor: Cursor, given: Matrix, config: Config, mmap: bool, *, may_lack_head: bool) -> Storage | None:
    cursor.chunk = "output matrix"
    if may_lack_head and cursor.remaining == given.rows * config.dims * _F32.itemsize:
        return None  # a second copy of the input matrix
    output = _read_matrix(cursor, "output matrix", config.dims, mmap, is_quantized=given.codes is not None)
    cursor.finish()
    if config.model != SUPERVISED and not mmap:
        return None
    return _RowReader(cursor.source, output, config.dims, mmap).read(0, output.rows)


def _first(words: StringTable, n: int) -> StringTable:
    return words if n == len(words) else StringTable.from_buffer(words.host_data, words.host_offsets[: n + 1])


def _vocab(
    cursor: Cursor, table: StringTable, indexer: FastTextIndexer | PrunedIndexer | None, found: Dictionary, lossy: bool
) -> Vocab:
    cursor.chunk = "dictionary"
    if lossy:
        table = dictionary.replace_invalid(table)
    else:
        dictionary.check_utf8(cursor, table, found.places, "word")
        dictionary.check_utf8(cursor, found.labels, found.places[len(found.words) :], "label")
    try:
        return SimpleVocab(table) if indexer is None else FastTextVocab(table, indexer)
    except ValueError as error:
        raise cursor.error("words", "each word once", str(error), offset=int(found.places[0])) from error


def _storage(
    rows: _RowReader, n_words: int, table: StringTable, indexer: FastTextIndexer | PrunedIndexer | None
) -> tuple[Storage, Norms | None, Storage | None]:
    """The storage, norms that it does not know itself, and the rows as they are in the file if they are scaled."""
    own_only = indexer is None
    if rows.matrix.codes is not None and own_only:
        return _scaled(rows.read(0, len(table)))
    if rows.matrix.codes is None and not rows.mmap:
        return _read_composed(rows, n_words, table, indexer)
    ngrams = None if own_only else rows.read(n_words, rows.matrix.rows)
    return ComposedArray(rows.read(0, len(table)), table, ngrams, indexer), None, None


def _scaled(own: Any) -> tuple[QuantizedArray, Norms, QuantizedArray]:
    lengths = quantized.row_lengths(own)
    scale = np.ones_like(lengths) if own.norms is None else np.asarray(own.norms)
    scale = np.divide(scale, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return QuantizedArray(own.quantizer, own.codes, scale), Norms(lengths), own


def _read_composed(rows: _RowReader, n_words: int, table: StringTable, indexer: Any) -> tuple[NdArray, Norms, None]:
    """Reads a matrix and puts the words' vectors in the place of their own rows, without a second matrix."""
    n = len(table)
    stop = n_words if indexer is None else rows.matrix.rows
    matrix = aligned_empty((n + stop - n_words, rows.dims), _F32)
    if n == n_words:
        rows.source.read_into(rows.start(0), matrix)
    else:
        rows.source.read_into(rows.start(0), matrix[:n])
        rows.source.read_into(rows.start(n_words), matrix[n:])
    norms = np.empty(n, np.float32)
    device = _host_device()
    with jax.default_device(device):
        # The array shares the matrix's memory. Rows of n-grams do not change, and no word reads another one's row.
        whole = NdArray(jax.device_put(matrix, device))
        parts = Parts(whole, None if indexer is None else whole, n, table, indexer)
        odd = 0
        for block in compose(parts, np.arange(n), WHOLE if n > WHOLE.words else None):
            matrix[block.words], norms[block.words] = block.unit, block.norms
            odd += int(np.count_nonzero(~np.isfinite(block.norms)))
    if odd:
        what = f"{odd} vectors have no finite length, since rows of the model hold NaN or infinity"
        warnings.warn(what, stacklevel=5)
    return NdArray(jax.device_put(matrix)), Norms(norms), None


def _host_device() -> Any:
    """The CPU, which has the matrix in its memory; the default device where JAX has been told to do without."""
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:
        return None
