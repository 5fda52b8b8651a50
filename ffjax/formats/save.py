"""Writing embeddings in any format."""

import os
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

from ffjax._internal.atomic_write import folder_parent, output_folder
from ffjax.embeddings.static_model import StaticModel
from ffjax.embeddings.value import Embeddings
from ffjax.formats.detect import FORMATS, READ_ONLY_FORMATS, check_format
from ffjax.formats.fasttext.layout import lost_settings
from ffjax.formats.fasttext.writer import write_fasttext
from ffjax.formats.finalfusion.writer import write_finalfusion
from ffjax.formats.floret import write_floret
from ffjax.formats.io.binary import File
from ffjax.formats.model2vec.writer import FILES as MODEL2VEC_FILES
from ffjax.formats.model2vec.writer import write_model2vec
from ffjax.formats.rows.export import ColumnOptions, ExportOptions, TableOptions, losses
from ffjax.formats.snapshot.files import write_snapshot
from ffjax.formats.spacy.writer import FILES as SPACY_FILES
from ffjax.formats.spacy.writer import other_metadata, write_spacy
from ffjax.formats.tables import write as tables
from ffjax.formats.text.write import check_separator, write_text, write_text_dims
from ffjax.formats.word2vec import write_word2vec
from ffjax.transforms.select import unshare_rows as unshare
from ffjax.vocab import FastTextVocab


class _Format(NamedTuple):
    """What writes a format, the options that drop something, and all other options."""

    write: Callable[..., None]
    drop: AbstractSet[str] = frozenset()
    other: AbstractSet[str] = frozenset()


_COLUMNS = ColumnOptions.__optional_keys__
_EXPORT, _TABLE = ExportOptions.__optional_keys__, TableOptions.__optional_keys__
_WRITERS: dict[str, _Format] = {
    "finalfusion": _Format(write_finalfusion, {"drop_training"}),
    "fasttext": _Format(write_fasttext, {"drop_metadata"}),
    "word2vec": _Format(write_word2vec, _EXPORT, {"unnormalize"}),
    "text": _Format(write_text, _EXPORT, {"sep", "unnormalize"}),
    "textdims": _Format(write_text_dims, _EXPORT, {"sep", "unnormalize"}),
    "floret": _Format(write_floret, _TABLE),
    "msgpack": _Format(write_snapshot),
    "npy": _Format(tables.write_npy, _EXPORT, {"unnormalize", "words"}),
    "npz": _Format(tables.write_npz, _COLUMNS, {"unnormalize"}),
    "safetensors": _Format(tables.write_safetensors, _COLUMNS, {"unnormalize"}),
    "parquet": _Format(tables.write_parquet, _COLUMNS, {"unnormalize"}),
    "arrow": _Format(tables.write_arrow, _COLUMNS, {"unnormalize"}),
    "arrow-stream": _Format(tables.write_arrow_stream, _COLUMNS, {"unnormalize"}),
    "spacy": _Format(write_spacy, _EXPORT, {"lang", "name", "attr"}),
    "model2vec": _Format(write_model2vec, _EXPORT, {"unnormalize", "lowercase"}),
}
_FOLDERS = {"spacy": SPACY_FILES, "model2vec": MODEL2VEC_FILES}  # and the files in them
_SHARING = {"msgpack", "spacy"}  # which hold one row for several words
_REPEATING = {"word2vec", "text", "textdims"}  # whose writers go through words
# By format: the names in metadata that get lost, where there is room for some.
_LOST_METADATA = {"fasttext": lost_settings, "spacy": other_metadata}
_ENDINGS = {
    ".fifu": "finalfusion",
    ".w2v": "word2vec",
    ".txt": "text",
    ".vec": "textdims",
    ".dims": "textdims",
    ".floret": "floret",
    ".msgpack": "msgpack",
    **{f".{format}": format for format in ("npy", "npz", "safetensors", "parquet", "arrow")},
    ".feather": "arrow",
    ".arrows": "arrow-stream",
}
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
    name: str = "format",
    unshare_rows: bool = False,
    **options: Any,
) -> tuple[str, ...]:
    """As `save`, but drops what the format cannot hold; returns the names of what it dropped."""
    format = format_for(embeddings, path, format, name)
    embeddings = _unshared(embeddings, format, unshare_rows or format not in _SHARING)
    drop = _WRITERS[format].drop
    lost = {option: loss for option, loss in losses(embeddings).items() if option in drop}
    if format == "spacy" and not embeddings.vocab.has_words:
        lost.pop("drop_subwords", None)  # which floret mode holds
    if format in _LOST_METADATA and not _LOST_METADATA[format](embeddings.metadata):
        lost.pop("drop_metadata", None)
    write_as(format, path, embeddings, {**dict.fromkeys(lost, True), **options})
    return tuple(loss for option, loss in lost.items() if option != "reconstruct")


def write_as(format: str, path: File, embeddings: Embeddings, options: Mapping[str, Any]) -> None:
    """Writes embeddings in a format, with the options of its own writer."""
    check_options(format, options)
    _WRITERS[format].write(path, embeddings, **options)


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
    if format in READ_ONLY_FORMATS:
        hint = "gensim opens word2vec and fastText files; PyTorch takes NumPy arrays."
        raise ValueError(f"`{name}`: expected a format that is written, got {format!r}. {hint}")
    if format is not None:
        return format
    if isinstance(path, int):
        names = ", ".join(map(repr, FORMATS))
        raise ValueError(f"`{name}`: expected one of {names} for a descriptor, got None.")
    path = os.fsdecode(path)
    ending = os.path.splitext(path)[1].lower()
    if ending == ".bin" and fasttext:
        return "fasttext"
    if ending in _ENDINGS:
        return _ENDINGS[ending]
    hint = f"Say which format with `{name}=`."
    if ending in _COMPRESSED:
        hint = "Files are written as they are; compress it afterwards."
    elif ending == ".bin":
        hint = f"`.bin` may be word2vec or fastText. Say which with `{name}=`."
    endings = ", ".join(f"{ending} ({format})" for ending, format in _ENDINGS.items())
    raise ValueError(f"`path`: expected a name that ends with {endings}, got {path!r}. {hint}")


def target_folder(path: File, format: str | None) -> bytes | None:
    """The folder in which a file or a folder will be made, `None` for what exists and stays."""
    if format in _FOLDERS:
        return folder_parent(path, _FOLDERS[format])
    return output_folder(path)


def holds_shared_rows(format: str) -> bool:
    """Whether a format holds words that share rows, or its writer repeats these by itself."""
    return format in _SHARING or format in _REPEATING


def check_options(format: str, options: Mapping[str, Any]) -> None:
    """Checks the options of a format's writer, before there is anything to write."""
    available = _WRITERS[format].drop | _WRITERS[format].other
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
    return "compressed" if ending in _COMPRESSED else _ENDINGS.get(ending)


def _unshared(embeddings: Embeddings, format: str, unshare_rows: bool) -> Embeddings:
    """Embeddings whose words share no rows, unless the format holds those."""
    vocab = embeddings.vocab
    if unshare_rows:
        return embeddings if format in _REPEATING else unshare(embeddings)
    if format not in _SHARING and vocab.shared_rows is not None:
        raise ValueError(
            f"`embeddings`: expected a row for each word, which is all that {format} files hold, "
            f"got {len(vocab)} words that share {vocab.n_word_rows} rows. "
            "Write each row for every word that has it with `unshare_rows=True`."
        )
    return embeddings
