"""Embeddings from the tree that `values` describes, every part of it checked."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ffjax.embeddings.metadata import Metadata
from ffjax.embeddings.training_state import TrainingState
from ffjax.embeddings.value import Embeddings
from ffjax.errors import FormatError
from ffjax.formats.io.binary import ByteSource
from ffjax.formats.snapshot.unpack import Held
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
    Vocab,
)
from ffjax.vocab.ngrams import (
    ExplicitIndexer,
    FastTextIndexer,
    FinalfusionHashIndexer,
    FloretIndexer,
    PrunedIndexer,
)

_HASHING = {kind.__name__: kind for kind in (FinalfusionHashIndexer, FastTextIndexer, FloretIndexer)}
_VOCABS = {kind.__name__: kind for kind in (FinalfusionBucketVocab, FastTextVocab, ExplicitVocab)}


class Node:
    """A map in a snapshot: gives its entries checked, and errors that say where it is.

    Args:
        source: the file.
        entries: its entries.
        path: where in the snapshot it is.
    """

    def __init__(self, source: ByteSource, entries: Any, path: str) -> None:
        self.source, self.path = source, path
        if not isinstance(entries, dict):
            raise self.error(None, "a map", _shown(entries))
        self.entries = entries

    def error(self, field: str | None, expected: str, got: str) -> FormatError:
        """An error about an entry, or about the whole; the caller raises it."""
        return self.source.error(self.source.name, chunk=self.path, field=field, expected=expected, got=got)

    def of(self, name: str, kind: type, what: str) -> Any:
        """An entry of a type.

        Raises:
            FormatError: it is missing or of another.
        """
        found = self.entries.get(name)
        if type(found) is not kind:
            raise self.error(name, what, _shown(found) if name in self.entries else "no such entry")
        return found

    def text(self, name: str) -> str:
        """An entry that is text."""
        return self.of(name, str, "text")

    def whole(self, name: str) -> int:
        """An entry that is a whole number of 64 bits with a sign."""
        found = self.of(name, int, "a whole number")
        if not -(2**63) <= found < 2**63:
            raise self.error(name, "a number of 64 bits with a sign", str(found))
        return found

    def array(self, name: str, axes: int, *dtypes: str) -> Any:
        """An entry that is an array."""
        held = self.of(name, Held, "an array")
        if len(held.shape) != axes or held.dtype.name not in dtypes:
            expected = f"an array of {axes} dimensions of {' or '.join(dtypes)}"
            raise self.error(name, expected, f"shape {held.shape} of {held.dtype}")
        return held.read(self.source)

    def node(self, name: str) -> "Node":
        """An entry that is a map."""
        return Node(self.source, self.entries.get(name), f"{self.path}.{name}")

    def storage(self, name: str) -> Storage:
        """An entry that is a storage."""
        return storage_of(self.node(name))

    def strings(self, name: str) -> StringTable:
        """An entry that is a table of strings."""
        return _strings(self.node(name))

    def indexer(self, name: str) -> Any:
        """An entry that is an n-gram indexer."""
        return _indexer(self.node(name))

    def maybe(self, name: str, read: Callable[[str], Any]) -> Any:
        """What `read` makes of an entry, or `None` if that is nil."""
        if name not in self.entries:
            raise self.error(name, "an entry, or nil", "no such entry")
        return None if self.entries[name] is None else read(name)

    def made(self, make: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """What a constructor makes of parts of this map.

        Raises:
            FormatError: they don't fit each other.
        """
        try:
            return make(*args, **options)
        except FormatError:
            raise
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise self.error(None, "parts that fit each other", f"an error: {error}") from error


def embeddings_of(node: Node) -> Embeddings:
    """The embeddings of a tree.

    Raises:
        FormatError: a part is missing, of another type, or does not fit the others.
    """
    storage, vocab = storage_of(node.node("storage")), _vocab(node.node("vocab"))
    norms = node.maybe("norms", lambda name: Norms(node.array(name, 1, "float32")))
    metadata = node.maybe("metadata", lambda name: node.made(Metadata.from_toml, node.text(name)))
    training = node.maybe("training", lambda name: _training(node.node(name)))
    return node.made(Embeddings, storage, vocab, norms, metadata, training)


def storage_of(node: Node) -> Storage:
    """A storage of a tree.

    Raises:
        FormatError: as `embeddings_of`.
    """
    kind = node.text("kind")
    storage = storage_of_kind(kind)
    if storage is None:
        kinds = storage_kinds()
        raise node.error("kind", f"{', '.join(kinds[:-1])} or {kinds[-1]}", repr(kind))
    return storage.from_tree(node)


def _vocab(node: Node) -> Vocab:
    kind = node.text("kind")
    if kind == "FloretVocab":
        indexer = _indexer(node.node("indexer"))
        return node.made(FloretVocab, indexer, bow=node.text("bow"), eow=node.text("eow"))
    if kind not in (*_VOCABS, "SimpleVocab"):
        raise node.error("kind", f"{', '.join(_VOCABS)}, SimpleVocab or FloretVocab", repr(kind))
    words = _strings(node.node("words"))
    rows = node.maybe("rows", lambda name: np.asarray(node.array(name, 1, "int32")))
    if kind == "SimpleVocab":
        return node.made(SimpleVocab, words, rows=rows)
    return node.made(_VOCABS[kind], words, _indexer(node.node("indexer")), rows=rows)


def _indexer(node: Node) -> Any:
    kind = node.text("kind")
    if kind == "PrunedIndexer":
        hashing = _indexer(node.node("hashing"))
        return node.made(PrunedIndexer, hashing, np.asarray(node.array("buckets", 1, "int32")))
    if kind == "ExplicitIndexer":
        rows = np.asarray(node.array("rows", 1, "int32"))
        lengths = node.whole("min_n"), node.whole("max_n")
        return node.made(ExplicitIndexer, _strings(node.node("ngrams")), *lengths, rows)
    if kind not in _HASHING:
        raise node.error("kind", f"{', '.join(_HASHING)}, PrunedIndexer or ExplicitIndexer", repr(kind))
    settings = {name: value for name, value in node.entries.items() if name != "kind"}
    if "bucket_exp" in settings:  # snapshots have the name that this field had at first
        settings["buckets_exp"] = settings.pop("bucket_exp")
    return node.made(_HASHING[kind], **settings)


def _training(node: Node) -> TrainingState:
    def storage(name: str) -> Storage | None:
        return node.maybe(name, lambda name: storage_of(node.node(name)))

    return node.made(
        TrainingState,
        node.array("counts", 1, "int64"),
        n_tokens=node.whole("n_tokens"),
        labels=_strings(node.node("labels")),
        label_counts=node.array("label_counts", 1, "int64"),
        output=storage("output"),
        word_ngrams=storage("word_ngrams"),
        word_ngram_buckets=node.maybe("word_ngram_buckets", lambda name: np.asarray(node.array(name, 1, "int32"))),
        original=storage("original"),
        version=node.whole("version"),
    )


def _strings(node: Node) -> StringTable:
    data, offsets = (np.asarray(node.array(*of)) for of in (("bytes", 1, "uint8"), ("offsets", 1, "int32")))
    return node.made(StringTable.from_buffer, data, offsets)


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
