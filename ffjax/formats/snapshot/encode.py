"""Embeddings as a tree of maps, text, numbers and arrays.

    embeddings  {"storage": storage, "vocab": vocab, "norms": f32[rows] or nil, "metadata": TOML or nil,
                 "training": training or nil}

    storage     {"kind": "NdArray", "matrix": f32, bf16 or f16 [rows, dims]}
                {"kind": "Int8Array", "codes": i8[rows, dims], "scales": f32[rows]}
                {"kind": "QuantizedArray", "codes": u8[rows, m], "norms": f32[rows] or nil,
                 "centroids": f32[m, centroids, dims_each], "projection": f32[dims, dims] or nil, "dims": n}
                {"kind": "ComposedArray", "own": storage, "words": strings, "ngrams": storage or nil,
                 "indexer": indexer or nil}
    vocab       {"kind": "SimpleVocab", "words": strings, "rows": i32[words] or nil}
                {"kind": "FinalfusionBucketVocab", "FastTextVocab" or "ExplicitVocab", the same and "indexer": indexer}
                {"kind": "FloretVocab", "indexer": indexer, "bow": text, "eow": text}
    indexer     {"kind": "FinalfusionHashIndexer", "FastTextIndexer" or "FloretIndexer", and their settings by name}
                {"kind": "PrunedIndexer", "hashing": indexer, "buckets": i32[rows]}
                {"kind": "ExplicitIndexer", "ngrams": strings, "rows": i32[n], "min_n": n, "max_n": n}
    training    {"counts": i64[words], "n_tokens": n, "labels": strings, "label_counts": i64[labels],
                 "output": storage or nil, "word_ngrams": storage or nil, "word_ngram_buckets": i32[n] or nil,
                 "original": storage or nil, "version": n}
    strings     {"bytes": u8[n], UTF-8 one after the other, "offsets": i32[strings + 1]}

`rows` is there where words share rows. Rows that are divided over devices are written as the matrix that they are.
"""

from dataclasses import asdict
from typing import Any

import jax
import numpy as np

from ffjax.embeddings.training_state import TrainingState
from ffjax.embeddings.value import Embeddings
from ffjax.storage import Storage
from ffjax.strings.string_table import StringTable
from ffjax.vocab import FloretVocab, SubwordVocab, Vocab
from ffjax.vocab.ngrams import ExplicitIndexer, PrunedIndexer

Tree = dict[str, Any]


def tree_of(embeddings: Embeddings) -> Tree:
    """The tree of embeddings.

    Raises:
        TypeError: a part is of a kind that snapshots do not know.
    """
    norms, metadata, training = embeddings.own_norms, embeddings.metadata, embeddings.training
    return {
        "storage": _storage(embeddings.storage),
        "vocab": _vocab(embeddings.vocab),
        "norms": None if norms is None else norms.array,
        "metadata": None if metadata is None else metadata.toml,
        "training": None if training is None else _training(training),
    }


def _storage(storage: Storage | None) -> Tree | None:
    if storage is None:
        return None
    tree = storage.to_tree()
    if tree["kind"] is not None:
        return {name: _entry(entry) for name, entry in tree.items()}
    raise TypeError(
        "`embeddings`: expected a storage of ffjax's, which snapshots can hold, "
        f"got {type(storage).__name__}. Make an NdArray "
        "of it, as in `embeddings.replace(storage=ffjax.NdArray(np.asarray(embeddings.storage)))`."
    )


def _entry(entry: Any) -> Any:
    if isinstance(entry, Storage):
        return _storage(entry)
    if isinstance(entry, StringTable):
        return _strings(entry)
    if isinstance(entry, np.ndarray | jax.Array | str | int | None):
        return entry
    return _indexer(entry)


def _vocab(vocab: Vocab) -> Tree:
    kind = {"kind": type(vocab).__name__}
    if isinstance(vocab, FloretVocab):
        return {**kind, "indexer": _indexer(vocab.subword_indexer), "bow": vocab.bow, "eow": vocab.eow}
    tree = {**kind, "words": _strings(vocab.table), "rows": vocab.shared_rows}
    return {**tree, "indexer": _indexer(vocab.subword_indexer)} if isinstance(vocab, SubwordVocab) else tree


def _indexer(indexer: Any) -> Tree:
    kind = {"kind": type(indexer).__name__}
    if isinstance(indexer, PrunedIndexer):
        return {**kind, "hashing": _indexer(indexer.hashing), "buckets": indexer.kept_buckets}
    if isinstance(indexer, ExplicitIndexer):
        lengths = {"min_n": indexer.min_n, "max_n": indexer.max_n}
        return {**kind, "ngrams": _strings(indexer.table), "rows": indexer.rows, **lengths}
    fields = asdict(indexer)
    if "buckets_exp" in fields:  # snapshots have the name that this field had at first
        fields["bucket_exp"] = fields.pop("buckets_exp")
    return {**kind, **fields}


def _training(training: TrainingState) -> Tree:
    return {
        "counts": training.counts,
        "n_tokens": training.n_tokens,
        "labels": _strings(training.label_table),
        "label_counts": training.label_counts,
        "output": _storage(training.output),
        "word_ngrams": _storage(training.word_ngrams),
        "word_ngram_buckets": training.word_ngram_buckets,
        "original": _storage(training.original),
        "version": training.version,
    }


def _strings(table: StringTable) -> Tree:
    offsets = table.host_offsets
    return {"bytes": table.host_data[: offsets[-1]], "offsets": offsets}
