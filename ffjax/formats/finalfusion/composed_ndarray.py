"""The chunk of a matrix whose words' rows are composed while it is written, and the chunk of norms behind it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from ffjax._internal.released_pages import release_pages
from ffjax.formats.finalfusion import ndarray
from ffjax.formats.io.binary import File, Output
from ffjax.storage import ComposedArray
from ffjax.storage.norms import Norms

_BLOCK_BYTES = 1 << 24


@dataclass(frozen=True)
class Composing:
    """A storage that is composed while it is written, and the lengths that its words' rows turn out to have.

    Attributes:
        storage: the storage.
        lengths: filled while the storage is written, float32 `[n_words]`.
    """

    storage: ComposedArray
    lengths: Float32[np.ndarray, " n_words"]

    @classmethod
    def of(cls, storage: ComposedArray) -> "Composing":
        """Composes nothing yet."""
        return cls(storage, np.empty(storage.n_words, np.float32))

    @property
    def norms(self) -> Norms:
        """The lengths, not looked at before the storage has been written."""
        return Norms.computed(len(self.lengths), self.lengths.__getitem__)


def size(chunk: Composing, position: int, *, file: File | None = None) -> int:
    """Bytes of the whole chunk if it begins at `position` in the file."""
    return ndarray.size_of(chunk.storage.shape, position)


def write(out: Output, chunk: Composing) -> None:
    """Writes the whole chunk."""
    ndarray.write_rows(out, chunk.storage.shape, _blocks(chunk))


def _blocks(chunk: Composing) -> Iterator[np.ndarray]:
    storage, n_words = chunk.storage, chunk.storage.n_words
    step = max(1, _BLOCK_BYTES // (4 * storage.shape[1]))
    for start in range(0, n_words, step):
        words = np.arange(start, min(start + step, n_words))
        rows, chunk.lengths[words] = storage.units(words)
        yield rows
        release_pages(storage)
    for start in range(n_words, len(storage), step):
        yield storage.embedding(slice(start, start + step))
        release_pages(storage)
