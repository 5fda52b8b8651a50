"""Writing embeddings in any format."""

import os
from collections.abc import Mapping
from typing import Any

from ffjax._internal.atomic_write import folder_parent, output_folder
from ffjax.embeddings.static_model import StaticModel
from ffjax.embeddings.value import Embeddings
from ffjax.formats.io.binary import File
from ffjax.formats.registry import FORMATS, by_ending, check_format, imported, options_of
from ffjax.formats.rows.export import losses
from ffjax.formats.text.write import check_separator
from ffjax.transforms.words import unshare_rows as unshare
from ffjax.vocab import FastTextVocab

_COMPRESSED = {".gz", ".bz2", ".xz", ".zst", ".zip", ".tgz"}


def save(
    embeddings: Embeddings,
    path: File,
    *,
    format: str | None = None,
    unshare_rows: bool = False,
    **options: Any,
) -> None:
    """Writes embeddings in any format; the old file stays complete until the new one is.

    A snapshot (`"msgpack"`) keeps any embeddings exactly, a finalfusion file everything but
    training data, and tables (npz, safetensors, Parquet, Arrow) words, plain vectors, norms and
    metadata. If the format cannot hold something, you get an error naming the option that permits
    dropping it.

    Args:
        embeddings: what to write.
        path: a path, or a descriptor, which is closed afterwards as `open` does.
        format: `"finalfusion"`, `"fasttext"`, `"word2vec"`, `"text"`, `"textdims"` (text with a
            first line `rows dims`), `"floret"`, `"msgpack"` (a snapshot), `"npy"` (and a file of
            words beside it), `"npz"`, `"safetensors"`, `"parquet"`, `"arrow"`, `"arrow-stream"` or
            `"spacy"` or `"model2vec"` (folders, see `write_spacy` and `write_model2vec`). Without
            it the name decides: `.fifu`, `.w2v`, `.txt`, `.vec` or `.dims` (text with dimensions),
            `.floret`, `.msgpack`, `.npy`, `.npz`, `.safetensors`, `.parquet`, `.arrow`, `.feather`
            (as `.arrow`) or `.arrows` (a stream); and `.bin`, which is fastText if the vocabulary
            is a `FastTextVocab`.
        unshare_rows: whether rows that several words share (see `prune`) are written once for each
            of them. Only snapshots and spaCy's folders hold one row for several words.
        **options: those of the format's own writer, for example `drop_subwords=True` of
            `write_text`.

    Raises:
        TypeError: if the format's writer has no such option, or cannot write such a vocabulary.
        ValueError: if `format` is another, or missing where the name does not tell it; or if the
            embeddings have what the format cannot hold, such as words that share rows without
            `unshare_rows`.
        OSError: if the file cannot be written.

    Examples:
        >>> import ffjax, tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "vectors.vec"
        >>> few = ffjax.select_words(ffjax.demo(), ["tea", "coffee", "bread"])
        >>> ffjax.save(few, path, drop_subwords=True, drop_metadata=True, reconstruct=True)
        >>> ffjax.load(path, limit=2).vocab.words
        ['tea', 'coffee']
    """
    if not isinstance(embeddings, Embeddings):
        hint = ""
        if isinstance(embeddings, StaticModel):
            hint = (
                " `ffjax.write_static_model(path, model)` writes the model, and "
                "`model.embeddings` has its tokens as words."
            )
        got = type(embeddings).__name__
        raise TypeError(f"`embeddings`: expected Embeddings, got {got}.{hint}")
    format = format_for(embeddings, path, format)
    write_as(format, path, _unshared(embeddings, format, unshare_rows), options)


def save_what_fits(
    embeddings: Embeddings,
    path: File,
    format: str | None,
    *,
    unshare_rows: bool = False,
    **options: Any,
) -> tuple[str, ...]:
    """As `save`, but drops what the format cannot hold; returns the names of what it dropped."""
    format = format_for(embeddings, path, format)
    entry = FORMATS[format]
    embeddings = _unshared(embeddings, format, unshare_rows or not entry.shares_rows)
    droppable = set(options_of(entry.write, 2))
    if entry.keeps:
        droppable -= imported(entry.keeps)(embeddings)
    lost = {option: loss for option, loss in losses(embeddings).items() if option in droppable}
    write_as(format, path, embeddings, {**dict.fromkeys(lost, True), **options})
    return tuple(loss for option, loss in lost.items() if option != "reconstruct")


def write_as(format: str, path: File, embeddings: Embeddings, options: Mapping[str, Any]) -> None:
    """Writes embeddings in a format, with the options of its own writer."""
    check_options(format, options)
    imported(FORMATS[format].write)(path, embeddings, **options)


def format_for(
    embeddings: Embeddings, path: File, format: str | None, name: str = "format"
) -> str:
    """The format in which to write embeddings: `.bin` may be fastText's."""
    is_fasttext = isinstance(embeddings.vocab, FastTextVocab)
    return format_of(path, format, fasttext=is_fasttext, name=name)


def format_of(
    path: File, format: str | None, *, fasttext: bool = False, name: str = "format"
) -> str:
    """The format to write: `format`, which errors call `name`, or the one of the path."""
    check_format(name, format)
    if format is not None and not FORMATS[format].write:
        hint = FORMATS[format].instead
        raise ValueError(f"`{name}`: expected a format that is written, got {format!r}. {hint}")
    if format is not None:
        return format
    if isinstance(path, int):
        names = ", ".join(repr(x.name) for x in FORMATS.values() if x.write and not x.files)
        raise ValueError(f"`{name}`: expected one of {names} for a descriptor, got None.")
    path = os.fsdecode(path)
    ending = os.path.splitext(path)[1].lower()
    formats = by_ending() | ({".bin": "fasttext"} if fasttext else {})
    if ending in formats:
        return formats[ending]
    hint = f"Say which format with `{name}=`."
    if ending in _COMPRESSED:
        hint = "Files are written as they are; compress it afterwards."
    elif ending == ".bin":
        hint = f"`.bin` may be word2vec or fastText. Say which with `{name}=`."
    elif ending == ".ftz":
        hint = f"Say `{name}='fasttext'` for a fastText model."
    endings = ", ".join(f"{ending} ({format})" for ending, format in formats.items())
    file = "target" if name == "to_format" else "path"  # the argument of `convert` or of `save`
    raise ValueError(
        f"`{file}`: expected a name whose ending tells the format, got {path!r}. {hint} "
        f"Endings are {endings}."
    )


def target_folder(path: File, format: str | None, name: str = "path") -> bytes | None:
    """The folder in which a file or a folder will be made, `None` for what exists and stays."""
    if format is not None and FORMATS[format].files:
        return folder_parent(path, imported(FORMATS[format].files), name)
    return output_folder(path, name)


def check_options(format: str, options: Mapping[str, Any]) -> None:
    """Checks the options of a format's writer, before there is anything to write."""
    available = options_of(FORMATS[format].write, 2)
    for option in options.keys() - available:
        names = ", ".join(f"`{name}`" for name in sorted(available)) or "none"
        raise TypeError(f"`{option}`: expected an option of {format} files ({names}).")
    if "sep" in options:
        check_separator(options["sep"])


def promised_format(name: str) -> str | None:
    """The format that a file's name promises, for people to read; `None` if it promises none."""
    ending = os.path.splitext(name)[1].lower()
    if ending == ".bin":
        return "fastText or word2vec"
    return "compressed" if ending in _COMPRESSED else by_ending().get(ending)


def _unshared(embeddings: Embeddings, format: str, unshare_rows: bool) -> Embeddings:
    """Embeddings whose words share no rows, unless the format holds those."""
    vocab = embeddings.vocab
    if unshare_rows:
        return embeddings if FORMATS[format].repeats_rows else unshare(embeddings)
    if not FORMATS[format].shares_rows and vocab.shared_rows is not None:
        raise ValueError(
            f"`embeddings`: expected a row for each word, which is all that {format} files hold, "
            f"got {len(vocab)} words that share {vocab.n_word_rows} rows. "
            "Write each row for every word that has it with `unshare_rows=True`."
        )
    return embeddings
