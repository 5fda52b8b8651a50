"""Writing embeddings in any format."""

import os
from collections.abc import Callable
from typing import Any

from ffjax.embeddings.value import Embeddings
from ffjax.formats.detect import FORMATS
from ffjax.formats.fasttext import write_fasttext
from ffjax.formats.fasttext.layout import lost_settings
from ffjax.formats.finalfusion import write_finalfusion
from ffjax.formats.floret import write_floret
from ffjax.formats.io.binary import File
from ffjax.formats.rows.export import ExportOptions, TableOptions, losses
from ffjax.formats.snapshot import write_snapshot
from ffjax.formats.text.write import write_text, write_text_dims
from ffjax.formats.word2vec import write_word2vec
from ffjax.transforms.shared_rows import unshare_rows as repeated
from ffjax.vocab import FastTextVocab

_WRITERS: dict[str, Callable[..., None]] = {
    "finalfusion": write_finalfusion,
    "fasttext": write_fasttext,
    "word2vec": write_word2vec,
    "text": write_text,
    "textdims": write_text_dims,
    "floret": write_floret,
    "msgpack": write_snapshot,
}
# What each writer has an option to drop.
_DROPPABLE: dict[str, frozenset[str]] = {
    "finalfusion": frozenset({"drop_training"}),
    "fasttext": frozenset({"drop_metadata"}),
    "word2vec": ExportOptions.__optional_keys__,
    "text": ExportOptions.__optional_keys__,
    "textdims": ExportOptions.__optional_keys__,
    "floret": TableOptions.__optional_keys__,
    "msgpack": frozenset(),
}
_ENDINGS = {
    ".fifu": "finalfusion",
    ".w2v": "word2vec",
    ".txt": "text",
    ".vec": "textdims",
    ".dims": "textdims",
    ".floret": "floret",
    ".msgpack": "msgpack",
}
_COMPRESSED = {".gz", ".bz2", ".xz", ".zst", ".zip", ".tgz"}


def save(
    embeddings: Embeddings, path: File, *, format: str | None = None, unshare_rows: bool = False, **options: Any
) -> None:
    """Writes embeddings in any format; the old file stays whole until the new one is complete.

    A snapshot (`"msgpack"`) keeps any embeddings exactly, and a finalfusion file all parts. What another format cannot
    hold is an error that says so, and names the option with which it is left out.

    Args:
        embeddings: what to write.
        path: a path, or a descriptor, which is closed afterwards as `open` does.
        format: `"finalfusion"`, `"fasttext"`, `"word2vec"`, `"text"`, `"textdims"` (text with a first line `rows dims`)
            `"floret"` or `"msgpack"` (a snapshot). Without it the name decides: `.fifu`, `.w2v`, `.txt`, `.vec` or
            `.dims` (text with dimensions), `.floret` or `.msgpack`, and `.bin` if the vocabulary is a `FastTextVocab`,
            which is fastText then.
        unshare_rows: whether rows that several words share (see `prune`) are written once for each of them, since no
            format but snapshots holds one row for several words.
        **options: those of the format's own writer, for example `drop_subwords=True` of `write_text`.

    Raises:
        TypeError: the format's writer has no such option, or cannot write such a vocabulary.
        ValueError: `format` is none of those, or missing where the name does not say it; or the embeddings have what
            the format cannot hold, such as words that share rows without `unshare_rows`.
        OSError: the file cannot be written.

    Examples:
        >>> import ffjax, tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "vectors.vec"
        >>> few = ffjax.select_words(ffjax.demo(), ["tea", "coffee", "bread"])
        >>> ffjax.save(few, path, drop_subwords=True, drop_metadata=True, reconstruct=True)
        >>> ffjax.load(path, limit=2).vocab.words
        ['tea', 'coffee']
    """
    if not isinstance(embeddings, Embeddings):
        raise TypeError(f"`embeddings`: expected Embeddings, got {type(embeddings).__name__}.")
    chosen, write = writer(path, format, fasttext=isinstance(embeddings.vocab, FastTextVocab))
    write(path, _with_own_rows(embeddings, chosen, unshare_rows), **options)


def save_what_fits(
    embeddings: Embeddings,
    path: File,
    format: str | None,
    *,
    name: str = "format",
    unshare_rows: bool = False,
    **options: Any,
) -> tuple[str, ...]:
    """As `save`, and leaves out what the format has no place for; quantized vectors become plain ones.

    Args:
        embeddings: as in `save`.
        path: as in `save`.
        format: as in `save`.
        name: what messages call `format`.
        unshare_rows: whether to repeat rows that words share where the format could hold those; where it cannot, they
            are repeated in any case.
        **options: as in `save`; they count where they say something else.

    Returns:
        The names of what has been left out.

    Raises:
        TypeError: as `save`.
        ValueError: as `save`.
        OSError: as `save`.
    """
    chosen, write = writer(path, format, fasttext=isinstance(embeddings.vocab, FastTextVocab), name=name)
    embeddings = _with_own_rows(embeddings, chosen, unshare_rows or chosen != "msgpack")
    lost = {option: what for option, what in losses(embeddings).items() if option in _DROPPABLE[chosen]}
    if write is write_fasttext and not lost_settings(embeddings.metadata):
        lost.pop("drop_metadata", None)
    options = {**dict.fromkeys(lost, True), **options}
    write(path, embeddings, **options)
    return tuple(what for option, what in lost.items() if option != "reconstruct")


def _with_own_rows(embeddings: Embeddings, chosen: str, unshare_rows: bool) -> Embeddings:
    """Embeddings whose words share no rows, unless the format holds those."""
    if chosen == "msgpack" and not unshare_rows:
        return embeddings
    if embeddings.vocab.shared_rows is not None and not unshare_rows:
        raise ValueError(
            f"`embeddings`: expected a row for each word, which is all that {chosen} files hold, got "
            f"{len(embeddings.vocab)} words that share {embeddings.vocab.n_word_rows} rows. "
            "Write each row for every word that has it with `unshare_rows=True`."
        )
    return repeated(embeddings)


def writer(
    path: File, format: str | None, *, fasttext: bool = False, name: str = "format"
) -> tuple[str, Callable[..., None]]:
    """The format in which `save` writes under a name, and what writes it.

    Args:
        path: a path, or a descriptor.
        format: the format, `None` to take it from the name.
        fasttext: whether the vocabulary is a `FastTextVocab`.
        name: what messages call `format`.

    Raises:
        ValueError: `format` is none, or the name does not say it.
    """
    chosen = _by_name(path, fasttext, name) if format is None else format
    if not isinstance(chosen, str) or chosen not in _WRITERS:
        raise ValueError(f"`{name}`: expected one of {', '.join(map(repr, FORMATS))}, or None, got {format!r}.")
    return chosen, _WRITERS[chosen]


def promised_by(name: str) -> str | None:
    """What a name says that a file is, for people; `None` if it says nothing.

    Examples:
        >>> promised_by("words.vec"), promised_by("words.txt.gz"), promised_by("words")
        ('textdims', 'compressed', None)
    """
    ending = os.path.splitext(name)[1].lower()
    others = {".bin": "fastText or word2vec", **dict.fromkeys(_COMPRESSED, "compressed")}
    return _ENDINGS.get(ending) or others.get(ending)


def _by_name(path: File, fasttext: bool, argument: str) -> str:
    if isinstance(path, int):
        raise ValueError(f"`{argument}`: expected one of {', '.join(map(repr, FORMATS))} for a descriptor, got None.")
    name = os.fsdecode(path)
    ending = os.path.splitext(name)[1].lower()
    if ending == ".bin" and fasttext:
        return "fasttext"
    if ending in _ENDINGS:
        return _ENDINGS[ending]
    known = ", ".join(f"{ending} ({format})" for ending, format in _ENDINGS.items())
    if ending in _COMPRESSED:
        hint = "Files are written as they are; compress it afterwards."
    elif ending == ".bin":
        hint = f"`.bin` may be word2vec or fastText. Say which with `{argument}=`."
    else:
        hint = f"Say which format with `{argument}=`."
    raise ValueError(f"`path`: expected a name that ends with {known}, got {name!r}. {hint}")
