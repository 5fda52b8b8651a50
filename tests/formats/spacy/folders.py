"""Folders of spaCy's vectors, written field by field."""

import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from ffjax.formats.spacy.words import keys_of
from ffjax.strings.string_table import StringTable

ROWS = np.array([[3, 4], [0.5, -0.25], [1, 2]], np.float32)
# `X` and `number` are symbols, which are in no `strings.json`.
WORDS = ["tea", "X", "caf\u00e9", "number", 'a "b" \\', "\u65e5\u672c"]
FLORET = {"mode": "floret", "minn": 2, "maxn": 3, "hash_count": 2, "hash_seed": 7}
FLORET |= {"bow": "[", "eow": "]", "attr": 66}


def npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def number(value: int, *, wide: bool = False) -> bytes:
    """A number in msgpack, in its shortest form or in 8 bytes."""
    if wide or value >= 1 << 32:
        return b"\xcf" + struct.pack(">Q", value)
    if value < 0x80:
        return bytes([value])
    head, code = (b"\xcc", ">B") if value < 1 << 8 else (b"\xcd", ">H")
    return (head, b"\xce")[value >= 1 << 16] + struct.pack((code, ">I")[value >= 1 << 16], value)


def key_rows(keys: Any, rows: Any) -> bytes:
    pairs = list(zip(map(int, keys), map(int, rows), strict=True))
    n = len(pairs)
    head = bytes([0x80 | n]) if n < 16 else b"\xdf" + struct.pack(">I", n)
    return head + b"".join(number(key) + number(row) for key, row in pairs)


def write(
    folder: Path,
    words: list[str] = WORDS,
    rows: Any = (0, 1, 2, 2, 0, 1),
    matrix: np.ndarray = ROWS,
    strings: Any = None,
    cfg: Any = None,
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if strings is None:
        strings = sorted({*words, "unused"} - {"X", "number"})
    files = {
        "vectors": npy(matrix),
        "key2row": key_rows(keys_of(StringTable.from_strings(words)), rows),
        "strings.json": json.dumps(strings, indent=2).encode(),
        "vectors.cfg": json.dumps(cfg or {"mode": "default"}).encode(),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def write_floret(folder: Path, matrix: np.ndarray = ROWS, **settings: Any) -> Path:
    return write(folder, [], [], matrix, strings=["tea"], cfg={**FLORET, **settings})
