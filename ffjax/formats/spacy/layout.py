"""The files of a spaCy vocabulary, its settings and symbols. Does not import JAX.

Symbols are 457 names of attributes, tags and labels, such as `number` and `X`, whose numbers have
been the same since spaCy 3.0. They are in no `strings.json`.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from ffjax.errors import FormatError
from ffjax.formats.io.binary import Array, Cursor
from ffjax.formats.io.folders import Folder
from ffjax.formats.io.streams import Stream, open_source
from ffjax.formats.spacy.key_rows import read_length
from ffjax.formats.tables.npy import read_npy

VECTORS, KEY_ROWS, KEYS = "vectors", "key2row", "keys"
STRINGS, SETTINGS = "strings.json", "vectors.cfg"
ORTH = 65
_MODES = ("default", "floret")
_MOST_SETTINGS_BYTES = 1 << 16


@cache
def symbols() -> tuple[str, ...]:
    """The names of spaCy's symbols, by their numbers."""
    text = files("ffjax").joinpath("data", "spacy_symbols.txt").read_text(encoding="utf-8")
    return tuple(text.split("\n")[:-1])


def check_attr(name: str) -> int:
    """The number of a token attribute, whose name is checked."""
    if name not in symbols()[1:]:
        expected = "the name of a token attribute, such as 'ORTH' or 'LOWER'"
        raise ValueError(f"`attr`: expected {expected}, got {name!r}.")
    return symbols().index(name)


class Settings(NamedTuple):
    """What `vectors.cfg` says."""

    mode: str = "default"
    attr: int = ORTH  # the number of the symbol that names the attribute whose value is the key
    minn: int = 0
    maxn: int = 0
    hash_count: int = 1
    hash_seed: int = 0
    bow: str = "<"
    eow: str = ">"

    @classmethod
    def read(cls, cursor: Cursor) -> "Settings":
        """Reads the file."""
        size = min(cursor.remaining, _MOST_SETTINGS_BYTES)
        values = cursor.json("settings", size, dict, "an object of JSON")
        settings = cls(**{name: values[name] for name in cls._fields if name in values})
        for name, default in cls._field_defaults.items():
            value = getattr(settings, name)
            if type(value) is not type(default):
                expected = f"a value of type {type(default).__name__}"
                raise cursor.error(name, expected, repr(value)[:64], offset=0)
        if settings.mode not in _MODES:
            raise cursor.error("mode", " or ".join(_MODES), repr(settings.mode)[:64], offset=0)
        if not 0 < settings.attr < len(symbols()):
            expected = "the number of a token attribute, such as 65 (ORTH)"
            raise cursor.error("attr", expected, str(settings.attr), offset=0)
        return settings

    def pack(self) -> bytes:
        """The content of the file."""
        values: dict[str, Any] = self._asdict() if self.mode == "floret" else {"mode": self.mode}
        if self.attr != ORTH:
            values["attr"] = self.attr
        return json.dumps(values).encode()


def is_folder(names: list[str]) -> bool:
    """Whether a folder with files of these names has vectors of spaCy, or has lost them."""
    return bool(_roots(names) or _folders_with(names, KEY_ROWS))


def _folders_with(names: list[str], file: str) -> set[str]:
    """The paths, "" or ending with a slash, of folders with a file of some name."""
    return {name.removesuffix(file) for name in names if name.split("/")[-1] == file}


def _roots(names: list[str]) -> list[str]:
    """The folders with a table of keys and a matrix."""
    roots = _folders_with(names, KEY_ROWS) | _folders_with(names, KEYS)
    return sorted(roots & _folders_with(names, VECTORS))


class VocabFolder:
    """An open `vocab` folder of spaCy."""

    def __init__(self, folder: Folder) -> None:
        roots = _roots(folder.names)
        if not roots and (incomplete := _folders_with(folder.names, KEY_ROWS)):
            expected = f"{VECTORS} beside {min(incomplete)}{KEY_ROWS}"
            raise FormatError(folder.file, expected=expected, got="no such file")
        if len(roots) != 1:
            expected, hint = "one folder with `key2row` and `vectors`", None
            got = ", ".join(repr(root or ".") for root in roots) or "none"
            if roots:
                hint = "Name one of them."
            raise FormatError(folder.file, expected=expected, got=got, hint=hint)
        self.folder, self.root = folder, roots[0]

    def has(self, name: str) -> bool:
        """Whether there is a file of this name."""
        return self.root + name in self.folder

    @contextmanager
    def open(self, name: str) -> Iterator[Cursor]:
        """Opens a file to read it in place."""
        with self.folder.open(self.root + name) as stream, open_source(stream) as source:
            yield Cursor(source, chunk=name)

    def settings(self) -> Settings:
        """What `vectors.cfg` says; the default if there is none."""
        if not self.has(SETTINGS):
            return Settings()
        with self.open(SETTINGS) as cursor:
            return Settings.read(cursor)

    def matrix(self, cursor: Cursor) -> Array:
        """The rows of `vectors`, still in the file."""
        array = read_npy(cursor.source, name=VECTORS)
        if len(array.shape) != 2 or not array.has_numbers:
            raise cursor.error("shape", "a matrix of numbers", str(array))
        if not all(array.shape):
            hint = "Small pipelines (`_sm`) have no vectors; take a medium or large one."
            raise cursor.error("shape", "rows of vectors", str(array), hint=hint)
        return array


def describe(stream: Stream) -> dict[str, Any]:
    """The settings, the number of keys, and the shape of the matrix."""
    files = VocabFolder(stream.expected_folder())
    settings = files.settings()
    with files.open(VECTORS) as cursor:
        array = files.matrix(cursor)
    rows, dims = array.shape
    facts: dict[str, Any] = {"vocabulary": "SimpleVocab", "words": 0}
    if settings.mode == "floret":
        facts["vocabulary"] = "FloretVocab"
        facts["ngram_lengths"] = f"{settings.minn} to {settings.maxn}"
        facts |= {"buckets": rows, "hashes": settings.hash_count}
    elif files.has(KEY_ROWS):
        with files.open(KEY_ROWS) as cursor:
            facts["words"] = read_length(cursor)
    else:
        with files.open(KEYS) as cursor:
            facts["words"] = read_npy(cursor.source, name=KEYS).shape[0]
    facts |= {"storage": "NdArray", "rows": rows, "dims": dims, "dtype": array.dtype.name}
    return facts if settings.attr == ORTH else {**facts, "metadata": ["spacy"]}
