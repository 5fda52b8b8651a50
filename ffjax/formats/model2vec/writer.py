"""Writing static models, and words with their vectors as one."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np

from ffjax._internal.arguments import check_flag, check_instance
from ffjax._internal.arrays import on_host
from ffjax._internal.atomic_write import Path, atomic_folder
from ffjax._internal.file_arguments import check_choice
from ffjax.embeddings.static_model import LAYOUTS, StaticModel
from ffjax.embeddings.value import Embeddings
from ffjax.formats.io.binary import Output
from ffjax.formats.model2vec.layout import CONFIG, CONFIG_ST, MODULES, ROWS, TENSORS, TOKENIZER
from ffjax.formats.rows import export
from ffjax.formats.safetensors_file import write_header, write_tensors

FILES = (TENSORS, TOKENIZER, CONFIG, CONFIG_ST, MODULES)
PAD, UNKNOWN = "[PAD]", "[UNK]"
_MODULE = "sentence_transformers.models."


def write_static_model(path: Path, model: StaticModel, *, layout: str | None = None) -> None:
    """Writes a static model as a folder that model2vec and sentence-transformers open.

    The tokenizer is written as it was read, and so are the arrays. An old folder stays complete
    until the new one is. No file says whether unknown tokens count: each library decides it in its
    own way, so that a model with another choice is an error.

    Args:
        path: the folder. It may exist if it is empty, or holds nothing but such files.
        model: what to write.
        layout: `"model2vec"`, whose files sentence-transformers opens as well, or
            `"sentence-transformers"`, where each token has its own row. By default the model's
            own.

    Raises:
        TypeError: if `model` is something else.
        ValueError: if `layout` is another, or files cannot hold `unknown`, `max_length` or
            `prompt`.
        OSError: if the folder cannot be written, or holds other files.

    Examples:
        >>> import ffjax, tempfile
        >>> folders = tempfile.mkdtemp(), tempfile.mkdtemp()
        >>> words = ffjax.from_vectors(["tea", "time"], [[2.0, 0.0], [0.0, 1.0]])
        >>> ffjax.write_model2vec(folders[0], words)
        >>> model = ffjax.load_static_model(folders[0], dims=1)
        >>> ffjax.write_static_model(folders[1], model, layout="sentence-transformers")
        >>> ffjax.load_static_model(folders[1])
        StaticModel(4 x 1 float32, 4 tokens of WordLevel, sentence-transformers)
    """
    check_instance("model", model, StaticModel)
    layout = model.layout if layout is None else layout
    check_choice("layout", layout, LAYOUTS)
    _check_defaults(model, layout)
    config = json.loads(on_host(model.config).tobytes()) if layout == model.layout else {}
    rows = model.token_rows
    if layout == "model2vec":
        arrays = {ROWS[0]: rows.rows, "mapping": rows.mapping, "weights": rows.weights}
        arrays = {name: array for name, array in arrays.items() if array is not None}
        config |= {"normalize": model.normalize, "max_length": model.max_length}
        config |= {"embedding_dtype": rows.rows.dtype.name}
        if rows.mapping is not None:
            config["vocabulary_quantization"] = len(rows.rows)
    else:
        matrix = rows.rows
        if rows.mapping is not None or rows.weights is not None:
            matrix = rows.read(np.arange(model.n_tokens))
            matrix = matrix.astype(np.result_type(model.rows.dtype, np.float32), copy=False)
        arrays = {ROWS[1]: matrix}
        config |= _prompts(config, model.prompt)
    with atomic_folder(path, FILES) as folder:
        with (folder / TENSORS).open("wb") as file:
            # Wide numbers first, as the `safetensors` package has them.
            in_order = sorted(arrays.items(), key=lambda item: (-item[1].itemsize, item[0]))
            write_tensors(Output(file), dict(in_order))
        (folder / TOKENIZER).write_bytes(on_host(model.tokenizer).tobytes())
        _write_json(folder / (CONFIG if layout == "model2vec" else CONFIG_ST), config)
        _write_json(folder / MODULES, _modules(model.normalize))


def _prompts(config: dict[str, Any], prompt: str) -> dict[str, Any]:
    """What a configuration of sentence-transformers says about prompts, with another default."""
    if not prompt:
        return {"default_prompt_name": None} if config.get("default_prompt_name") else {}
    prompts = config.get("prompts") or {}
    name = next((name for name, text in prompts.items() if text == prompt), "default")
    return {"prompts": {**prompts, name: prompt}, "default_prompt_name": name}


def _check_defaults(model: StaticModel, layout: str) -> None:
    """Checks that a model's files can say how it reads texts."""
    defaults: dict[str, Any] = {}
    if layout == "model2vec":
        defaults["prompt"] = ""
    if layout == model.layout == "model2vec":
        defaults["unknown"] = "drop"
    elif layout == model.layout:
        defaults |= {"unknown": "keep", "max_length": model.settings.truncation}
    for name, value in defaults.items():
        if (chosen := getattr(model, name)) != value:
            raise ValueError(
                f"`model`: expected `{name}={value!r}`, since files of {layout} cannot hold "
                f"another choice, got {chosen!r}. Write `model.replace({name}={value!r})`; after "
                f"loading, `replace` sets `{name}={chosen!r}` again."
            )


def write_model2vec(
    path: Path,
    embeddings: Embeddings,
    *,
    lowercase: bool | None = None,
    unnormalize: bool = True,
    **options: Unpack[export.ExportOptions],
) -> None:
    """Writes words and their vectors as a static model of model2vec: a folder.

    The model finds complete words in text that is divided at white space and punctuation, and
    averages their vectors. Words that hold either are written, but not found in text. Words that
    the model does not have are tokens `[UNK]` with a vector of zeros: model2vec leaves them out,
    and sentence-transformers counts them in the mean.

    Args:
        path: the folder. It may exist if it is empty, or holds nothing but such files.
        embeddings: what to write.
        lowercase: whether text is changed to lower case; by default if no word has upper case.
        unnormalize: whether to multiply the vectors by their norms. Otherwise norms are lost.
        **options: what to drop, as in `write_text`.

    Raises:
        TypeError: if `embeddings` is something else, or an option does not exist.
        ValueError: if something would be lost without its option; there are no words, or vectors
            without numbers; or a word is not UTF-8.
        OSError: if the folder cannot be written, or holds other files.

    Examples:
        >>> import ffjax, tempfile
        >>> folder = tempfile.mkdtemp()
        >>> words = ffjax.from_vectors(["tea", "time"], [[2.0, 0.0], [0.0, 1.0]])
        >>> ffjax.write_model2vec(folder, words)
        >>> ffjax.load_static_model(folder).encode("Tea time!").tolist()
        [1.0, 0.5]
    """
    vocab = export.check_plain(embeddings, "static models", options).vocab
    export.check_utf8(vocab.table)
    words = vocab.table.strings
    special = [token for token in (PAD, UNKNOWN) if token not in vocab]
    if lowercase is None:
        lowercase = not any(word != word.lower() for word in words)
    tokenizer = _word_level([*special, *words], check_flag("lowercase", lowercase))
    config = {"model_type": "model2vec", "architectures": ["StaticModel"], "normalize": False}
    shape = len(special) + len(words), embeddings.dims
    with atomic_folder(path, FILES) as folder:
        with (folder / TENSORS).open("wb") as file:
            out = Output(file)
            write_header(out, {ROWS[0]: (np.float32, shape)})
            out.write(np.zeros((len(special), embeddings.dims), "<f4"))
            for _, rows in export.word_blocks(embeddings, unnormalize):
                out.write(np.ascontiguousarray(rows, "<f4"))
        _write_json(folder / TOKENIZER, tokenizer)
        _write_json(folder / CONFIG, {**config, "embedding_dtype": "float32"})
        _write_json(folder / MODULES, _modules(False))


def _word_level(tokens: list[str], lowercase: bool) -> dict[str, Any]:
    """A tokenizer whose tokens are complete words."""
    vocab = {token: number for number, token in enumerate(tokens)}
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    added = [
        {"id": vocab[token], "content": token, **flags, "special": True} for token in (PAD, UNKNOWN)
    ]
    normalizer = {"clean_text": True, "handle_chinese_chars": False, "strip_accents": False}
    nothing = dict.fromkeys(("truncation", "padding", "post_processor", "decoder"))
    return {
        "version": "1.0",
        **nothing,
        "added_tokens": added,
        "normalizer": {"type": "BertNormalizer", **normalizer, "lowercase": lowercase},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": UNKNOWN},
    }


def _modules(normalize: bool) -> list[dict[str, Any]]:
    """The modules of sentence-transformers."""
    modules = [{"idx": 0, "name": "0", "path": ".", "type": _MODULE + "StaticEmbedding"}]
    if normalize:
        kind = _MODULE + "Normalize"
        modules.append({"idx": 1, "name": "1", "path": "1_Normalize", "type": kind})
    return modules


def _write_json(path: pathlib.Path, tree: Mapping[str, Any] | list[Any]) -> None:
    indent = None if path.name == TOKENIZER else 4
    path.write_bytes(json.dumps(tree, indent=indent, ensure_ascii=False).encode())
