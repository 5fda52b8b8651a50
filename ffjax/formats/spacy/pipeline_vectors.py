"""Embeddings as the vectors of a spaCy pipeline: `[nlp.vectors] @vectors = "ffjax.Vectors.v1"`.

spaCy finds `create_vectors` by the entry point `spacy_vectors`. What it asks of vectors is more
than its class `BaseVectors` says; the methods here are those that spaCy 3.8 calls.
"""

import errno
import math
import os
from collections.abc import Callable
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np

from ffjax._internal.warn import warn_user
from ffjax.embeddings.batch_lookup import embed_words
from ffjax.embeddings.value import Embeddings
from ffjax.formats.load import demo, load
from ffjax.formats.snapshot.files import from_bytes, read_snapshot, to_bytes, write_snapshot
from ffjax.formats.spacy.layout import check_attr, symbols

_FILE = "vectors.ffjax"  # in the folder `vocab` of a pipeline
_CACHE_BYTES = 1 << 26


def create_vectors(
    path: str | None = None, mmap: bool = False, attr: str | None = None
) -> Callable[[Any], "PipelineVectors"]:
    """What spaCy calls for `[nlp.vectors]`; returns what makes the vectors of a vocabulary.

    Args:
        path: a file or folder of embeddings that `ffjax.load` reads, or `"demo"` for the built-in
            embeddings. It is read when a vector is first needed; a saved pipeline has its own
            copy and works without the file.
        mmap: as in `ffjax.load`.
        attr: the token attribute whose value is looked up, such as `"LOWER"`; by default that
            named in the metadata (tables from spaCy have one), or else the text.
    """
    if attr:  # spaCy takes an empty one for the default
        check_attr(attr)
    return lambda vocab: PipelineVectors(vocab.strings, path, mmap=mmap, attr=attr)


class PipelineVectors:
    """Vectors of a spaCy vocabulary that come out of `Embeddings`, those of unknown words too.

    Vectors have the lengths that they had in the file. Words that were asked for before are
    answered from a cache by their key.
    """

    mode = "ffjax"
    is_full = True
    n_keys = -1  # spaCy's number for tables without a list of keys

    def __init__(
        self, strings: Any, path: str | None = None, *, mmap: bool = False, attr: str | None = None
    ) -> None:
        self._stores: list[Any] = []
        self.strings, self.name = strings, None
        self._path, self._mmap, self._attr = path, mmap, attr
        self._embeddings: Embeddings | None = None
        self._ops: Any = None
        self._lock = RLock()  # threads share the cache
        self._forget()

    @property
    def embeddings(self) -> Embeddings:
        """The embeddings, which are read when first asked for."""
        if self._embeddings is None:
            if (path := self._path) is None:
                expected = "a file of embeddings in `[nlp.vectors]` of the config"
                raise ValueError(f"`path`: expected {expected}, or a saved pipeline, got None.")
            try:
                is_demo = path == "demo" and not os.path.exists(path)
                self._set(demo() if is_demo else load(path, mmap=self._mmap))
            except FileNotFoundError as error:
                message = "`path` of `[nlp.vectors]`: expected an existing file or folder, got"
                raise FileNotFoundError(errno.ENOENT, message, path) from error
        assert self._embeddings is not None
        return self._embeddings

    @property
    def strings(self) -> Any:
        """The strings of the vocabulary."""
        return self._stores[0]

    @strings.setter
    def strings(self, store: Any) -> None:
        # A vocabulary that is unpickled sets new strings here and then takes those of before.
        self._stores = [store, *(old for old in self._stores if old is not store)][:2]

    @property
    def _is_empty(self) -> bool:
        return self._embeddings is None and self._path is None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and dimensions; zeros if there is no file, of which other questions are errors."""
        if self._is_empty:
            return 0, 0
        try:
            return self.embeddings.storage.shape
        except (OSError, ImportError):
            return 0, 0  # a saved pipeline asks before it reads its own, and need not have the file

    @property
    def size(self) -> int:
        """How many numbers there are; an error if their file is missing."""
        return 0 if self._is_empty else math.prod(self.embeddings.storage.shape)

    @property
    def vectors_length(self) -> int:
        """The dimensions."""
        return self.shape[1]

    @property
    def data(self) -> Any:
        """An empty matrix, of which spaCy asks where its numbers lie."""
        return self._placed(np.zeros((0, self.shape[1]), np.float32))

    @property
    def attr(self) -> int:
        """The number of the token attribute whose value is looked up."""
        attr = self._attr
        if attr is None and self.size:
            attr = ((self.embeddings.metadata or {}).get("spacy") or {}).get("attr")
        return symbols().index(attr or "ORTH")

    def __repr__(self) -> str:
        content = self._path if self._embeddings is None else self._embeddings
        return f"PipelineVectors({content!r})"

    def __len__(self) -> int:
        return self.shape[0]

    def __eq__(self, other: object) -> bool:
        """Equal embeddings; spaCy compares vectors of pipelines that components come from."""
        if not isinstance(other, PipelineVectors):
            return NotImplemented
        return self.shape == other.shape and (not self.size or self.embeddings == other.embeddings)

    __hash__ = None  # type: ignore[assignment]

    def __contains__(self, key: Any) -> bool:
        """Whether a word has a vector, by itself or by its n-grams."""
        with self._lock:
            return bool(self._found[self._slot(key)])

    def __getitem__(self, key: Any) -> Any:
        """The vector of a word; do not change it."""
        with self._lock:
            slot = self._slot(key)
            if not self._found[slot]:
                raise KeyError(f"{self._word(key)!r} has no vector, and no n-grams that have one")
            return self._placed(self._rows[slot])

    def get_batch(self, keys: Any) -> Any:
        """The vectors of words, float32 `[n, dims]`, zeros for words without one."""
        keys = keys.tolist() if hasattr(keys, "tolist") else list(keys)
        with self._lock:
            slots = self._slots_of(keys)
            rows = self._rows.take(slots, axis=0)
        return self._placed(rows)

    def add(self, key: Any, *, vector: Any = None, row: int | None = None) -> int:
        """Does nothing but warn: embeddings do not change."""
        warn_user("vectors of ffjax do not change; `ffjax.add_words` makes new ones")
        return -1

    def resize(self, shape: Any, inplace: bool = False) -> list[Any]:
        """Does nothing; spaCy calls it before `add`."""
        return []

    def to_ops(self, ops: Any) -> None:
        """Says where vectors are wanted, such as on a GPU."""
        self._ops = ops

    def to_bytes(self, **_: Any) -> bytes:
        """The embeddings as a snapshot, empty if there are none."""
        return to_bytes(self.embeddings) if self.size else b""

    def from_bytes(self, data: bytes, **_: Any) -> "PipelineVectors":
        """Takes the embeddings of a snapshot."""
        if data:
            self._set(from_bytes(data))
        return self

    def to_disk(self, path: str | Path, **_: Any) -> None:
        """Writes a snapshot into the folder `vocab` of a pipeline."""
        if self.size:
            write_snapshot(Path(path) / _FILE, self.embeddings)

    def from_disk(self, path: str | Path, **_: Any) -> "PipelineVectors":
        """Reads the snapshot in the folder `vocab` of a pipeline."""
        file = Path(path) / _FILE
        if file.exists():
            self._set(read_snapshot(file))
        return self

    def __getstate__(self) -> dict[str, Any]:
        """All but the cache and its lock, for processes of `nlp.pipe`."""
        state = self.__dict__.copy()
        for name in ("_slots", "_rows", "_found", "_lock"):
            del state[name]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = RLock()
        self._forget()

    def _set(self, embeddings: Embeddings) -> None:
        with self._lock:
            self._embeddings = embeddings
            self._forget()

    def _forget(self, capacity: int = 0) -> None:
        """Starts a new cache; vectors that were returned belong to the old one."""
        dims = 0 if self._embeddings is None else self.shape[1]
        capacity = max(capacity, _CACHE_BYTES // (4 * dims) if dims else 0)
        self._slots: dict[int | str, int] = {}
        self._rows = np.empty((capacity, dims), np.float32)
        self._found = np.zeros(capacity, bool)

    def _slot(self, key: Any) -> int:
        slot = self._slots.get(key)
        return self._slots_of([key])[0] if slot is None else slot

    def _slots_of(self, keys: list[int | str]) -> list[int]:
        """Where the cache has the vectors of words; those that are missing are looked up."""
        get = self._slots.get
        slots = [get(key, -1) for key in keys]
        if -1 not in slots:
            return slots
        embeddings = self.embeddings  # which may have to be read first
        missing = list(dict.fromkeys(key for key in keys if key not in self._slots))
        if len(self._slots) + len(missing) > len(self._rows):
            missing = list(dict.fromkeys(keys))
            self._forget(len(missing))
        block = slice(len(self._slots), len(self._slots) + len(missing))
        words = list(map(self._word, missing))
        self._rows[block], self._found[block] = embed_words(embeddings, words, unnormalize=True)
        self._slots.update(zip(missing, range(block.start, block.stop), strict=True))
        return [self._slots[key] for key in keys]

    def _word(self, key: Any) -> str:
        store = next((store for store in self._stores if key in store), self.strings)
        return store.as_string(key)

    def _placed(self, array: np.ndarray) -> Any:
        return array if self._ops is None else self._ops.asarray(array)
