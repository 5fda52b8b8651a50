"""Which files a vocabulary of spaCy has, and what its settings are; without JAX."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from ffjax.errors import FormatError
from ffjax.formats.io.binary import Cursor
from ffjax.formats.io.folders import Folder
from ffjax.formats.io.streams import open_source
from ffjax.formats.spacy.symbols import symbols
from ffjax.formats.tables.npy import Array, read_npy

VECTORS, KEY_ROWS, KEYS = "vectors", "key2row", "keys"
STRINGS, SETTINGS, META = "strings.json", "vectors.cfg", "meta.json"
ORTH = 65
_MODES = ("default", "floret")
_MOST_SETTINGS_BYTES = 1 << 16


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

    @property
    def attr_name(self) -> str:
        """The name of the attribute."""
        return symbols()[self.attr]


def is_folder(names: list[str]) -> bool:
    """Whether a folder with files of these names has vectors of spaCy, or has lost them."""
    return bool(_roots(names) or _key_rows(names))


def _key_rows(names: list[str]) -> list[str]:
    """The tables of keys, by a name that no other program uses."""
    return [name for name in names if name.split("/")[-1] == KEY_ROWS]


def _roots(names: list[str]) -> list[str]:
    """The paths, "" or ending with a slash, of folders with a table of keys and a matrix."""
    paths = set(names)
    roots = {name.removesuffix(KEY_ROWS) for name in _key_rows(names)}
    roots |= {n.removesuffix(KEYS) for n in names if n.split("/")[-1] == KEYS}
    return sorted(root for root in roots if root + VECTORS in paths)


class VocabFolder:
    """An open `vocab` folder of spaCy."""

    def __init__(self, folder: Folder) -> None:
        roots = _roots(folder.names)
        if not roots and (tables := _key_rows(folder.names)):
            expected = f"{VECTORS} beside {tables[0]}"
            raise FormatError(folder.file, expected=expected, got="no such file")
        if len(roots) != 1:
            got = ", ".join(repr(root or ".") for root in roots) or "none"
            hint = "Name one of them." if roots else None
            raise FormatError(
                folder.file, expected="one folder with `key2row` and `vectors`", got=got, hint=hint
            )
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
