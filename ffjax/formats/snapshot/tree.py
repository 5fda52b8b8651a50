"""Embeddings as a tree of maps, text, numbers and arrays, and back.

    embeddings  {"storage": storage, "vocab": vocab, "norms": f32[rows] or nil,
                 "metadata": TOML or nil, "training": training or nil}

    storage     {"kind": "NdArray", "matrix": f32, bf16 or f16 [rows, dims]}
                {"kind": "Int8Array", "codes": i8[rows, dims], "scales": f32[rows]}
                {"kind": "QuantizedArray", "codes": u8[rows, m], "norms": f32[rows] or nil,
                 "centroids": f32[m, centroids, dims / m],
                 "projection": f32[dims, dims] or nil, "dims": n}
                {"kind": "ComposedArray", "own": storage, "words": strings,
                 "ngrams": storage or nil, "indexer": indexer or nil}
    vocab       {"kind": "SimpleVocab", "words": strings, "rows": i32[words] or nil}
                {"kind": "FinalfusionBucketVocab", "FastTextVocab" or "ExplicitVocab", the same and
                 "indexer": indexer}
                {"kind": "FloretVocab", "indexer": indexer, "bow": text, "eow": text}
    indexer     {"kind": "FinalfusionHashIndexer", "FastTextIndexer" or "FloretIndexer", and their
                 settings by name, but "bucket_exp" for `buckets_exp`}
                {"kind": "PrunedIndexer", "hashing": indexer, "buckets": i32[rows]}
                {"kind": "ExplicitIndexer", "ngrams": strings, "rows": i32[n], "min_n": n,
                 "max_n": n}
    training    {"counts": i64[words], "n_tokens": n, "labels": strings,
                 "label_counts": i64[labels], "output": storage or nil,
                 "word_ngrams": storage or nil, "word_ngram_buckets": i32[n] or nil,
                 "original": storage or nil, "version": n}
    strings     {"bytes": u8[n], UTF-8 one after the other, "offsets": i32[strings + 1]}

`rows` is not nil where words share rows. Values describe themselves (`to_tree`, `from_tree`); rows
on several devices are written as they are on one.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np

from ffjax._internal.arrays import aligned_empty
from ffjax._internal.chunk import SnapshotValue, classes_by_kind
from ffjax.embeddings.metadata import Metadata
from ffjax.embeddings.training_state import TrainingState
from ffjax.embeddings.value import Embeddings
from ffjax.errors import FormatError
from ffjax.formats.io.binary import ByteSource
from ffjax.formats.snapshot.arrays import StoredArray
from ffjax.storage import Storage
from ffjax.storage.norms import Norms
from ffjax.strings.string_table import StringTable
from ffjax.vocab import Vocab
from ffjax.vocab.ngrams.base import NgramIndexer

T = TypeVar("T", bound=SnapshotValue)


class TreeNode:
    """A map at `path` in a snapshot: gives its entries checked."""

    def __init__(self, source: ByteSource, entries: Any, path: str) -> None:
        self.source, self.path = source, path
        if not isinstance(entries, dict):
            raise self.error(None, "a map", _shortened(entries))
        self.entries = entries

    def error(self, field: str | None, expected: str, got: str) -> FormatError:
        """An error about an entry, or about the map; the caller raises it."""
        return self.source.error(chunk=self.path, field=field, expected=expected, got=got)

    def text(self, name: str) -> str:
        """An entry that is text."""
        return self._entry(name, str, "text")

    def whole(self, name: str) -> int:
        """An entry that is a whole number of 64 bits."""
        number = self._entry(name, int, "a whole number")
        if not -(2**63) <= number < 2**63:
            raise self.error(name, "a number of 64 bits with a sign", str(number))
        return number

    def array(self, name: str, ndim: int, *dtypes: str) -> Any:
        """An entry that is an array of `ndim` dimensions and one of these types."""
        stored = self._entry(name, StoredArray, "an array")
        if len(stored.shape) != ndim or stored.dtype.name not in dtypes:
            expected = f"an array of {ndim} dimensions of {' or '.join(dtypes)}"
            raise self.error(name, expected, f"shape {stored.shape} of {stored.dtype}")
        array, filled = aligned_empty(stored.shape, stored.dtype), 0
        raw = array.reshape(-1).view(np.uint8)
        for start, size in stored.chunks:
            self.source.read_into(start, raw[filled : filled + size])
            filled += size
        # JAX has no arrays of 64 bits unless asked to.
        return array if stored.dtype.itemsize == 8 else jax.device_put(array)

    def vector(self, name: str, dtype: str) -> np.ndarray:
        """An entry that is an array of one dimension, on the host."""
        return np.asarray(self.array(name, 1, dtype))

    def strings(self, name: str) -> StringTable:
        """An entry that is a table of strings."""
        node = self._node(name)
        data, offsets = node.vector("bytes", "uint8"), node.vector("offsets", "int32")
        return node.made(StringTable.from_buffer, data, offsets)

    def storage(self, name: str) -> Storage:
        """An entry that is a storage."""
        return self._value(name, Storage)

    def indexer(self, name: str) -> NgramIndexer:
        """An entry that is an n-gram indexer."""
        return self._value(name, NgramIndexer)

    def vocab(self, name: str) -> Vocab:
        """An entry that is a vocabulary."""
        return self._value(name, Vocab)

    def training(self, name: str) -> TrainingState:
        """An entry that is what training left."""
        return TrainingState.from_tree(self._node(name))

    def maybe(self, name: str, read: Callable[[str], Any]) -> Any:
        """What `read` makes of an entry, or `None` if that is nil."""
        if name not in self.entries:
            raise self.error(name, "an entry, or nil", "no such entry")
        return None if self.entries[name] is None else read(name)

    def made(self, make: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """What a constructor makes of entries; its errors become errors about the snapshot."""
        try:
            return make(*args, **options)
        except FormatError:
            raise
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise self.error(None, "entries that fit each other", f"an error: {error}") from error

    def _value(self, name: str, base: type[T]) -> T:
        """An entry that is a value of one of the classes derived from `base`."""
        node = self._node(name)
        kind, classes = node.text("kind"), classes_by_kind(base)
        if kind not in classes:
            raise node.error("kind", f"one of {', '.join(classes)}", repr(kind))
        return classes[kind].from_tree(node)

    def _node(self, name: str) -> "TreeNode":
        return TreeNode(self.source, self.entries.get(name), f"{self.path}.{name}")

    def _entry(self, name: str, kind: type, what: str) -> Any:
        entry = self.entries.get(name)
        if type(entry) is not kind:
            got = _shortened(entry) if name in self.entries else "no such entry"
            raise self.error(name, what, got)
        return entry


def tree_of(embeddings: Embeddings) -> dict[str, Any]:
    """The tree of embeddings."""
    norms, metadata = embeddings.stored_norms, embeddings.metadata
    return {
        "storage": _encode(embeddings.storage),
        "vocab": _encode(embeddings.vocab),
        "norms": None if norms is None else norms.array,
        "metadata": None if metadata is None else metadata.toml,
        "training": _encode(embeddings.training),
    }


def embeddings_of(node: TreeNode) -> Embeddings:
    """The embeddings of a tree."""
    storage, vocab = node.storage("storage"), node.vocab("vocab")
    norms = node.maybe("norms", lambda name: Norms(node.array(name, 1, "float32")))
    metadata = node.maybe("metadata", lambda name: node.made(Metadata.from_toml, node.text(name)))
    training = node.maybe("training", node.training)
    return node.made(Embeddings, storage, vocab, norms, metadata, training)


def _encode(value: Any) -> Any:
    """What a snapshot keeps of a value."""
    if isinstance(value, np.ndarray | jax.Array | str | int | None):
        return value
    if isinstance(value, StringTable):
        offsets = value.host_offsets
        return {"bytes": value.host_data[: offsets[-1]], "offsets": offsets}
    tree = value.to_tree()
    if "kind" in tree and tree["kind"] is None:
        raise TypeError(
            "`embeddings`: expected values that snapshots can hold, got "
            f"{type(value).__name__}. Make an NdArray of a storage, as in "
            "`embeddings.replace(storage=ffjax.NdArray(np.asarray(embeddings.storage)))`."
        )
    return {key: _encode(entry) for key, entry in tree.items()}


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
