"""Reading models of gensim: `model` has the layout."""

from itertools import groupby

import numpy as np

from ffjax._internal.arrays import aligned_empty
from ffjax._internal.file_arguments import check_limit
from ffjax._internal.memmap import FileRows
from ffjax.embeddings.value import Embeddings
from ffjax.formats.fasttext.reader import check_ngrams, check_utf8, compose_rows
from ffjax.formats.gensim.model import Model, Ngrams, open_model
from ffjax.formats.io.binary import Array, Cursor, File
from ffjax.formats.io.streams import Stream
from ffjax.formats.pickles.values import Raw, TextRun
from ffjax.formats.rows.row_blocks import read_floats, to_storage
from ffjax.storage import ComposedArray, NdArray
from ffjax.strings.string_table import StringTable
from ffjax.vocab import FastTextVocab, SimpleVocab
from ffjax.vocab.ngrams import FastTextIndexer, PrunedIndexer

_BLOCK_ROWS = 1 << 14


def load_gensim(
    path: File | Stream, *, mmap: bool = False, lossy: bool = False, limit: int | None = None
) -> Embeddings:
    """Reads word vectors that gensim saved: `KeyedVectors`, `Word2Vec`, `FastText` or `Doc2Vec`.

    The file is a pickle, and is read as data: nothing in it is run. Arrays that gensim has put into
    files of their own (`words.kv.vectors.npy`) are read from there.

    Rows stay as they are, bit for bit, and there are no norms. A `FastText` model has vectors and
    norms as a fastText model has them (see `load_fasttext`): unknown words get the mean of the
    rows of their n-grams. As in gensim, `</s>` has n-grams too.

    Args:
        path: a path; a descriptor, which is closed afterwards as `open` does; or a stream.
        mmap: whether to map the arrays instead of reading them. Files must not be changed in place
            while the embeddings are used. Arrays that can't be mapped, such as those of pickles of
            protocol 2 or of 64-bit floats, are copied to a temporary file.
        lossy: whether to replace what is not UTF-8 in words (lone surrogates) by U+FFFD.
        limit: how many words to keep, from the first; n-grams are all kept.

    Returns:
        Embeddings with a `SimpleVocab` and an `NdArray`; for a `FastText` model with a
        `FastTextVocab`, and a `ComposedArray` if it is mapped.

    Raises:
        FormatError: if the file is truncated, corrupt or of another format, names classes other
            than gensim's and NumPy's, or has opcodes that do not read as data; or if a file next to
            it is missing, or a `FastText` model is from before gensim 3.8.
        TypeError: if `limit` is not an integer.
        ValueError: if `limit` is negative.
        OSError: if a file cannot be read.

    Examples:
        >>> import ffjax
        >>> emb = ffjax.load_gensim("words.kv", mmap=True)  # doctest: +SKIP
    """
    check_limit(limit)
    with open_model(path) as model:
        table = _words(model, lossy, limit)
        # Words are compared here, since vocabularies are hashed only later.
        if pair := table.first_duplicate():
            got = f"{table.pick(pair[:1])[0]!r} as numbers {pair[0]} and {pair[1]}"
            raise model.error("words", "each word once", got)
        vectors, ngrams, n = model.vectors(), model.ngrams(), len(table)
        if ngrams is None:
            rows = _map(vectors, n) if mmap else read_floats(vectors, slice(n))
            return Embeddings(to_storage(rows), SimpleVocab.of_different(table))
        indexer = _indexer(model, ngrams, table)
        vocab = FastTextVocab(table, indexer)
        n_ngrams = ngrams.rows.shape[0]
        if mmap:
            word_rows, ngram_rows = NdArray(_map(vectors, n)), NdArray(_map(ngrams.rows, n_ngrams))
            return Embeddings(ComposedArray(word_rows, table, ngram_rows, indexer), vocab)
        rows = aligned_empty((n + n_ngrams, vectors.shape[1]), np.float32)
        read_floats(vectors, slice(n), rows[:n])
        read_floats(ngrams.rows, slice(n_ngrams), rows[n:])
        storage, norms = compose_rows(rows, table, indexer)
        return Embeddings(storage, vocab, norms)


def _words(model: Model, lossy: bool, limit: int | None) -> StringTable:
    """The words, each of which is UTF-8."""
    runs = [TextRun(np.zeros(0, np.int64), np.zeros(0, np.int64))]
    for kind, words in groupby(model.words, type):
        if kind is TextRun:
            runs += words
        elif kind is Raw:
            spans = np.array([word[:2] for word in words], np.int64)
            runs.append(TextRun(spans[:, 0], spans[:, 1]))
        else:
            got = f"{kind.__name__} as number {sum(len(run.starts) for run in runs)}"
            raise model.error("words", "words that are text", got)
    begins, ends = (np.concatenate(bounds)[:limit] for bounds in zip(*runs, strict=True))
    source = model.machine.source
    table = StringTable.from_spans(source.view(0, len(source)), begins, ends)
    if lossy:
        return table.replace_invalid(distinct=True)
    check_utf8(Cursor(source, chunk="pickle"), table, begins, "word")
    return table


def _indexer(model: Model, ngrams: Ngrams, table: StringTable) -> FastTextIndexer | PrunedIndexer:
    """What finds the rows of n-grams; gensim cuts `</s>` like any word."""
    hashing = FastTextIndexer(
        ngrams.n_buckets, ngrams.min_n, ngrams.max_n, skip_edge_unigrams=True, bare_eos=False
    )
    cursor = Cursor(model.machine.source, model.record.offset, chunk="pickle")
    longest = int(np.diff(table.host_offsets).max(initial=0))
    check_ngrams(cursor, hashing, longest, cursor.position)
    if ngrams.row_of_bucket is None:
        return hashing
    pairs = ngrams.row_of_bucket
    try:
        buckets = np.full(ngrams.rows.shape[0], -1, np.int64)
        numbers = np.array(pairs, np.int64).reshape(-1, 2)
        buckets[numbers[:, 1]] = numbers[:, 0]
        return PrunedIndexer(hashing, buckets)
    except (IndexError, OverflowError, TypeError, ValueError) as error:
        expected = "a bucket for each row of `vectors_ngrams`"
        raise model.error("hash2index", expected, str(error)) from error


def _map(array: Array, n: int) -> np.ndarray:
    """The first rows as a memory map; of a temporary file if they are not what storages have."""
    if (rows := array.map()) is not None:
        return rows[:n]
    with FileRows(array.shape[1]) as file:
        for start in range(0, n, _BLOCK_ROWS):
            with np.errstate(over="ignore"):
                file.append(array.view()[start : min(n, start + _BLOCK_ROWS)].astype(np.float32))
        return file.finish()
