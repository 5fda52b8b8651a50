"""What the writers of words and plain numbers share: options, checks, and words with their rows."""

from collections.abc import Iterator, Mapping
from typing import Any, TypedDict

import numpy as np

from ffjax._internal.arrays import release_pages
from ffjax.embeddings.value import Embeddings
from ffjax.kernels.unit_length import original_rows
from ffjax.storage import Int8Array, QuantizedArray
from ffjax.strings.string_table import StringTable

_BLOCK_BYTES = 1 << 20  # what fits the cache


class TableOptions(TypedDict, total=False):
    """What the writer of a table of rows may leave out; without an option it is an error."""

    drop_metadata: bool
    drop_training: bool  # counts, labels and the output matrix
    reconstruct: bool  # write quantized vectors as the plain ones that they stand for


class ExportOptions(TableOptions, total=False):
    """What a writer of words and vectors may leave out; without an option it is an error."""

    drop_subwords: bool  # n-grams; the words' own vectors are written in any case


class ColumnOptions(TypedDict, total=False):
    """What a writer of words, vectors, norms and metadata may leave out."""

    norms: bool  # true by default
    drop_subwords: bool
    drop_training: bool
    reconstruct: bool


def check_utf8(words: StringTable) -> None:
    """Checks that words are UTF-8, which the format demands."""
    if (invalid := words.first_invalid()) is not None:
        raw = words.raw(invalid.index)
        raise ValueError(f"`embeddings`: expected words in UTF-8, got {raw!r}.")


def check_embeddings(embeddings: Any) -> Embeddings:
    """Checks that an argument is embeddings."""
    if not isinstance(embeddings, Embeddings):
        raise TypeError(f"`embeddings`: expected Embeddings, got {type(embeddings).__name__}.")
    return embeddings


def check_plain(
    embeddings: Any, what: str, options: Mapping[str, Any], kind: Any = ExportOptions
) -> Embeddings:
    """Checks that `what` can hold everything that options, of the class `kind`, don't drop."""
    check_embeddings(embeddings)
    droppable = kind.__optional_keys__
    for option in options.keys() - droppable:
        names = ", ".join(f"`{name}`" for name in sorted(droppable))
        raise TypeError(f"`{option}`: {what} have no such option, only {names}.")
    if "drop_subwords" in droppable and not embeddings.vocab.has_words:
        reason = "got a floret table, which has none"
        raise ValueError(f"`embeddings`: expected words to write into {what}, {reason}.")
    check_has_dims(embeddings, what)
    dropped = {option for option in droppable if options.get(option)}
    lost = {o: loss for o, loss in losses(embeddings).items() if o in droppable - dropped}
    if lost:
        remedy = ", ".join(f"`{option}=True`" for option in lost)
        *first, last = lost.values()
        got = f"{', '.join(first)} and {last}" if first else last
        raise ValueError(
            f"`embeddings`: expected words and plain vectors, which is all that {what} hold, got "
            f"{got} too. Allow what is to be lost with {remedy}."
        )
    return embeddings


def check_has_dims(embeddings: Embeddings, what: str) -> None:
    """Checks that vectors have numbers: the formats' readers, ours and others', expect some."""
    if embeddings.dims < 1:
        raise ValueError(
            f"`embeddings`: expected vectors of at least 1 dimension, which is what {what} hold, "
            "got 0. finalfusion files and snapshots can hold them."
        )


def losses(embeddings: Embeddings) -> dict[str, str]:
    """What embeddings have besides words and plain vectors, by the option that drops it."""
    lost = {}
    if embeddings.vocab.upper_bound > embeddings.vocab.n_word_rows:
        lost["drop_subwords"] = "n-grams"
    if embeddings.metadata is not None:
        lost["drop_metadata"] = "metadata"
    if embeddings.training is not None:
        lost["drop_training"] = "training data (counts, labels, output matrix)"
    # Composed storages have the rows of words apart.
    rows = getattr(embeddings.storage, "word_rows", embeddings.storage)
    if isinstance(rows, QuantizedArray | Int8Array):
        lost["reconstruct"] = "quantized vectors"
    return lost


def check_without(character: str, table: StringTable, what: str, hint: str = "") -> None:
    """Checks that no word holds a line feed, or a space."""
    ids = words_with(table, ord(character))
    if len(ids):
        kind, word = "spaces" if character == " " else "line feeds", table[int(ids[0])]
        expected = f"expected words without {kind}, since {what} can't hold them"
        raise ValueError(f"`embeddings`: {expected}, got {word!r}.{hint}")


def words_with(table: StringTable, *values: int) -> np.ndarray:
    """The numbers of the words that hold one of some bytes, in order."""
    offsets = table.host_offsets
    data = table.host_data[: offsets[-1]]
    hits = np.flatnonzero(np.isin(data, np.array(values, np.uint8)))
    return np.unique(np.searchsorted(offsets, hits, side="right") - 1)


def word_blocks(
    embeddings: Embeddings, unnormalize: bool
) -> Iterator[tuple[list[bytes], np.ndarray]]:
    """The words and their vectors, float32 `[n, dims]`, in blocks; times their norms on demand."""
    for block, rows, _ in row_blocks(embeddings, unnormalize):
        yield raw_words(embeddings.vocab.table, block), rows


def row_blocks(
    embeddings: Embeddings,
    unnormalize: bool,
    *,
    by_row: bool = False,
    n_bytes: int = _BLOCK_BYTES,
) -> Iterator[tuple[slice, np.ndarray, np.ndarray | None]]:
    """Which words a block has, their vectors as in `word_blocks`, and their norms if any.

    With `by_row` blocks are of rows: one that words share comes once.
    """
    storage, vocab, norms = embeddings.storage, embeddings.vocab, embeddings.norms
    row_ids = None if by_row or vocab.shared_rows is None else vocab.host_rows
    n = vocab.n_word_rows if row_ids is None else len(vocab)
    composed: Any = storage if norms is not None and norms.on_demand else None
    if composed is None and norms is not None:
        norms = np.asarray(norms)
    step = max(1, n_bytes // max(4 * embeddings.dims, 1))
    for start in range(0, n, step):
        stop = min(start + step, n)
        ids = slice(start, stop) if row_ids is None else row_ids[start:stop]
        if composed is not None:  # rows and norms with one composition
            words = np.arange(start, stop) if isinstance(ids, slice) else ids
            rows, scale = composed.units(words)
        else:
            rows = storage.view_rows(ids).astype(np.float32, copy=False)
            scale = None if norms is None else norms[ids]
        if unnormalize and scale is not None:
            rows = original_rows(rows, scale)
        yield slice(start, stop), rows, scale
        release_pages(storage)


def raw_words(table: StringTable, block: slice) -> list[bytes]:
    """The bytes of the words from `block.start` up to `block.stop`."""
    offsets = table.host_offsets[block.start : block.stop + 1]
    data = table.host_data[offsets[0] : offsets[-1]].tobytes()
    bounds = (offsets - offsets[0]).tolist()
    return [data[a:b] for a, b in zip(bounds[:-1], bounds[1:], strict=True)]
