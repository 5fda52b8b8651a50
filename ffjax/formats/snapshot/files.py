"""Snapshots as bytes and as files; `envelope` has the layout."""

import zlib
from collections.abc import Iterator
from itertools import chain
from typing import Any

import jax
import msgpack
import numpy as np

from ffjax._internal.arguments import check_embeddings
from ffjax._internal.atomic_write import open_output
from ffjax.embeddings.value import Embeddings
from ffjax.formats.io.binary import ByteSource, File, Output
from ffjax.formats.io.streams import Stream, open_source
from ffjax.formats.snapshot.arrays import pack_array
from ffjax.formats.snapshot.envelope import MAGIC, TAIL, VERSION, check_sum, read_tree
from ffjax.formats.snapshot.tree import TreeNode, embeddings_of, tree_of


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


def read_snapshot(path: File | Stream) -> Embeddings:
    """Reads a snapshot."""
    with open_source(path, magic=MAGIC) as source:
        return _read(source)


def _blocks(embeddings: Any) -> Iterator[Any]:
    """The bytes of a snapshot, in blocks."""
    check_embeddings(embeddings)
    tree, packer = tree_of(embeddings), msgpack.Packer()
    checksum = 0
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


def _read(source: ByteSource) -> Embeddings:
    check_sum(source)
    return embeddings_of(TreeNode(source, read_tree(source), "snapshot"))
