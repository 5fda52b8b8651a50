"""Snapshots as bytes and as files.

    0x83                 a map of three entries
    "ffjax"              version, 1
    "snapshot"           a map, see `tree`
    "zlib_crc32"         text: the CRC-32, as zlib has it, of all bytes before its 8 hex digits

Any msgpack reader reads them. Arrays are encoded as in Flax's checkpoints, see `arrays`, so that
`flax.serialization.msgpack_restore` gives the arrays too. Keys are in the order of their bytes, as
Flax writes them, so that its `msgpack_serialize` makes the same bytes again. Nothing is ever
unpickled.
"""

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
from ffjax.formats.io.binary import ByteSource, Cursor, File, Output
from ffjax.formats.io.streams import Stream, open_source
from ffjax.formats.snapshot.arrays import pack_array
from ffjax.formats.snapshot.tree import TreeNode, embeddings_of, tree_of
from ffjax.formats.snapshot.unpack import unpack, unpack_scalar

MAGIC = b"\x83\xa5ffjax"
VERSION = 1
_TAIL = b"\xaazlib_crc32\xa8"
_DIGITS = 8
_BLOCK_BYTES = 1 << 22


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


def write_snapshot(file: File, embeddings: Embeddings) -> None:
    """Writes embeddings as a snapshot; the old file stays complete until the new one is.

    Args:
        file: the path, or a descriptor, which is closed afterwards as `open` does.
        embeddings: what to write, of any kind.

    Raises:
        TypeError: as `to_bytes`.
        OSError: if the file cannot be written.
    """
    blocks = _blocks(embeddings)
    first = next(blocks)  # what cannot be stored is an error before there is a file
    with open_output(file) as raw:
        Output(raw).write_blocks(0, chain([first], blocks))


def load_snapshot(file: File | Stream) -> Embeddings:
    """Reads a snapshot.

    Args:
        file: a path; a descriptor, which is closed afterwards as `open` does; or a stream.

    Raises:
        FormatError: as `from_bytes`.
        OSError: if the file cannot be read.
    """
    with open_source(file, magic=MAGIC) as source:
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
    yield _TAIL + b"%08x" % zlib.crc32(_TAIL, checksum)


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
    cursor = Cursor(source, chunk="snapshot")
    magic = bytes(cursor.source.data[: len(MAGIC)])
    if magic != MAGIC:
        raise cursor.error("magic", repr(MAGIC), repr(magic))
    cursor.skip("magic", len(MAGIC))
    version = unpack_scalar(cursor, "version")
    if version != VERSION or type(version) is not int:
        hint = "It is of a later version of ffjax; read it with that."
        expected, got = str(VERSION), repr(version)
        raise cursor.error("version", expected, got, offset=len(MAGIC), hint=hint)
    _check_sum(source, cursor)

    key_at = cursor.position
    if unpack_scalar(cursor, "key") != "snapshot":
        raise cursor.error("key", "'snapshot'", "another", offset=key_at)
    tree = unpack(cursor, "snapshot")
    if n_bytes := cursor.remaining - len(_TAIL) - _DIGITS:
        got = f"{n_bytes} more bytes"
        raise cursor.error("snapshot", "the checksum after it", got)
    return embeddings_of(TreeNode(source, tree, "snapshot"))


def _check_sum(source: ByteSource, cursor: Cursor) -> None:
    """Compares the checksum, before anything else is believed."""
    end = len(source) - _DIGITS
    tail = bytes(source.data[max(0, end - len(_TAIL)) :])
    if tail[: len(_TAIL)] != _TAIL or len(tail) != len(_TAIL) + _DIGITS:
        offset = max(0, end - len(_TAIL))
        expected, hint = "the checksum at the end", "The file is truncated."
        raise cursor.error("zlib_crc32", expected, repr(tail), offset=offset, hint=hint)
    checksum = 0
    for start in range(0, end, _BLOCK_BYTES):
        stop = min(start + _BLOCK_BYTES, end)
        checksum = zlib.crc32(source.data[start:stop], checksum)
        source.release_pages(start, stop)
    if tail[len(_TAIL) :] != b"%08x" % checksum:
        got = f"{checksum:08x}, the bytes before having been changed"
        expected = tail[len(_TAIL) :].decode("ascii", "replace")
        raise cursor.error("zlib_crc32", expected, got, offset=end)
