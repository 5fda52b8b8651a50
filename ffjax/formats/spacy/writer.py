"""Writing spaCy's vectors, without spaCy.

    vectors, key2row, strings.json, vectors.cfg, lookups.bin

By themselves these are a folder for `Vectors.from_disk` and `Vocab.from_disk`. In the folder
`vocab` of a pipeline they stand beside

    meta.json    the language, a name and a version
    config.cfg   a pipeline without components
    tokenizer    its rules in msgpack; `80`, an empty map, stands for none
"""

import json
import os
import re
from collections.abc import Mapping
from typing import Any, Unpack

import msgpack
import numpy as np

from ffjax._internal.atomic_write import Path, atomic_folder
from ffjax._internal.warn import warn_user
from ffjax.embeddings.text_file import write_npy_header
from ffjax.embeddings.value import Embeddings
from ffjax.formats.rows import export
from ffjax.formats.spacy import layout
from ffjax.formats.spacy.layout import Settings, check_attr, symbols
from ffjax.formats.spacy.words import keys_of, pack_strings
from ffjax.vocab import FloretVocab

_LOOKUPS, _META, _CONFIG, _TOKENIZER = "lookups.bin", "meta.json", "config.cfg", "tokenizer"
_VOCAB_FILES = (layout.VECTORS, layout.KEY_ROWS, layout.STRINGS, layout.SETTINGS, _LOOKUPS)
FILES = {_META, _CONFIG, _TOKENIZER, *_VOCAB_FILES, *(f"vocab/{name}" for name in _VOCAB_FILES)}
_LANG = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_EMPTY_MAP = b"\x80"
_CONFIG_TEXT = """[nlp]
lang = {lang}
pipeline = []
disabled = []
before_creation = null
after_creation = null
after_pipeline_creation = null
batch_size = 1000
tokenizer = {{"@tokenizers":"spacy.Tokenizer.v1"}}
"""


def write_spacy(
    path: Path,
    embeddings: Embeddings,
    *,
    lang: str | None = None,
    name: str = "vectors",
    attr: str | None = None,
    **options: Unpack[export.ExportOptions],
) -> None:
    """Writes a folder of vectors that spaCy opens, with the same vectors.

    With a language it is the folder of a pipeline, for `[initialize] vectors = "..."` in a config
    for training, and for `spacy.load`. Without one it is a `vocab` folder, for `Vocab.from_disk`
    and `Vectors.from_disk`. spaCy need not be installed, but if it is, the rules of the language's
    tokenizer are written too; without them a warning says how to keep the language's own.

    Vectors get the lengths that `norms` holds. Words that share rows still do. Embeddings with a
    `FloretVocab` are written in spaCy's floret mode.

    Args:
        path: the folder. It may exist if it is empty, or holds nothing but such files.
        embeddings: what to write.
        lang: the code of the language, such as `"en"`; that of the pipelines that use it.
        name: the name of the pipeline.
        attr: the token attribute whose value is looked up, such as `"LOWER"`. By default that which
            the metadata of embeddings from spaCy has, or else `"ORTH"`, the word itself.
        **options: what to drop, as in `write_text`; for a `FloretVocab` as in `write_floret`.

    Raises:
        TypeError: if `embeddings` is something else, or an option does not exist.
        ValueError: if something would be lost without its option, a word is not UTF-8, `attr` is
            not an attribute, `lang` is not the code of a language, or a name is empty.
        OSError: if the folder cannot be written, or holds other files.

    Examples:
        >>> import ffjax, tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "vocab"
        >>> emb = ffjax.from_vectors(["tea", "coffee"], [[1, 2], [2, 1]])
        >>> ffjax.write_spacy(path, emb)
        >>> sorted(file.name for file in path.iterdir())
        ['key2row', 'lookups.bin', 'strings.json', 'vectors', 'vectors.cfg']
    """
    embeddings, settings = _checked(embeddings, attr, options)
    for argument, value in (("lang", lang), ("name", name)):
        if value is not None and (not isinstance(value, str) or not value):
            raise ValueError(f"`{argument}`: expected a name, got {value!r}.")
    if lang is not None and not _LANG.fullmatch(lang):
        raise ValueError(f"`lang`: expected the code of a language, such as 'en', got {lang!r}.")
    storage, words, rows = embeddings.storage, embeddings.vocab.table, embeddings.vocab.host_rows
    export.check_utf8(words)
    n_keys, shape = len(words), (embeddings.vocab.n_word_rows, embeddings.dims)
    blocks = (rows for _, rows, _ in export.row_blocks(embeddings, True, by_row=True))
    if settings.mode == "floret":  # rows belong to no word
        n_keys, shape = -1, storage.shape
        blocks = (rows for _, rows in storage.row_blocks())
    key_rows = dict(zip(keys_of(words).tolist(), rows.tolist(), strict=True))
    if len(key_rows) < len(words):
        raise ValueError("`embeddings`: expected words with different hashes, got two with one.")
    strings = sorted(set(words.strings) - set(symbols()))
    tokenizer = b"" if lang is None else _tokenizer(lang, os.fsdecode(path))
    with atomic_folder(path, FILES) as folder:
        vocab = folder
        if lang is not None:
            vocab = folder / "vocab"
            vocab.mkdir()
            (folder / _TOKENIZER).write_bytes(tokenizer)
            (folder / _CONFIG).write_bytes(_CONFIG_TEXT.format(lang=json.dumps(lang)).encode())
            vectors = {"width": shape[1], "vectors": shape[0], "keys": n_keys}
            vectors |= {"mode": settings.mode, "name": f"{lang}_{name}.vectors"}
            meta = {"lang": lang, "name": name, "version": "0.0.0", "vectors": vectors}
            (folder / _META).write_bytes(json.dumps(meta, indent=2).encode())
        (vocab / layout.KEY_ROWS).write_bytes(bytes(msgpack.packb(key_rows) or b""))
        (vocab / layout.STRINGS).write_bytes(pack_strings(strings))
        (vocab / layout.SETTINGS).write_bytes(settings.pack())
        (vocab / _LOOKUPS).write_bytes(_EMPTY_MAP)
        with (vocab / layout.VECTORS).open("wb") as out:
            write_npy_header(out, "<f4", shape)
            for block in blocks:
                out.write(np.ascontiguousarray(block, "<f4"))


def keeps(embeddings: Embeddings) -> set[str]:
    """The options that drop nothing: a folder has a place for n-grams of floret, and for `attr`."""
    options = set() if embeddings.vocab.has_words else {"drop_subwords"}
    return options if set(embeddings.metadata or {}) - {"spacy"} else {*options, "drop_metadata"}


def _checked(
    embeddings: Any, attr: str | None, options: Mapping[str, Any]
) -> tuple[Embeddings, Settings]:
    """Embeddings without the metadata that is written, and the settings."""
    vocab, metadata = export.check_embeddings(embeddings).vocab, embeddings.metadata
    kind, settings = export.ExportOptions, Settings()
    if isinstance(vocab, FloretVocab):
        indexer, kind = vocab.subword_indexer, export.TableOptions
        numbers = indexer.min_n, indexer.max_n, indexer.n_hashes, indexer.seed
        settings = Settings("floret", settings.attr, *numbers, vocab.bow, vocab.eow)
        if indexer.skip_edge_unigrams and indexer.min_n == 1:
            raise ValueError(
                "`embeddings`: expected n-grams of one character at the edges of words too, which "
                "spaCy takes and floret leaves out, got `skip_edge_unigrams=True` with `min_n=1`."
            )
    elif vocab.upper_bound > vocab.n_word_rows and not options.get("drop_subwords"):
        raise ValueError(
            "`embeddings`: expected words alone, which is all that spaCy's folders hold, got "
            "n-grams too. Drop them with `drop_subwords=True`; or save the embeddings in "
            "another format, and have spaCy read that file: `[nlp.vectors] @vectors = "
            '"ffjax.Vectors.v1"` keeps n-grams.'
        )
    elif not len(vocab):
        raise ValueError("`embeddings`: expected words, got an empty vocabulary.")
    spacy = (metadata or {}).get("spacy")
    if attr is None and isinstance(spacy, Mapping):
        attr = spacy.get("attr")
    if attr is not None:
        settings = settings._replace(attr=check_attr(attr))
    if metadata is not None and set(metadata) <= {"spacy"}:
        embeddings = embeddings.replace(metadata=None)
    return export.check_plain(embeddings, "spaCy's folders", options, kind), settings


def _tokenizer(lang: str, path: str) -> bytes:
    """The rules of a language's tokenizer if spaCy is installed."""
    try:
        import spacy
        from spacy.tokenizer import Tokenizer

        try:
            spacy.util.get_lang_class(lang)
        except ImportError:
            expected = "a language of spaCy, such as 'en', or 'xx' for several"
            raise ValueError(f"`lang`: expected {expected}, got {lang!r}.") from None
        tokenizer: Any = spacy.blank(lang).tokenizer
        if isinstance(tokenizer, Tokenizer):
            return tokenizer.to_bytes()
        reason = f"that of {lang!r} has none"
    except ImportError as error:  # spaCy, or what a language needs
        reason = str(error).partition("\n")[0]
    warn_user(
        f"{path}: written without the rules of a tokenizer ({reason}), so texts are split at "
        f'spaces alone; `spacy.load({path!r}, exclude=["tokenizer"])` keeps those of the language'
    )
    return _EMPTY_MAP
