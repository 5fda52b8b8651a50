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

`rows` is not nil where words share rows. Storages describe themselves (`to_tree`, `from_tree`);
rows on several devices are written as the matrix that they are.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, NamedTuple

import jax
import numpy as np

from ffjax.embeddings.metadata import Metadata
from ffjax.embeddings.training_state import TrainingState
from ffjax.embeddings.value import Embeddings
from ffjax.errors import FormatError
from ffjax.formats.io.binary import ByteSource
from ffjax.formats.snapshot.arrays import StoredArray
from ffjax.storage import Storage
from ffjax.storage.base import storage_kinds, storage_of_kind
from ffjax.storage.norms import Norms
from ffjax.strings.string_table import StringTable
from ffjax.vocab import (
    ExplicitVocab,
    FastTextVocab,
    FinalfusionBucketVocab,
    FloretVocab,
    SimpleVocab,
    SubwordVocab,
    Vocab,
)
from ffjax.vocab.ngrams import (
    ExplicitIndexer,
    FastTextIndexer,
    FinalfusionHashIndexer,
    FloretIndexer,
    PrunedIndexer,
)


class TreeNode:
    """A map in a snapshot: gives its entries checked, and errors that say where it is.

    Args:
        source: the file.
        entries: its entries.
        path: where in the snapshot it is.
    """

    def __init__(self, source: ByteSource, entries: Any, path: str) -> None:
        self.source, self.path = source, path
        if not isinstance(entries, dict):
            raise self.error(None, "a map", _shortened(entries))
        self.entries = entries

    def error(self, field: str | None, expected: str, got: str) -> FormatError:
        """An error about an entry, or about the map; the caller raises it."""
        name = self.source.name
        return self.source.error(name, chunk=self.path, field=field, expected=expected, got=got)

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
        return stored.read(self.source)

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
        node = self._node(name)
        kind = node.text("kind")
        storage = storage_of_kind(kind)
        if storage is None:
            raise node.error("kind", f"one of {', '.join(storage_kinds())}", repr(kind))
        return storage.from_tree(node)

    def indexer(self, name: str) -> Any:
        """An entry that is an n-gram indexer."""
        node = self._node(name)
        kind = node.text("kind")
        if kind not in _HASHING:
            return node._of_kind(_INDEXERS)
        settings = {key: value for key, value in node.entries.items() if key != "kind"}
        if "bucket_exp" in settings:
            settings["buckets_exp"] = settings.pop("bucket_exp")
        return node.made(_HASHING[kind], **settings)

    def vocab(self, name: str) -> Any:
        """An entry that is a vocabulary."""
        node = self._node(name)
        kind = node.text("kind")
        for cls in Vocab.__subclasses__() + SubwordVocab.__subclasses__():
            if cls.__name__ == kind and hasattr(cls, "from_tree"):
                return cls.from_tree(node)  # type: ignore[attr-defined]
        return node._of_kind(_VOCABS)

    def training(self, name: str) -> TrainingState:
        """An entry that is what training left."""
        return self._node(name)._build(TrainingState)

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
            raise self.error(None, "parts that fit each other", f"an error: {error}") from error

    def _of_kind(self, kinds: dict[str, type]) -> Any:
        """The value of one of some classes that this map keeps."""
        kind = self.text("kind")
        if kind not in kinds:
            raise self.error("kind", f"one of {', '.join(kinds)}", repr(kind))
        return self._build(kinds[kind])

    def _build(self, cls: type) -> Any:
        entries = {field.argument: field.read(self, field.key) for field in _FIELDS[cls]}
        return self.made(cls, **entries)

    def _node(self, name: str) -> "TreeNode":
        return TreeNode(self.source, self.entries.get(name), f"{self.path}.{name}")

    def _entry(self, name: str, kind: type, what: str) -> Any:
        entry = self.entries.get(name)
        if type(entry) is not kind:
            got = _shortened(entry) if name in self.entries else "no such entry"
            raise self.error(name, what, got)
        return entry


class _Field(NamedTuple):
    """An entry of a map: its key, what reads it, and the attribute and argument it stands for."""

    key: str
    read: Callable[[TreeNode, str], Any]
    attribute: str
    argument: str


def _field(key: str, read: Any, attribute: str = "", argument: str = "") -> _Field:
    return _Field(key, read, attribute or key, argument or key)


def _int32(node: TreeNode, key: str) -> np.ndarray:
    return node.vector(key, "int32")


def _int64(node: TreeNode, key: str) -> np.ndarray:
    return node.vector(key, "int64")


def _optional_int32(node: TreeNode, key: str) -> np.ndarray | None:
    return node.maybe(key, lambda key: _int32(node, key))


def _optional_storage(node: TreeNode, key: str) -> Storage | None:
    return node.maybe(key, node.storage)


_WORDS = (
    _field("words", TreeNode.strings, "table"),
    _field("rows", _optional_int32, "shared_rows"),
)
_INDEXER = _field("indexer", TreeNode.indexer, "subword_indexer")
_FIELDS: dict[type, tuple[_Field, ...]] = {
    SimpleVocab: _WORDS,
    FinalfusionBucketVocab: (*_WORDS, _INDEXER),
    FastTextVocab: (*_WORDS, _INDEXER),
    ExplicitVocab: (*_WORDS, _INDEXER),
    FloretVocab: (_INDEXER, _field("bow", TreeNode.text), _field("eow", TreeNode.text)),
    PrunedIndexer: (
        _field("hashing", TreeNode.indexer),
        _field("buckets", _int32, "kept_buckets"),
    ),
    ExplicitIndexer: (
        _field("ngrams", TreeNode.strings, "table"),
        _field("rows", _int32, argument="ngram_index"),
        _field("min_n", TreeNode.whole),
        _field("max_n", TreeNode.whole),
    ),
    TrainingState: (
        _field("counts", _int64),
        _field("n_tokens", TreeNode.whole),
        _field("labels", TreeNode.strings, "label_table"),
        _field("label_counts", _int64),
        _field("output", _optional_storage),
        _field("word_ngrams", _optional_storage),
        _field("word_ngram_buckets", _optional_int32),
        _field("original", _optional_storage),
        _field("version", TreeNode.whole),
    ),
}
_VOCABS = {cls.__name__: cls for cls in _FIELDS if cls.__name__.endswith("Vocab")}
_INDEXERS = {cls.__name__: cls for cls in (PrunedIndexer, ExplicitIndexer)}
# Indexers that are nothing but settings.
_HASHING = {cls.__name__: cls for cls in (FinalfusionHashIndexer, FastTextIndexer, FloretIndexer)}


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
    kind = type(value).__name__
    if isinstance(value, StringTable):
        offsets = value.host_offsets
        return {"bytes": value.host_data[: offsets[-1]], "offsets": offsets}
    if hasattr(value, "to_tree"):
        tree = value.to_tree()
        if tree["kind"] is None:
            raise TypeError(
                f"`embeddings`: expected a storage that snapshots can hold, got {kind}. Make an "
                "NdArray of it, as in "
                "`embeddings.replace(storage=ffjax.NdArray(np.asarray(embeddings.storage)))`."
            )
        return {key: _encode(entry) for key, entry in tree.items()}
    if kind in _HASHING:
        settings = asdict(value)
        if "buckets_exp" in settings:  # snapshots have the name that this field had at first
            settings["bucket_exp"] = settings.pop("buckets_exp")
        return {"kind": kind, **settings}
    tree = {field.key: _encode(getattr(value, field.attribute)) for field in _FIELDS[type(value)]}
    return tree if isinstance(value, TrainingState) else {"kind": kind, **tree}


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
