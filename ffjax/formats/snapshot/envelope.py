"""What surrounds the tree of a snapshot, and reading it with bounds; arrays stay in the file.

    0x83                 a map of three entries
    "ffjax"              version, 1
    "snapshot"           a map, see `files`
    "zlib_crc32"         text: the CRC-32, as zlib has it, of all bytes before its 8 hex digits

Any msgpack reader reads them. Arrays are encoded as in Flax's checkpoints, see `arrays`, so that
`flax.serialization.msgpack_restore` gives the arrays too. Keys are in the order of their bytes, as
Flax writes them, so that its `msgpack_serialize` makes the same bytes again. Nothing is ever
unpickled.
"""

import zlib
from collections.abc import Callable
from typing import Any

import msgpack

from ffjax.formats.io.binary import ByteSource, Cursor
from ffjax.formats.io.streams import Stream, open_source
from ffjax.formats.io.toml import parse_toml
from ffjax.formats.registry import FORMATS
from ffjax.formats.snapshot.arrays import (
    CHUNKED,
    EXT_CODES,
    StoredArray,
    join_chunks,
    unpack_array,
)

Tree = dict[str, Any]

(MAGIC,) = FORMATS["msgpack"].magics
VERSION = 1
TAIL = b"\xaazlib_crc32\xa8"
_DIGITS = 8
_BLOCK_BYTES = 1 << 22
_MAX_DEPTH = 32
_READ_BYTES = 256
_VALUES = "a map, text, a whole number, a truth value, nil or an array"
_MAP_CODES = (*range(0x80, 0x90), 0xDE, 0xDF)


def read_tree(source: ByteSource) -> Any:
    """The map of a snapshot; arrays stay in the file."""
    cursor = _after_version(source)
    key_at = cursor.position
    if _unpack_scalar(cursor, "key") != "snapshot":
        raise cursor.error("key", "'snapshot'", "another", offset=key_at)
    tree = _unpack(cursor, "snapshot")
    if n_bytes := cursor.remaining - len(TAIL) - _DIGITS:
        got = f"{n_bytes} more bytes"
        raise cursor.error("snapshot", "the checksum after it", got)
    return tree


def check_sum(source: ByteSource) -> None:
    """Compares the checksum, before anything but the version is believed."""
    cursor = _after_version(source)
    end = len(source) - _DIGITS
    tail_at = max(0, end - len(TAIL))
    tail, digits = bytes(source.data[tail_at:end]), bytes(source.data[end:])
    if tail != TAIL:
        expected, hint = "the checksum at the end", "The file is truncated."
        raise cursor.error("zlib_crc32", expected, repr(tail), offset=tail_at, hint=hint)
    checksum = 0
    for start in range(0, end, _BLOCK_BYTES):
        stop = min(start + _BLOCK_BYTES, end)
        checksum = zlib.crc32(source.data[start:stop], checksum)
        source.release_pages(start, stop)
    if digits != b"%08x" % checksum:
        got = f"{checksum:08x}, the bytes before having been changed"
        expected = digits.decode("ascii", "replace")
        raise cursor.error("zlib_crc32", expected, got, offset=end)


def _after_version(source: ByteSource) -> Cursor:
    """A cursor after the magic number and the version."""
    cursor = Cursor(source, chunk="snapshot")
    magic = bytes(source.data[: len(MAGIC)])
    if magic != MAGIC:
        raise cursor.error("magic", repr(MAGIC), repr(magic))
    cursor.skip("magic", len(MAGIC))
    version = repr(_unpack_scalar(cursor, "version"))  # the number 1, not True
    if version != str(VERSION):
        hint = "It is of a later version of ffjax; read it with that."
        raise cursor.error("version", str(VERSION), version, offset=len(MAGIC), hint=hint)
    return cursor


def _unpack(cursor: Cursor, name: str, depth: int = 0) -> Any:
    """A `dict`, `str`, `int`, `bool`, `None` or `StoredArray`; errors call it `name`."""
    offset = cursor.position
    code = cursor.take(name, 1)[0]
    cursor.position = offset
    if code in EXT_CODES:
        return unpack_array(cursor, name)
    if code not in _MAP_CODES:
        return _unpack_scalar(cursor, name)
    count = _call(cursor, name, msgpack.Unpacker.read_map_header)
    cursor.claim(name, count, 2, offset=offset)  # a key and a value have a byte each at least
    if depth == _MAX_DEPTH:
        raise cursor.error(name, f"at most {_MAX_DEPTH} nested maps", "more", offset=offset)
    entries: dict[str, Any] = {}
    for _ in range(count):
        key_at = cursor.position
        key = _unpack_scalar(cursor, name)
        if not isinstance(key, str) or key in entries:
            raise cursor.error(name, "keys of text, each once", repr(key), offset=key_at)
        entries[key] = _unpack(cursor, key, depth + 1)
    return join_chunks(cursor, name, entries, offset) if CHUNKED in entries else entries


def _unpack_scalar(cursor: Cursor, name: str) -> Any:
    """A `str`, `int`, `bool` or `None`."""
    offset = cursor.position
    value = _call(cursor, name, msgpack.Unpacker.unpack)
    if not isinstance(value, str | int | None):
        raise cursor.error(name, _VALUES, f"a {type(value).__name__}", offset=offset)
    return value


def _call(cursor: Cursor, name: str, method: Callable[[msgpack.Unpacker], Any]) -> Any:
    """What a method of an unpacker makes of the next bytes, which it reads a few at a time."""
    unpacker = msgpack.Unpacker(
        max_buffer_size=0,
        max_str_len=cursor.remaining,
        max_bin_len=0,
        max_array_len=0,
        max_ext_len=0,
    )
    for start in range(cursor.position, cursor.end, _READ_BYTES):
        unpacker.feed(cursor.source.data[start : min(start + _READ_BYTES, cursor.end)])
        try:
            value = method(unpacker)
        except msgpack.OutOfData:
            continue  # with the next bytes
        except ValueError as error:
            raise cursor.error(name, _VALUES, f"an error: {error}") from error
        cursor.skip(name, unpacker.tell())
        return value
    raise cursor.error(name, "more bytes", "the end of the file")


def describe(stream: Stream) -> dict[str, Any]:
    """The kinds and shapes of the values in a snapshot; its arrays are not read."""
    with open_source(stream, magic=MAGIC) as source:
        tree = read_tree(source)
        try:
            facts = _vocab(source, tree["vocab"]) | _storage(tree["storage"])
            if tree["norms"] is not None:
                facts["norms"] = _length(tree["norms"])
            if tree["metadata"] is not None:
                facts["metadata"] = list(parse_toml(tree["metadata"]))
            if (training := tree["training"]) is not None:
                output = training["output"]
                facts |= {"tokens": training["n_tokens"], "labels": _count(training["labels"])}
                facts["output_rows"] = None if output is None else _storage(output)["rows"]
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            expected, got = "the tree of embeddings", f"an error: {error!r}"
            raise source.error(chunk="snapshot", expected=expected, got=got) from error
        return facts


def _vocab(source: ByteSource, tree: Tree) -> Tree:
    facts: Tree = {"vocabulary": tree["kind"], "words": _count(tree.get("words"))}
    if tree.get("rows") is not None:  # which words share
        facts["word_rows"] = _largest(source, tree["rows"]) + 1
    indexer = tree.get("indexer")
    if indexer is None:
        return facts
    hashing = indexer.get("hashing", indexer)
    facts["ngram_lengths"] = f"{hashing['min_n']} to {hashing['max_n']}"
    if "ngrams" in indexer:
        rows = _largest(source, indexer["rows"]) + 1
        return facts | {"ngrams": _count(indexer["ngrams"]), "ngram_rows": rows}
    if "n_hashes" in hashing:
        facts["hashes"] = hashing["n_hashes"]
    if "buckets" in indexer:  # those that were not pruned
        return facts | {"buckets": _length(indexer["buckets"])}
    n_buckets = hashing.get("n_buckets")
    return facts | {"buckets": 1 << hashing["bucket_exp"] if n_buckets is None else n_buckets}


def _storage(tree: Tree) -> Tree:
    kind = tree["kind"]
    if kind == "ComposedArray":
        words, ngrams = _storage(tree["own"]), tree["ngrams"]
        rows = 0 if ngrams is None else _storage(ngrams)["rows"]
        return {**words, "rows": words["rows"] + rows}
    # Of any storage the first such array has a line for each row.
    arrays = (x for x in tree.values() if isinstance(x, StoredArray) and len(x.shape) == 2)
    matrix: Any = next(arrays, None)
    rows, columns = matrix.shape
    facts = {"dims": columns, "storage": kind, "rows": rows}
    if kind != "QuantizedArray":
        return facts | {"dtype": matrix.dtype.name}
    return {
        **facts,
        "dims": tree["dims"],
        "codes_per_row": columns,
        "centroids": tree["centroids"].shape[1],
        "rotated": tree["projection"] is not None,
        "row_norms": tree["norms"] is not None,
    }


def _count(strings: Tree | None) -> int:
    return 0 if strings is None else _length(strings["offsets"]) - 1


def _length(array: StoredArray) -> int:
    return array.shape[0]


def _largest(source: ByteSource, rows: StoredArray) -> int:
    """The largest row number in an array, -1 if it is empty."""
    chunks = (source.view(start, start + size).view("<i4") for start, size in rows.chunks)
    return max((int(chunk.max(initial=-1)) for chunk in chunks), default=-1)
