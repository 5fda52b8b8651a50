"""thinc's models, as spaCy saves them: the file `model` of a component.

    msgpack    a map of lists with an entry per node, breadth first:
        nodes      maps: name, index, dims, refs
        attrs      maps from names to values, each msgpack again
        params     maps from names to arrays or nil
        shims      other libraries' models, which are not read

Arrays are maps, as `msgpack_numpy` has them: `nd` true, `type` (such as `<f4`), `kind`, `shape`,
`data`. See https://github.com/explosion/thinc/blob/v8.3.0/thinc/model.py
"""

import math
from typing import Any, NamedTuple

import msgpack
import numpy as np

from ffjax.formats.io.binary import Cursor

_DTYPES = ("<f2", "<f4", "<f8")


class Node(NamedTuple):
    """A layer: its name, settings and float32 arrays."""

    name: str
    attrs: dict[str, Any]
    params: dict[str, np.ndarray]


def read_model(cursor: Cursor) -> list[Node]:
    """The nodes of a model that have settings or arrays, breadth first."""
    model = read_msgpack(cursor)
    lists: list[Any] = [model.get(name) for name in ("nodes", "attrs", "params")]
    if not all(isinstance(entries, list) for entries in lists) or len(set(map(len, lists))) > 1:
        expected = "lists `nodes`, `attrs` and `params` of one length"
        raise cursor.error("nodes", expected, "others", offset=0)
    return [_node(cursor, i, *entries) for i, entries in enumerate(zip(*lists, strict=True))]


def read_msgpack(cursor: Cursor) -> dict[Any, Any]:
    """The map that a file holds."""
    start = cursor.position
    data = cursor.take("msgpack", cursor.remaining)
    return _unpacked(cursor, "msgpack", data, dict, start)


def _node(cursor: Cursor, i: int, node: Any, attrs: Any, params: Any) -> Node:
    field = f"node {i}"
    if not all(isinstance(entry, dict) for entry in (node, attrs, params)):
        raise cursor.error(field, "three maps", "others", offset=0)
    values = {key: raw for key, raw in attrs.items() if isinstance(raw, bytes)}
    values = {key: _unpacked(cursor, f"{field}: {key}", values[key], object) for key in values}
    field = f"{field} ({node.get('name')})"
    arrays = {key: entry for key, entry in params.items() if entry is not None}
    arrays = {key: _array(cursor, f"{field}: {key}", arrays[key]) for key in arrays}
    return Node(str(node.get("name")), values, arrays)


def _array(cursor: Cursor, field: str, entry: Any) -> np.ndarray:
    entry = entry if isinstance(entry, dict) else {}
    dtype, shape, data = (entry.get(name) for name in (b"type", b"shape", b"data"))
    is_shape = isinstance(shape, list) and all(type(n) is int and n >= 0 for n in shape)
    if dtype not in _DTYPES or not is_shape or not isinstance(data, bytes):
        expected = f"an array of {', '.join(_DTYPES)}"
        raise cursor.error(field, expected, f"type {dtype!r}, shape {shape!r}"[:80], offset=0)
    n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    if n_bytes != len(data):
        raise cursor.error(field, f"{n_bytes} bytes", str(len(data)), offset=0)
    return np.frombuffer(data, dtype).reshape(shape).astype(np.float32)


def _unpacked(cursor: Cursor, field: str, data: Any, kind: type, offset: int = 0) -> Any:
    try:
        tree = msgpack.unpackb(data, strict_map_key=False)
    except (ValueError, TypeError) as error:  # of msgpack, or a key that is a list
        raise cursor.error(field, "msgpack", f"an error: {error}"[:80], offset=offset) from error
    if not isinstance(tree, kind):
        raise cursor.error(field, "a map in msgpack", type(tree).__name__, offset=offset)
    return tree
