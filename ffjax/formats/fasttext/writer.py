"""Writing fastText models: `reader` says what is in a file.

Where embeddings have a word's vector, the format has a row of the word's own: the vector is the
mean of that row and the rows of the word's n-grams. So `vector * (n + 1) - sum of n rows` is
written, unless the storage still has the rows as they were.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from ffjax._internal.arguments import check_instance
from ffjax._internal.arrays import release_pages
from ffjax._internal.atomic_write import open_output
from ffjax._internal.pytree import equal
from ffjax.embeddings.training_state import TrainingState
from ffjax.embeddings.value import Embeddings
from ffjax.formats.fasttext import dictionary, layout, quantized
from ffjax.formats.fasttext.reader import hashing_of
from ffjax.formats.io.binary import File, Output
from ffjax.formats.rows.export import check_has_dims
from ffjax.storage import ComposedArray, QuantizedArray, Storage
from ffjax.storage.word_sums import NgramRows, ngram_sums
from ffjax.vocab import FastTextVocab, SimpleVocab
from ffjax.vocab.ngrams import FastTextIndexer, PrunedIndexer

_Indexer = FastTextIndexer | PrunedIndexer
_BLOCK_ROWS = 8192


def write_fasttext(file: File, embeddings: Embeddings, *, drop_metadata: bool = False) -> None:
    """Writes embeddings as a model that fastText opens.

    The vectors that fastText computes are the embeddings' before they were scaled to unit length
    (their rows times their norms). Settings are taken from the metadata; what those lack is -1, the
    loss softmax and the model skip-gram. Counts, labels and the output matrix come from `training`;
    without it counts are 1, since gensim drops words that never occurred, and the output matrix is
    all zeros, as before training. A model that was read with `mmap=True`, or a quantized one, is
    written back with the very numbers it was read with. Rows are written block by block, and the
    old file stays complete until the new one is.

    Args:
        file: a path, or a descriptor, which is closed afterwards as `open` does.
        embeddings: the embeddings, with a `FastTextVocab` or a `SimpleVocab`.
        drop_metadata: whether to leave out metadata that is not a fastText setting.

    Raises:
        TypeError: if `embeddings` is something else, or has another vocabulary, whose n-grams this
            format can't hold.
        ValueError: if a word has a zero byte in it, the vectors have no numbers, or the metadata
            has more than fastText's settings and `drop_metadata` is not set.
        OSError: if the file cannot be written.

    Examples:
        >>> import ffjax, tempfile, pathlib, numpy as np
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "words.bin"
        >>> rows = ffjax.NdArray(np.eye(2, dtype=np.float32))
        >>> emb = ffjax.Embeddings(rows, ffjax.SimpleVocab(["one", "two"]))
        >>> ffjax.write_fasttext(path, emb)
        >>> ffjax.load_fasttext(path)["two"]
        array([0., 1.], dtype=float32)
    """
    check_instance("embeddings", embeddings, Embeddings)
    vocab, training = embeddings.vocab, embeddings.training
    if type(vocab) not in (FastTextVocab, SimpleVocab):
        raise TypeError(
            f"`embeddings`: expected a FastTextVocab or a SimpleVocab, got {type(vocab).__name__}, "
            "whose n-grams the format can't hold. To write the words alone, save them as text and "
            "convert that."
        )
    if not drop_metadata and (lost := layout.lost_settings(embeddings.metadata)):
        raise ValueError(
            "`embeddings`: expected metadata with fastText's settings alone, got "
            f"{', '.join(lost)}. Allow what is to be lost with `drop_metadata=True`."
        )
    check_has_dims(embeddings, "fastText models")
    if training is None:
        training = TrainingState(np.ones(len(vocab), np.int64), n_tokens=len(vocab))
    indexer, hashing = getattr(vocab, "subword_indexer", None), None
    buckets = training.word_ngram_buckets
    if indexer is not None:
        if indexer.n_buckets >= 2**31:
            got = indexer.n_buckets
            raise ValueError(f"`embeddings`: expected fewer than 2**31 buckets, got {got}.")
        # fastText's rule for n-grams of one character, which files don't choose.
        hashing = replace(indexer.hashing, skip_edge_unigrams=True, bare_eos=True)
        buckets = indexer.kept_buckets
        indexer = hashing if buckets is None else PrunedIndexer(hashing, buckets)
    matrix = _input_matrix(embeddings, training, indexer)
    config, version = _config(embeddings, training, hashing)
    if buckets is not None and matrix.codes is None:
        raise ValueError(
            "`embeddings`: expected rows of n-grams for all buckets, or a quantized model as it "
            "was read, got pruned n-grams, which the format holds in quantized models alone. Write "
            "finalfusion after `bucket_to_explicit`."
        )
    counts = np.concatenate([training.counts, training.label_counts])
    labels, n_tokens = training.label_table, training.n_tokens
    with open_output(file) as raw:
        output = Output(raw)
        output.write(layout.MAGIC)
        output.pack("i", version)
        output.write(config.packed())
        dictionary.write(output, vocab.table, labels, counts, n_tokens, buckets)
        _write_matrix(output, embeddings.dims, *matrix)
        _write_matrix(output, embeddings.dims, *_output(training, config, len(vocab), matrix))


def keeps(embeddings: Embeddings) -> set[str]:
    """The options that drop nothing: a model has a place for fastText's settings."""
    return set() if layout.lost_settings(embeddings.metadata) else {"drop_metadata"}


class _Matrix(NamedTuple):
    """The input matrix: the number of rows, and the rows in blocks or as codes."""

    n_rows: int
    blocks: Iterator[np.ndarray]
    codes: QuantizedArray | None = None


def _input_matrix(
    embeddings: Embeddings, training: TrainingState, indexer: _Indexer | None
) -> _Matrix:
    vocab, storage = embeddings.vocab, embeddings.storage
    extra: Any = None if indexer is not None else training.word_ngrams
    extras = [] if extra is None else [extra]
    if original := _original_rows(embeddings, training, indexer):
        storages = [*original, *extras]
        blocks = chain.from_iterable(map(_blocks, storages))
        return _Matrix(sum(map(len, storages)), blocks, _join_codes(storages))
    first = vocab.n_word_rows
    n_rows = len(vocab) + len(storage) - first + sum(map(len, extras))
    words = _word_rows(embeddings, indexer)
    return _Matrix(n_rows, chain(words, _blocks(storage, first), *map(_blocks, extras)))


def _original_rows(
    embeddings: Embeddings, training: TrainingState, indexer: _Indexer | None
) -> list[Any]:
    """The rows as a file had them, if the embeddings still have them and the same words."""
    vocab, storage, original = embeddings.vocab, embeddings.storage, training.original
    if vocab.shared_rows is not None:
        return []
    if isinstance(storage, ComposedArray):
        if storage.indexer != indexer or storage.table != vocab.table:
            return []
        return [rows for rows in (storage.word_rows, storage.ngrams) if rows is not None]
    if indexer is not None or type(storage) is not type(original):
        return []
    pair: list[Any] = [storage, original]
    codes = [(rows.codes, rows.quantizer) for rows in pair]  # their norms may differ
    return [original] if equal(*codes) else []


def _join_codes(storages: Sequence[Any]) -> QuantizedArray | None:
    """All rows as one quantized matrix, if they are stretches of one that the format can hold."""
    first = storages[0]
    if not all(quantized.can_hold(rows) and rows.quantizer == first.quantizer for rows in storages):
        return None
    norms = [rows.norms for rows in storages if rows.norms is not None]
    if norms and len(norms) != len(storages):
        return None
    codes = np.concatenate([np.asarray(rows.codes) for rows in storages])
    all_norms = np.concatenate([np.asarray(array) for array in norms]) if norms else None
    joined = QuantizedArray(first.quantizer, codes, all_norms)
    return joined if quantized.can_hold(joined) else None


def _word_rows(embeddings: Embeddings, indexer: _Indexer | None) -> Iterator[np.ndarray]:
    """The rows of words from which fastText makes the words' vectors."""
    vocab, storage, norms = embeddings.vocab, embeddings.storage, embeddings.norms
    ids = vocab.host_rows
    ngram_rows = None
    if indexer is not None:
        ngram_rows = NgramRows(storage, vocab.n_word_rows, vocab.table, indexer)
    for start in range(0, len(ids), _BLOCK_ROWS):
        block = ids[start : start + _BLOCK_ROWS]
        rows = np.array(storage.embedding(block), np.float32)
        if norms is not None:
            rows *= np.asarray(norms[block])[:, None]
        words = np.arange(start, start + len(block))
        for numbers, sums, counts in () if ngram_rows is None else ngram_sums(ngram_rows, words):
            i = numbers - start
            rows[i] = rows[i] * (counts[:, None] + 1).astype(np.float32) - sums
        yield rows
        release_pages(storage)


def _blocks(storage: Storage, start: int = 0) -> Iterator[np.ndarray]:
    return (rows for _, rows in storage.row_blocks(start, rows=_BLOCK_ROWS))


def _config(
    embeddings: Embeddings, training: TrainingState, hashing: FastTextIndexer | None
) -> tuple[layout.Config, int]:
    """The settings and the version; the embeddings win where settings contradict them."""
    config, version = layout.Config.of(embeddings.metadata, embeddings.dims), training.version
    if config.model == layout.SUPERVISED and not len(training.label_table):
        config = config._replace(model="SkipGram")
    if hashing_of(config, version) == hashing:
        return config, version
    if hashing is None:
        buckets = 0 if training.word_ngrams is None else len(training.word_ngrams)
        return config._replace(buckets=buckets, min_n=0, max_n=0), version
    config = config._replace(buckets=hashing.n_buckets, min_n=hashing.min_n, max_n=hashing.max_n)
    return config, layout.NEWER  # the older has no n-grams of characters in classifiers


def _output(training: TrainingState, config: Any, n_words: int, matrix: _Matrix) -> _Matrix:
    """The output matrix, which is quantized only if the input matrix is."""
    storage: Any = training.output
    if storage is not None:
        codes = storage if matrix.codes is not None and quantized.can_hold(storage) else None
        return _Matrix(len(storage), _blocks(storage), codes)
    n_rows = len(training.label_table) if config.model == layout.SUPERVISED else n_words
    zeros = np.zeros((min(_BLOCK_ROWS, n_rows), config.dims), np.float32)
    starts = range(0, n_rows, _BLOCK_ROWS)
    return _Matrix(n_rows, (zeros[: n_rows - start] for start in starts))


def _write_matrix(
    output: Output, dims: int, n_rows: int, blocks: Iterator[np.ndarray], codes: Any
) -> None:
    output.pack("?", codes is not None)
    if codes is not None:
        return quantized.write(output, codes, dims)
    output.pack("qq", n_rows, dims)
    for block in blocks:
        output.write(np.ascontiguousarray(block, "<f4"))
