"""The files of a static model; importing this does not import JAX.

    model2vec                        config.json, model.safetensors, tokenizer.json
    sentence-transformers            config_sentence_transformers.json, model.safetensors,
                                     tokenizer.json
    sentence-transformers, nested    config_sentence_transformers.json,
                                     0_StaticEmbedding/model.safetensors,
                                     0_StaticEmbedding/tokenizer.json
    without a configuration          model.safetensors, tokenizer.json

The first complete layout is used. `modules.json` of sentence-transformers lists what follows the
mean. The arrays are

    embeddings, embedding.weight or 0    the rows
    mapping                              the row of each token, I32 or I64
    weights                              a factor for each token, F32 or F64
"""

import os
from typing import Any, NamedTuple

from ffjax.errors import FormatError
from ffjax.formats.io.binary import Array, ByteSource, Cursor
from ffjax.formats.io.folders import Folder
from ffjax.formats.io.streams import Stream, open_source
from ffjax.formats.safetensors_file import read_header
from ffjax.strings.tokenizer_file import read_tokenizer

TENSORS, TOKENIZER, MODULES = "model.safetensors", "tokenizer.json", "modules.json"
CONFIG, CONFIG_ST, NESTED = "config.json", "config_sentence_transformers.json", "0_StaticEmbedding/"
_FIRST_FILES = (CONFIG, CONFIG_ST, MODULES, TOKENIZER)
_ST = "sentence-transformers"
_LAYOUTS = (
    ("model2vec", CONFIG, ""),
    *((_ST, config, nested) for config in (CONFIG_ST, None) for nested in ("", NESTED)),
)
ROWS = ("embeddings", "embedding.weight", "0")
# How many tokens of a text count if the configuration does not say.
_MAX_LENGTH = 512


class Layout(NamedTuple):
    """Which files of a folder are a model, by their paths in it.

    Attributes:
        name: `"model2vec"` or `"sentence-transformers"`.
        config: the configuration, if there is one.
        tensors: the arrays.
        tokenizer: the tokenizer.
        modules: the list of what follows the mean, if there is one.
    """

    name: str
    config: str | None
    tensors: str
    tokenizer: str
    modules: str | None


class Settings(NamedTuple):
    """What a configuration says.

    Attributes:
        config: its content.
        normalize: whether vectors are scaled to unit length.
        max_length: how many tokens count, `None` for all, which a tokenizer may limit.
        prompt: what sentence-transformers puts before every text.
    """

    config: bytes
    normalize: bool
    max_length: int | None
    prompt: str


def find_layouts(names: list[str]) -> list[Layout]:
    """The models among files of these names, without those in the folder of another."""
    files, layouts = set(names), dict[str, Layout]()
    for name in names:  # those of the uppermost level first
        folder, _, last = name.rpartition("/")
        prefix = folder + "/" if folder else ""
        if last not in _FIRST_FILES or any(map(prefix.startswith, layouts)):
            continue
        for library, config, nested in _LAYOUTS:
            config = config and prefix + config
            tensors, tokenizer = prefix + nested + TENSORS, prefix + nested + TOKENIZER
            if files >= {tensors, tokenizer, config or tensors}:
                modules = prefix + MODULES if prefix + MODULES in files else None
                layouts[prefix] = Layout(library, config, tensors, tokenizer, modules)
                break
    return list(layouts.values())


def is_static_model(names: list[str]) -> bool:
    """Whether files of these names are static models."""
    return bool(find_layouts(names))


def layout_in(folder: Folder) -> Layout:
    """The layout of a folder."""
    layouts = find_layouts(folder.names)
    if len(layouts) == 1:
        return layouts[0]
    expected, got, hint = f"files {TENSORS} and {TOKENIZER}", ", ".join(folder.names[:8]), None
    if layouts:
        expected, hint = "one static model", "Name one of them."
        got = ", ".join(repr(os.path.dirname(layout.tensors)) for layout in layouts)
    elif any(name.endswith("pytorch_model.bin") for name in folder.names):
        hint = "Save it again with sentence-transformers, with `safe_serialization=True`."
    raise FormatError(folder.file, expected=expected, got=got or "no files", hint=hint)


def read_settings(folder: Folder, layout: Layout) -> Settings:
    """Reads the configuration of a model."""
    raw, config = b"{}", {}
    if layout.config is not None:
        raw, config = _json(folder, layout.config, dict, "an object")
    normalize, max_length = config.get("normalize", False), None
    if layout.name == "model2vec":
        max_length = config.get("max_length", _MAX_LENGTH)
    elif (types := _module_types(folder, layout)) is not None:
        normalize = "Normalize" in types
    file = folder.path_of(layout.config or layout.tensors)
    if type(normalize) is not bool:
        raise FormatError(file, field="normalize", expected="true or false", got=repr(normalize))
    if max_length is not None and (type(max_length) is not int or max_length < 0):
        got = repr(max_length)
        raise FormatError(file, field="max_length", expected="a number from 0 or null", got=got)
    prompts, name, prompt = config.get("prompts"), config.get("default_prompt_name"), ""
    if layout.name == _ST and name is not None:
        prompt = prompts.get(str(name)) if isinstance(prompts, dict) else None
    if not isinstance(prompt, str):
        expected = f"a text named {name!r}, the `default_prompt_name`"
        raise FormatError(file, field="prompts", expected=expected, got=repr(prompts)[:64])
    return Settings(raw, normalize, max_length, prompt)


def _module_types(folder: Folder, layout: Layout) -> list[str] | None:
    """The modules of sentence-transformers, if they are listed: in the folder, or above it."""
    name = layout.modules
    if name is None and layout.config is None and folder.is_directory:
        name = "../" + MODULES
    if name is None:
        return None
    try:
        _, modules = _json(folder, name, list, "a list of modules")
    except FileNotFoundError:
        return None
    types = [str(entry.get("type")) if isinstance(entry, dict) else "" for entry in modules]
    types = [kind.rpartition(".")[2] for kind in types]
    if types[:1] != ["StaticEmbedding"] or set(types[1:]) - {"Normalize"}:
        expected = "StaticEmbedding, and perhaps Normalize"
        file = folder.path_of(name)
        raise FormatError(file, field="type", expected=expected, got=", ".join(types) or "none")
    return types


def rows_tensor(folder: Folder, layout: Layout, tensors: dict[str, Array]) -> Array:
    """The rows of a model, which must be a matrix."""
    file = folder.path_of(layout.tensors)
    name = next((name for name in ROWS if name in tensors), None)
    if name is None:
        shown = ", ".join(list(tensors)[:4]) or "no arrays"
        hint = "Only static models have one. model2vec's `distill` makes them of transformers."
        raise FormatError(file, expected=f"an array {' or '.join(ROWS)}", got=shown, hint=hint)
    tensor = tensors[name]
    if len(tensor.shape) != 2:
        expected = "two dimensions"
        raise FormatError(file, field=name, expected=expected, got=str(list(tensor.shape)))
    return tensor


def _json(folder: Folder, name: str, kind: type, expected: str) -> tuple[bytes, Any]:
    """The bytes of a JSON file, and what they say."""
    raw = folder.read(name)
    source = ByteSource(folder.path_of(name), raw)
    return raw, Cursor(source).json("JSON", len(raw), kind, expected)


def describe(stream: Stream) -> dict[str, Any]:
    """The layout, the tokenizer, the number of tokens, and the shape of the rows."""
    folder = stream.expected_folder()
    layout = layout_in(folder)
    settings = read_settings(folder, layout)
    tokenizer = read_tokenizer(folder.read(layout.tokenizer), folder.path_of(layout.tokenizer))
    with folder.open(layout.tensors) as member, open_source(member) as source:
        tensor = rows_tensor(folder, layout, read_header(source))
    facts = {"layout": layout.name, "tokenizer": tokenizer.kind, "tokens": len(tokenizer.vocab)}
    facts |= {"storage": "NdArray", "rows": tensor.shape[0], "dims": tensor.shape[1]}
    return {**facts, "dtype": tensor.dtype.name, "normalized": settings.normalize}
