"""What the writers of words and plain numbers share: what a value has beyond those, and its rows in blocks."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ffjax._internal.released_pages import release_pages
from ffjax.embeddings.value import Embeddings
from ffjax.storage import ComposedArray, Int8Array, QuantizedArray, Storage
from ffjax.strings.string_table import StringTable
from ffjax.vocab import FloretVocab, SubwordVocab

_BLOCK_BYTES = 1 << 22
_LF = 10


def check_plain(embeddings: Any, what: str, **allowed: bool) -> Embeddings:
    """Refuses to lose in silence what a file of words and numbers cannot hold.

    Args:
        embeddings: what is to be written.
        what: what the file is called, for example `"word2vec files"`.
        **allowed: the options `drop_subwords`, `drop_metadata`, `drop_training` and `reconstruct`, each of which says
            that something may be left out. One that is not given is not asked for.

    Raises:
        TypeError: it is no `Embeddings`.
        ValueError: it has something that is not to be left out, or no words where a file is nothing but words.
    """
    if not isinstance(embeddings, Embeddings):
        raise TypeError(f"`embeddings`: expected Embeddings, got {type(embeddings).__name__}.")
    if "drop_subwords" in allowed and isinstance(embeddings.vocab, FloretVocab):
        raise ValueError(f"`embeddings`: expected words to write into {what}, got a floret table, which has none.")
    check_has_dims(embeddings, what)
    lost = {option: what for option, what in losses(embeddings).items() if not allowed.get(option, True)}
    if lost:
        options = ", ".join(f"`{option}=True`" for option in lost)
        raise ValueError(
            f"`embeddings`: expected words and plain vectors, which is all that {what} hold, got "
            f"{' and '.join(lost.values())} too. Allow what is to be lost with {options}."
        )
    return embeddings


def check_has_dims(embeddings: Embeddings, what: str) -> None:
    """Refuses vectors without any numbers, which the formats' readers, here and elsewhere, take for a mistake.

    Raises:
        ValueError: so it is.
    """
    if embeddings.dims < 1:
        raise ValueError(
            f"`embeddings`: expected vectors of 1 dimension or more, which is what {what} hold, got 0. "
            "finalfusion files and snapshots can hold them."
        )


def losses(embeddings: Embeddings) -> dict[str, str]:
    """What embeddings have beyond words and plain vectors, by the option that allows to leave it out."""
    has = {
        "drop_subwords": ("n-grams", isinstance(embeddings.vocab, SubwordVocab)),
        "drop_metadata": ("metadata", embeddings.metadata is not None),
        "drop_training": ("what training left (counts, labels, output matrix)", embeddings.training is not None),
        "reconstruct": ("quantized vectors", _is_quantized(embeddings.storage)),
    }
    return {option: what for option, (what, some) in has.items() if some}


def _is_quantized(storage: Storage) -> bool:
    if isinstance(storage, ComposedArray):
        return _is_quantized(storage.own)
    return isinstance(storage, QuantizedArray | Int8Array)


def check_line_feeds(table: StringTable, what: str) -> None:
    """Refuses words with a line feed.

    Raises:
        ValueError: there is one.
    """
    word = first_word_with(table, _LF)
    if word is not None:
        raise ValueError(
            f"`embeddings`: expected words without line feeds, since {what} can't hold them, got {word!r}."
        )


def first_word_with(table: StringTable, byte: int) -> str | None:
    """The first word that holds a byte, or `None`."""
    words = words_with(table, byte)
    return table[int(words[0])] if len(words) else None


def words_with(table: StringTable, *bytes_: int) -> np.ndarray:
    """The numbers of the words that hold one of some bytes, in order."""
    offsets = table.host_offsets
    data = table.host_data[: offsets[-1]]
    hits = np.flatnonzero(np.isin(data, np.array(bytes_, np.uint8)))
    return np.unique(np.searchsorted(offsets, hits, side="right") - 1)


def word_blocks(embeddings: Embeddings, unnormalize: bool) -> Iterator[tuple[list[bytes], np.ndarray]]:
    """The words and their vectors, float32 `[n, dims]`, in blocks; times their norms if those are to be undone."""
    storage, table = embeddings.storage, embeddings.vocab.table
    shared = None if embeddings.vocab.shared_rows is None else embeddings.vocab.host_rows
    composed = storage if isinstance(storage, ComposedArray) and embeddings.own_norms is None else None
    if composed is not None and composed.n_words != embeddings.vocab.n_word_rows:
        composed = None
    norms = None if composed or embeddings.norms is None or not unnormalize else np.asarray(embeddings.norms)
    data, offsets = table.host_data, table.host_offsets
    step = max(1, _BLOCK_BYTES // max(4 * embeddings.dims, 1))
    for start in range(0, len(table), step):
        stop = min(start + step, len(table))
        ids = slice(start, stop) if shared is None else shared[start:stop]
        if composed:  # whose lengths come with the rows
            rows, lengths = composed.units(np.arange(start, stop) if shared is None else shared[start:stop])
        else:
            rows, lengths = storage.embedding(ids).astype(np.float32, copy=False), None if norms is None else norms[ids]
        if lengths is not None and unnormalize:
            rows = rows * lengths[:, None]
        release_pages(storage)
        raw = data[offsets[start] : offsets[stop]].tobytes()
        bounds = (offsets[start : stop + 1] - offsets[start]).tolist()
        yield [raw[a:b] for a, b in zip(bounds[:-1], bounds[1:], strict=True)], rows
