"""Snapshots as bytes and as files: embeddings as a tree of maps, text, numbers and arrays.

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
on several devices are written as they are on one. `envelope` has what surrounds the tree.
"""

import zlib
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import jax
import msgpack
import numpy as np

from ffjax._internal.arguments import check_embeddings
from ffjax._internal.arrays import aligned_empty
from ffjax._internal.atomic_write import open_output
from ffjax._internal.chunk import classes_by_kind
from ffjax._internal.file_arguments import counted
from ffjax.embeddings.metadata import Metadata
from ffjax.embeddings.training_state import TrainingState
from ffjax.embeddings.value import Embeddings
from ffjax.errors import FormatError
from ffjax.formats.io.binary import ByteSource, File, Output
from ffjax.formats.io.streams import Stream, open_source
from ffjax.formats.io.toml import parse_toml
from ffjax.formats.snapshot.arrays import StoredArray, pack_array
from ffjax.formats.snapshot.envelope import MAGIC, TAIL, VERSION, check_sum, read_tree
from ffjax.storage import Storage
from ffjax.storage.norms import Norms
from ffjax.strings.string_table import StringTable
from ffjax.vocab import Vocab
from ffjax.vocab.ngrams.base import NgramIndexer

_LARGE_BYTES, _BLOCK_BYTES = 1 << 22, 1 << 22


class TreeNode:
    """A map at `path` in a snapshot: gives its entries checked.

    Large matrices are mapped in files that `rows` makes, if given, as `FileRows` does.
    """

    def __init__(self, source: ByteSource, entries: Any, path: str, rows: Any = None) -> None:
        self.source, self.path, self.rows = source, path, rows
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
            expected = f"an array of {counted(ndim, 'dimension')} of {' or '.join(dtypes)}"
            raise self.error(name, expected, f"shape {stored.shape} of {stored.dtype}")
        if self.rows is not None and ndim == 2 and stored.n_bytes > _LARGE_BYTES:
            return self._mapped(stored)
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
        node = self.node(name)
        data, offsets = node.vector("bytes", "uint8"), node.vector("offsets", "int32")
        return node.made(StringTable.from_buffer, data, offsets)

    def metadata(self, name: str) -> Metadata:
        """An entry that is metadata."""
        return self.made(parse_toml, self.text(name), Metadata.from_toml)

    def storage(self, name: str) -> Storage:
        """An entry that is a storage."""
        return self.value(name, Storage)

    def indexer(self, name: str) -> NgramIndexer:
        """An entry that is an n-gram indexer."""
        return self.value(name, NgramIndexer)

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

    def value(self, name: str, base: type) -> Any:
        """An entry that is a value of one of the classes derived from `base`."""
        node = self.node(name)
        kind, classes = node.text("kind"), classes_by_kind(base)
        if kind not in classes:
            raise node.error("kind", f"one of {', '.join(classes)}", repr(kind))
        return classes[kind].from_tree(node)

    def node(self, name: str) -> "TreeNode":
        """An entry that is a map."""
        return TreeNode(self.source, self.entries.get(name), f"{self.path}.{name}", self.rows)

    def _mapped(self, stored: StoredArray) -> np.ndarray:
        # The chunks of an array are neither adjacent nor aligned.
        with self.rows(1, dtype=np.uint8) as file:
            for start, size in stored.chunks:
                for begin in range(start, start + size, _BLOCK_BYTES):
                    block = np.empty((min(_BLOCK_BYTES, start + size - begin), 1), np.uint8)
                    self.source.read_into(begin, block)
                    file.append(block)
            return file.finish().reshape(-1).view(stored.dtype).reshape(stored.shape)

    def _entry(self, name: str, kind: type, what: str) -> Any:
        entry = self.entries.get(name)
        if type(entry) is not kind:
            got = _shortened(entry) if name in self.entries else "no such entry"
            raise self.error(name, what, got)
        return entry


def to_bytes(embeddings: Embeddings) -> bytes:
    """Embeddings as bytes, which `from_bytes` gives back exactly: every storage, vocabulary, dtype.

    Anyone with msgpack can read them, `flax.serialization.msgpack_restore` also the arrays; the
    documentation of the formats has the layout. `save(..., format="msgpack")` writes the same.

    Args:
        embeddings: what to keep. Rows on several devices come back on one.

    Raises:
        TypeError: if `embeddings` is not an `Embeddings`, or uses a storage class without a `kind`.

    Examples:
        >>> import ffjax
        >>> emb = ffjax.demo()
        >>> ffjax.from_bytes(ffjax.to_bytes(emb)) == emb
        True
    """
    return b"".join(map(bytes, _blocks(embeddings)))


def from_bytes(data: bytes | bytearray | memoryview) -> Embeddings:
    r"""Embeddings from the bytes that `to_bytes` returned, or from the content of a snapshot.

    Args:
        data: the bytes.

    Raises:
        TypeError: if `data` is not bytes.
        FormatError: if it is not a snapshot, of a later version, truncated or changed. Nothing is
            allocated for lengths that the bytes do not have.

    Examples:
        >>> import ffjax
        >>> ffjax.from_bytes(b"")
        Traceback (most recent call last):
        ffjax.errors.FormatError: byte 0: snapshot: magic: expected b'\x83\xa5ffjax', got b''
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(
            f"`data`: expected bytes, got {type(data).__name__}. `ffjax.load` reads files."
        )
    return _read(ByteSource(None, memoryview(data).cast("B")))


def write_snapshot(path: File, embeddings: Embeddings) -> None:
    """Writes embeddings as a snapshot; the old file stays complete until the new one is."""
    blocks = _blocks(embeddings)
    first = next(blocks)  # what cannot be stored is an error before there is a file
    with open_output(path) as raw:
        Output(raw).write_blocks(0, chain([first], blocks))


def snapshot_size(embeddings: Embeddings) -> int:
    """The bytes of the file that `write_snapshot` would write."""
    return sum(memoryview(block).nbytes for block in _blocks(embeddings))


def read_snapshot(path: File | Stream, *, rows: Any = None) -> Embeddings:
    """Reads a snapshot; with `rows`, such as `FileRows`, large matrices are copied to files."""
    with open_source(path, magic=MAGIC) as source:
        return _read(source, rows)


def _blocks(embeddings: Any) -> Iterator[Any]:
    """The bytes of a snapshot, in blocks."""
    check_embeddings(embeddings)
    norms, metadata = embeddings.stored_norms, embeddings.metadata
    tree = {
        "storage": _encode(embeddings.storage),
        "vocab": _encode(embeddings.vocab),
        "norms": None if norms is None else norms.array,
        "metadata": None if metadata is None else metadata.toml,
        "training": _encode(embeddings.training),
    }
    packer, checksum = msgpack.Packer(), 0
    head = MAGIC + packer.pack(VERSION) + packer.pack("snapshot")
    for block in chain([head], _packed(tree)):
        checksum = zlib.crc32(block, checksum)
        yield block
    yield TAIL + b"%08x" % zlib.crc32(TAIL, checksum)


def _packed(tree: Any) -> Iterator[Any]:
    packer = msgpack.Packer()
    if isinstance(tree, dict):
        yield packer.pack_map_header(len(tree))
        for key, value in sorted(tree.items()):
            yield packer.pack(key)
            yield from _packed(value)
    elif isinstance(tree, np.ndarray | jax.Array):
        yield from pack_array(tree)
    else:
        yield packer.pack(tree)


def _read(source: ByteSource, rows: Any = None) -> Embeddings:
    check_sum(source)
    node = TreeNode(source, read_tree(source), "snapshot", rows)
    storage, vocab = node.storage("storage"), node.value("vocab", Vocab)
    norms = node.maybe("norms", lambda name: Norms(node.array(name, 1, "float32")))
    metadata = node.maybe("metadata", node.metadata)
    training = node.maybe("training", lambda name: TrainingState.from_tree(node.node(name)))
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
