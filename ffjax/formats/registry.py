"""The formats: how each is recognized, and which functions read, describe and write it.

A new format is an entry here. Functions are named by their modules, relative to `ffjax.formats`,
which are imported when a function is called: this module imports nothing, so that `ffjax info`,
`--help` and completion do without JAX. A function gets those of the options that it has parameters
for.
"""

from collections.abc import Set as AbstractSet
from importlib import import_module
from inspect import Parameter, signature
from typing import Any, NamedTuple, get_args


class Format(NamedTuple):
    """A format, and where its functions are.

    Attributes:
        name: what `format=` and `--to` call it.
        title: what errors about the wrong format call it.
        magics: the bytes that its files begin with.
        is_head: `(head) -> bool`, whether a file may begin like this. Called only if the head has a
            zero byte, since importing the function takes longer than recognizing text.
        folder: `(names) -> bool`, whether files of these names are of the format together.
        load: `(stream, *, mmap, lossy, limit, dims, words, vectors, rows) -> Embeddings`; called
            `load_NAME` if it is public.
        blocks: the same for files that are read in order, `(stream, *, unit, ...) -> Blocks` as a
            context; `load` may be missing then.
        describe: `(stream, *, lossy, dims, words, vectors) -> dict`, without JAX.
        write: `(path, embeddings, **options)`; its parameters are the format's options.
        endings: of the names of files.
        files: the names of all files, if a folder is written.
        keeps: `(embeddings) -> set`, options of `write` that drop nothing of these embeddings.
        shares_rows: whether words may share a row.
        repeats_rows: whether `write` repeats rows that words share.
        maps_rows: whether mapped rows are what devices get when they are divided.
        vocab: the only kind of vocabulary that the file holds, if not words alone.
        is_plain: whether the file has the vectors themselves, and not unit vectors and norms.
        instead: for formats without `write`, what to write.
    """

    name: str
    title: str = ""
    magics: tuple[bytes, ...] = ()
    is_head: str = ""
    folder: str = ""
    load: str = ""
    blocks: str = ""
    describe: str = ""
    write: str = ""
    endings: tuple[str, ...] = ()
    files: str = ""
    keeps: str = ""
    shares_rows: bool = False
    repeats_rows: bool = False
    maps_rows: bool = False
    vocab: str = ""
    is_plain: bool = False
    instead: str = ""

    @property
    def advice(self) -> str:
        """Which public function reads such files."""
        return f"`ffjax.load{self.load.partition(':load')[2]}` reads it."


def _text(name: str, **functions: Any) -> Format:
    """A format of words and vectors in order."""
    return Format(name, repeats_rows=True, is_plain=True, **functions)


def _table(name: str, title: str, *endings: str, **fields: Any) -> Format:
    """A format of arrays or columns."""
    functions: dict[str, Any] = {
        "load": ".tables.read:read_table",
        "blocks": ".tables.read:read_table_blocks",
        "describe": ".tables.layout:describe",
        "write": f".tables.write:write_{name.replace('-', '_')}",
    }
    return Format(name, title, endings=endings, **functions | fields)


_FORMATS = (
    Format(
        "finalfusion",
        "a finalfusion file",
        magics=(b"FiFu",),
        endings=(".fifu",),
        maps_rows=True,
        load=".finalfusion.reader:load_finalfusion",
        describe=".finalfusion.header:describe",
        write=".finalfusion.writer:write_finalfusion",
    ),
    Format(
        "fasttext",
        "a fastText model",
        magics=(b"\xba\x16\x4f\x2f",),
        is_head=".fasttext.layout:is_without_magic",
        load=".fasttext.reader:load_fasttext",
        describe=".fasttext.layout:describe",
        write=".fasttext.writer:write_fasttext",
        keeps=".fasttext.writer:keeps",
    ),
    _text(
        "word2vec",
        endings=(".w2v",),
        load=".word2vec:load_word2vec",
        blocks=".word2vec:read_word2vec_blocks",
        describe=".word2vec_rows:describe",
        write=".word2vec:write_word2vec",
    ),
    _text(
        "text",
        endings=(".txt",),
        blocks=".text.read:read_blocks",
        describe=".text.table:describe_text",
        write=".text.write:write_text",
    ),
    _text(
        "textdims",
        endings=(".vec", ".dims"),
        blocks=".text.read:read_blocks_with_dims",
        describe=".text.table:describe_text",
        write=".text.write:write_text_dims",
    ),
    Format(
        "floret",
        endings=(".floret",),
        blocks=".floret:read_floret_blocks",
        describe=".text.table:describe_floret",
        write=".floret:write_floret",
        vocab="FloretVocab",
    ),
    Format(
        "msgpack",
        "a snapshot",
        magics=(b"\x83\xa5ffjax",),
        endings=(".msgpack",),
        shares_rows=True,
        load=".snapshot.files:read_snapshot",
        describe=".snapshot.envelope:describe",
        write=".snapshot.files:write_snapshot",
    ),
    _table("npy", "a NumPy array", ".npy", magics=(b"\x93NUMPY",), is_plain=True),
    _table("npz", "NumPy arrays (`.npz`)", ".npz", folder=".tables.layout:is_npz"),
    _table(
        "safetensors",
        "a safetensors file",
        ".safetensors",
        is_head=".safetensors_file:is_safetensors",
    ),
    _table("parquet", "a Parquet file", ".parquet", magics=(b"PAR1",)),
    _table("arrow", "an Arrow table", ".arrow", ".feather", magics=(b"ARROW1\0\0",)),
    _table("arrow-stream", "an Arrow table", ".arrows", magics=(b"\xff\xff\xff\xff",)),
    _table(
        "pytorch",
        "a PyTorch file",
        magics=(b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.",),
        folder=".tables.pytorch:is_pytorch",
        write="",
        instead="PyTorch takes NumPy arrays.",
    ),
    Format(
        "gensim",
        "a pickle, such as gensim's `save` writes",
        magics=(b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"),
        folder=".gensim.model:is_folder",
        load=".gensim.reader:load_gensim",
        describe=".gensim.model:describe",
        instead="gensim opens word2vec and fastText files.",
    ),
    Format(
        "spacy",
        "a folder of spaCy",
        folder=".spacy.layout:is_folder",
        files=".spacy.writer:FILES",
        keeps=".spacy.writer:keeps",
        load=".spacy.reader:load_spacy",
        describe=".spacy.layout:describe",
        write=".spacy.writer:write_spacy",
        shares_rows=True,
        is_plain=True,
    ),
    Format(
        "model2vec",
        "a static model",
        folder=".model2vec.layout:is_static_model",
        files=".model2vec.writer:FILES",
        blocks=".model2vec.reader:read_word_blocks",
        describe=".model2vec.layout:describe",
        write=".model2vec.writer:write_model2vec",
        is_plain=True,
    ),
)
FORMATS = {format.name: format for format in _FORMATS}


def imported(function: str) -> Any:
    """A function, or a constant, by its name in the registry."""
    module, _, name = function.partition(":")
    return getattr(import_module(module, "ffjax.formats"), name)


def options_of(function: str, first: int = 1) -> AbstractSet[str]:
    """The names of parameters from the `first` on; those of a `TypedDict` of options, too."""
    names: set[str] = set()
    for parameter in list(signature(imported(function)).parameters.values())[first:]:
        if parameter.kind is Parameter.VAR_KEYWORD:
            names |= get_args(parameter.annotation)[0].__optional_keys__
        else:
            names.add(parameter.name)
    return names


def call(function: str, *arguments: Any, **options: Any) -> Any:
    """Calls a function of the registry with those of the options that it has parameters for."""
    names = options_of(function)
    chosen = {name: value for name, value in options.items() if name in names}
    return imported(function)(*arguments, **chosen)


def check_format(name: str, format: Any) -> None:
    """Checks that `format`, which errors call `name`, is one of the formats or `None`."""
    if format is not None and (not isinstance(format, str) or format not in FORMATS):
        names = ", ".join(map(repr, FORMATS))
        raise ValueError(f"`{name}`: expected one of {names}, or None, got {format!r}.")


def by_head(head: bytes) -> Format | None:
    """The format whose files begin like this, unless it is text."""
    for format in FORMATS.values():
        if head.startswith(format.magics):
            return format
        if format.is_head and b"\0" in head and imported(format.is_head)(head):
            return format
    return None


def by_names(names: list[str]) -> Format | None:
    """The format of a directory or an archive with files of these names, if it is one of ours."""
    folders = (format for format in FORMATS.values() if format.folder)
    return next((format for format in folders if imported(format.folder)(names)), None)


def is_folder(names: list[str]) -> bool:
    """Whether files of these names are embeddings together."""
    return by_names(names) is not None


def by_ending() -> dict[str, str]:
    """The formats by the endings of their files."""
    return {ending: format.name for format in FORMATS.values() for ending in format.endings}
