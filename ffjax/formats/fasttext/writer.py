"""Writing fastText models: `reader` says what is in a file.

The format has a word's own row where embeddings have its vector, which is the mean of that row and the rows of its
n-grams. So `own = vector * (number + 1) - sum of n-grams` is written, unless the storage still has the rows as they
were.
"""

from collections.abc import Iterator
from itertools import chain
from os import PathLike
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from ffjax._internal.atomic_write import open_output
from ffjax._internal.memmap import release_pages
from ffjax._internal.pytree import equal
from ffjax.embeddings.training_state import TrainingState
from ffjax.embeddings.value import Embeddings
from ffjax.formats.fasttext import dictionary, quantized
from ffjax.formats.fasttext.dictionary import Dictionary
from ffjax.formats.fasttext.layout import SUPERVISED, VERSIONS, Config, lost_settings, write_version
from ffjax.formats.io.binary import Output
from ffjax.formats.rows.export import check_has_dims
from ffjax.storage import ComposedArray, QuantizedArray, Storage
from ffjax.storage.ngram_sums import Parts, ngram_sums
from ffjax.vocab import FastTextVocab, SimpleVocab
from ffjax.vocab.ngrams import FastTextIndexer, PrunedIndexer

_ROWS = 8192


def write_fasttext(
    path: str | bytes | int | PathLike[str] | PathLike[bytes], embeddings: Embeddings, *, drop_metadata: bool = False
) -> None:
    """Writes embeddings as a model that fastText opens; the old file stays whole until the new one is complete.

    The vectors that fastText computes are the embeddings' own, before they were scaled to unit length (their rows times
    their norms). Settings are taken from the metadata; what those lack is -1, the loss softmax and the model
    skip-gram. Counts, labels and the output matrix come from `training`; without it counts are 1, since gensim drops
    words that never occurred, and the output matrix is full of zeros, as before training. A model that was read with
    `mmap=True`, or a quantized one, is written back with the very numbers it was read with. Rows are written block by
    block.

    Args:
        path: where the file goes; a descriptor is closed afterwards.
        embeddings: the embeddings, with a `FastTextVocab` or a `SimpleVocab`.
        drop_metadata: whether to leave out metadata that is no setting of fastText's.

    Raises:
        TypeError: `embeddings` is something else, or the vocabulary is of another kind, whose n-grams this format can't
            hold.
        ValueError: a word has a zero byte in it, the vectors have no numbers, or the metadata has more than fastText's
            settings and `drop_metadata` is not set.
        OSError: the file cannot be written.

    Examples:
        >>> import ffjax, tempfile, pathlib, numpy as np
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "words.bin"
        >>> emb = ffjax.Embeddings(ffjax.NdArray(np.eye(2, dtype=np.float32)), ffjax.SimpleVocab(["one", "two"]))
        >>> ffjax.write_fasttext(path, emb)
        >>> ffjax.load_fasttext(path)["two"]
        array([0., 1.], dtype=float32)
    """
    if not isinstance(embeddings, Embeddings):
        raise TypeError(f"`embeddings`: expected Embeddings, got {type(embeddings).__name__}.")
    vocab, training = embeddings.vocab, embeddings.training
    if not isinstance(vocab, FastTextVocab | SimpleVocab):
        raise TypeError(
            f"`embeddings`: expected a FastTextVocab or a SimpleVocab, got {type(vocab).__name__}, whose n-grams the "
            "format can't hold. To write the words alone, save them as text and convert that."
        )
    if not drop_metadata and (lost := lost_settings(embeddings.metadata)):
        raise ValueError(
            f"`embeddings`: expected metadata with fastText's settings alone, got {', '.join(lost)}. Allow what is to "
            "be lost with `drop_metadata=True`."
        )
    check_has_dims(embeddings, "fastText models")
    if training is None:
        training = TrainingState(np.ones(len(vocab), np.int64), n_tokens=len(vocab))
    rows = _rows_of(embeddings, training)
    config, version = _config(embeddings, training, rows.indexer)
    kept = training.word_ngram_buckets if rows.indexer is None else None
    if isinstance(rows.indexer, PrunedIndexer):
        kept = rows.indexer.kept_buckets
    if kept is not None and rows.codes is None:
        raise ValueError(
            "`embeddings`: expected rows of n-grams for all buckets, or a quantized model as it was read, got dropped "
            "n-grams, which the format holds in quantized models alone. Write finalfusion after `bucket_to_explicit`."
        )
    counts = np.concatenate([training.counts, training.label_counts])
    with open_output(path) as file:
        output = Output(file)
        write_version(output, version)
        config.write(output)
        kept = None if kept is None else np.asarray(kept)
        dictionary.write(output, Dictionary(vocab.table, training.label_table, counts, training.n_tokens, kept, counts))
        output.pack("?", rows.codes is not None)
        if rows.codes is not None:
            quantized.write(output, rows.codes, embeddings.dims)
        else:
            output.pack("qq", rows.number, embeddings.dims)
            for block in rows.blocks:
                output.write(np.ascontiguousarray(block, "<f4"))
        _write_output(output, training, config, len(vocab), rows.codes is not None)


class _Rows(NamedTuple):
    """The rows of the input matrix.

    Attributes:
        number: how many.
        blocks: all of them, some at a time.
        codes: all of them if they are to be written quantized.
        indexer: which n-grams words have, as fastText takes them.
    """

    number: int
    blocks: Iterator[np.ndarray]
    codes: QuantizedArray | None
    indexer: FastTextIndexer | PrunedIndexer | None


def _rows_of(embeddings: Embeddings, training: TrainingState) -> _Rows:
    vocab, storage = embeddings.vocab, embeddings.storage
    indexer = _as_fasttext(vocab.subword_indexer) if isinstance(vocab, FastTextVocab) else None
    more = [] if indexer is not None or training.word_ngrams is None else [training.word_ngrams]
    unchanged = _unchanged(embeddings, training, indexer)
    if unchanged is not None:
        parts = [*unchanged, *more]
        return _Rows(sum(map(len, parts)), chain.from_iterable(map(_blocks, parts)), _joined(parts), indexer)
    behind = vocab.n_word_rows
    ngrams = None if indexer is None else storage
    own = _own_rows(embeddings, Parts(storage, ngrams, behind, vocab.table, indexer))
    number = len(vocab) + len(storage) - behind + sum(map(len, more))
    return _Rows(number, chain(own, _blocks(storage, behind), *map(_blocks, more)), None, indexer)


def _unchanged(
    embeddings: Embeddings, training: TrainingState, indexer: FastTextIndexer | PrunedIndexer | None
) -> list[Storage] | None:
    """The rows as they were read from a file, if the embeddings still have them and the same words."""
    vocab, storage = embeddings.vocab, embeddings.storage
    if vocab.shared_rows is not None:
        return None
    if isinstance(storage, ComposedArray):
        same = storage.indexer == indexer and storage.table == vocab.table
        return [part for part in (storage.own, storage.ngrams) if part is not None] if same else None
    original = training.original
    if isinstance(storage, QuantizedArray) and isinstance(original, QuantizedArray) and indexer is None:
        if equal((storage.codes, storage.quantizer), (original.codes, original.quantizer)):
            return [original]
    return None


def _joined(parts: list[Storage]) -> QuantizedArray | None:
    """All rows as one quantized matrix, if they are parts of one that the format can hold."""
    codes = [part for part in parts if isinstance(part, QuantizedArray)]
    if not codes or len(codes) != len(parts) or not all(part.quantizer == codes[0].quantizer for part in codes):
        return None
    norms = [np.asarray(part.norms) for part in codes if part.norms is not None]
    if norms and len(norms) != len(codes):
        return None
    whole = np.concatenate([np.asarray(part.codes) for part in codes])
    joined = QuantizedArray(codes[0].quantizer, whole, np.concatenate(norms) if norms else None)
    return joined if quantized.can_hold(joined) else None


def _own_rows(embeddings: Embeddings, parts: Parts) -> Iterator[Float32[np.ndarray, "rows dims"]]:
    """The rows of words from which fastText makes the words' vectors."""
    rows, norms = embeddings.vocab.host_rows, embeddings.norms
    for start in range(0, len(rows), _ROWS):
        block = rows[start : start + _ROWS]
        own = np.array(parts.own.embedding(block), np.float32)
        if norms is not None:
            own *= np.asarray(norms[block])[:, None]
        for found in ngram_sums(parts, np.arange(start, start + len(block))):
            at = found.words - start
            own[at] = own[at] * (found.numbers[:, None] + 1) - found.sums
        yield own
        release_pages(parts.own)


def _blocks(storage: Storage, start: int = 0) -> Iterator[Float32[np.ndarray, "rows dims"]]:
    for begin in range(start, len(storage), _ROWS):
        yield np.asarray(storage.embedding(slice(begin, min(begin + _ROWS, len(storage)))), np.float32)
        release_pages(storage)


def _as_fasttext(indexer: FastTextIndexer | PrunedIndexer) -> FastTextIndexer | PrunedIndexer:
    """The indexer with fastText's own rule for n-grams of one character, which the file does not choose."""
    hashing = indexer.hashing if isinstance(indexer, PrunedIndexer) else indexer
    if hashing.n_buckets >= 2**31:
        raise ValueError(f"`embeddings`: expected fewer than 2**31 buckets, got {hashing.n_buckets}.")
    hashing = FastTextIndexer(hashing.n_buckets, hashing.min_n, hashing.max_n, skip_edge_unigrams=True, bare_eos=True)
    return PrunedIndexer(hashing, indexer.kept_buckets) if isinstance(indexer, PrunedIndexer) else hashing


def _config(
    embeddings: Embeddings, training: TrainingState, indexer: FastTextIndexer | PrunedIndexer | None
) -> tuple[Config, int]:
    """The settings and the version. Settings that contradict the embeddings give way."""
    config, version = Config.of(embeddings.metadata, embeddings.dims), training.version
    hashing = indexer.hashing if isinstance(indexer, PrunedIndexer) else indexer
    if config.model == SUPERVISED and not len(training.label_table):
        config = config._replace(model="SkipGram")
    if config.indexer(version) == hashing:
        return config, version
    if hashing is None:
        buckets = 0 if training.word_ngrams is None else len(training.word_ngrams)
        return config._replace(buckets=buckets, min_n=0, max_n=0), version
    config = config._replace(buckets=hashing.n_buckets, min_n=hashing.min_n, max_n=hashing.max_n)
    return config, VERSIONS[-1]  # the older version has no n-grams of characters in classifiers


def _write_output(output: Output, training: TrainingState, config: Config, n_words: int, codes: bool) -> None:
    storage = training.output
    if codes and isinstance(storage, QuantizedArray) and quantized.can_hold(storage):
        output.pack("?", True)
        quantized.write(output, storage, config.dims)
        return
    rows = len(training.label_table) if config.model == SUPERVISED else n_words
    output.pack("?qq", False, rows if storage is None else len(storage), config.dims)
    zeros = (np.zeros((min(_ROWS, rows - start), config.dims), np.float32) for start in range(0, rows, _ROWS))
    for block in zeros if storage is None else _blocks(storage):
        output.write(np.ascontiguousarray(block, "<f4"))
