"""Folders of static models: layouts, options, and broken files."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from ml_dtypes import bfloat16

import ffjax
from ffjax.formats.describe import describe
from tests.conftest import REAL
from tests.formats.model2vec.models import (
    TEXTS,
    TOKENS,
    arrays,
    mapped,
    rows,
    tokenizer,
    unigram,
    write_folder,
)

STATIC = "sentence_transformers.sentence_transformer.modules.static_embedding.StaticEmbedding"
NORMALIZE = "sentence_transformers.base.modules.normalize.Normalize"


def modules(*types: str) -> list[dict]:
    return [{"idx": i, "name": str(i), "path": "", "type": kind} for i, kind in enumerate(types)]


def weight() -> dict[str, np.ndarray]:
    return {"embedding.weight": rows(len(TOKENS))}


def steps(normalizer: dict) -> dict:
    return tokenizer(normalizer=normalizer, pre_tokenizer={"type": "Whitespace"})


def test_the_layout_of_model2vec(tmp_path: Path) -> None:
    config = {"normalize": True, "max_length": 7, "pooling": "mean"}
    # model2vec itself does not read the list of modules.
    folder = write_folder(tmp_path, mapped(np.float16), config=config, modules=modules("x"))
    model = ffjax.load_static_model(folder)
    assert (model.layout, model.unknown, model.normalize) == ("model2vec", "drop", True)
    assert model.max_length == 7 and model.rows.dtype == np.float16
    assert json.loads(model.config.tobytes()) == config
    model = ffjax.load_static_model(write_folder(tmp_path, arrays(), config={}))
    assert (model.normalize, model.max_length) == (False, 512)


@pytest.mark.parametrize("nested", [False, True])
def test_the_layouts_of_sentence_transformers(tmp_path: Path, nested: bool) -> None:
    inner = tmp_path / "0_StaticEmbedding" if nested else tmp_path
    write_folder(inner, weight(), tokenizer(truncation={"max_length": 3, "direction": "Right"}))
    (tmp_path / "config_sentence_transformers.json").write_text("{}")
    listed = modules(STATIC, NORMALIZE)
    (tmp_path / "modules.json").write_text(json.dumps(listed))
    model = ffjax.load_static_model(tmp_path)
    assert (model.layout, model.unknown) == ("sentence-transformers", "keep")
    assert (model.normalize, model.max_length) == (True, 3)
    # Four tokens, of which one is unknown; characters are not counted.
    expected = rows(len(TOKENS))[[1, 5, 5]].mean(0)
    vector = model.encode(f"{'z' * 99} tea tea tea", normalize=False)
    np.testing.assert_array_equal(vector, expected)
    if nested:
        (tmp_path / "config_sentence_transformers.json").rename(tmp_path / "unused")
        assert ffjax.load_static_model(tmp_path) == model
        (tmp_path / "unused").rename(tmp_path / "config_sentence_transformers.json")
        assert ffjax.load_static_model(inner) == model.replace(config=b"{}")
        shutil.make_archive(str(tmp_path / "x"), "zip", tmp_path)
        assert ffjax.load_static_model(tmp_path / "x.zip") == model


def test_without_a_list_of_modules_the_configuration_says_normalize(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, weight(), config_sentence_transformers={"normalize": True})
    assert ffjax.load_static_model(folder).normalize


def test_a_model_in_two_files(tmp_path: Path) -> None:
    write_folder(tmp_path / "x", {"0": rows(len(TOKENS))})
    source = tmp_path / "rows.safetensors"
    (tmp_path / "x" / "model.safetensors").rename(source)
    model = ffjax.load_static_model(source, tokenizer=tmp_path / "x" / "tokenizer.json")
    assert model.layout == "sentence-transformers"
    np.testing.assert_array_equal(model.encode("tea"), model.rows[5])


def test_options(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, arrays(), config={"normalize": True})
    options = {"normalize": False, "max_length": None, "unknown": "keep", "dims": 2}
    model = ffjax.load_static_model(folder, **options)
    assert (model.normalize, model.max_length, model.unknown) == (False, None, "keep")
    np.testing.assert_array_equal(model.encode("tea zz"), rows(len(TOKENS))[[5, 1], :2].mean(0))
    with pytest.raises(ValueError, match="`dims`: expected 1 to 5, .* got 6"):
        ffjax.load_static_model(folder, dims=6)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, bfloat16, np.int8])
def test_rows_are_mapped(tmp_path: Path, dtype: type) -> None:
    folder = write_folder(tmp_path, arrays(dtype), config={})
    model, read = (ffjax.load_static_model(folder, mmap=mmap) for mmap in (True, False))
    assert isinstance(model.rows, np.memmap) and model.rows.dtype == dtype and model == read
    assert not isinstance(read.rows, np.memmap)
    np.testing.assert_array_equal(model.encode(TEXTS), read.encode(TEXTS))


def test_wordllama_in_two_files(tmp_path: Path) -> None:
    wheels = list((REAL / "wheels").glob("wordllama-*.whl"))
    if not wheels:
        pytest.skip("needs the wheel of wordllama under $FFJAX_REAL/wheels")
    peer = pytest.importorskip("tokenizers")
    with zipfile.ZipFile(wheels[0]) as wheel:
        names = [name for name in wheel.namelist() if name.endswith(("256.safetensors", "ig.json"))]
        weights, settings = sorted((Path(wheel.extract(n, tmp_path)) for n in names), reverse=True)
    model = ffjax.load_static_model(weights, tokenizer=settings)
    theirs = peer.Tokenizer.from_file(str(settings))
    ids = [theirs.encode(text, add_special_tokens=False).ids for text in TEXTS]
    assert [tokens.tolist() for tokens in model.tokenize(TEXTS)] == ids
    expected = [model.rows[i].mean(0, np.float32) if i else np.zeros(256) for i in ids]
    np.testing.assert_allclose(ffjax.embed_text(model, TEXTS)[0], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("tensors", "tree", "config", "message"),
    [
        (None, None, {"normalize": 1}, "config.json: normalize: expected true or false, got 1"),
        (None, None, {"max_length": "x"}, "config.json: max_length: expected a number from 0 or"),
        (None, None, [], r"config.json: byte 0: JSON: expected an object, got \[\]"),
        ({"x": rows(3)}, None, {}, "model.safetensors: expected an array embeddings or .* got x"),
        ({"embeddings": rows(3)[0]}, None, {}, r"embeddings: expected two dimensions, got \[5\]"),
        ({"embeddings": rows(3)}, None, {}, "safetensors: got `rows`: expected one for each token"),
        (mapped(np.int32), None, {}, "safetensors: got `rows`: expected 2 dimensions of float32"),
        (
            {**mapped(np.float32), "mapping": np.full(39, -1)},
            None,
            {},
            "model.safetensors: got `mapping`: expected numbers from 0 to 8, got -1 to -1",
        ),
        (None, [], {}, r"tokenizer.json: tokenizer: expected an object, got \[\]"),
        (None, {"model": 3}, {}, "tokenizer.json: model: expected an object, got 3"),
        (None, {"model": {"type": "GPT"}}, {}, "model: type: expected one of WordPiece, .* 'GPT'"),
        (None, {"model": {"vocab": {"a": -1}}}, {}, "model: vocab: expected strings with numbers"),
        (None, {"model": {"type": "Unigram", "vocab": [1]}}, {}, "model: vocab: expected a list"),
        (None, {"model": {"type": "Unigram", "vocab": [[[]]]}}, {}, "vocab: expected a list"),
        (None, {"model": {"vocab": {}, "unk_token": []}}, {}, "unk_token: expected a string"),
        (None, steps({"type": "Replace", "pattern": "x"}), {}, "pattern: expected an object, got"),
        (None, steps({"type": []}), {}, r"tokenizer.json: type: expected a string, got \[\]"),
        (None, steps({"type": "Sequence", "normalizers": 3}), {}, "normalizers: expected a list"),
        (None, tokenizer(added_tokens=[3]), {}, "added_tokens: expected a list of objects, got 3"),
        (None, tokenizer(truncation={}), {}, "tokenizer.json: max_length: expected a number from"),
    ],
)
def test_broken_models_name_the_file_and_the_field(
    tmp_path: Path, tensors: dict, tree: dict, config: dict, message: str
) -> None:
    tree = tokenizer() if tree is None else tree
    folder = write_folder(tmp_path, arrays() if tensors is None else tensors, tree, config)
    with pytest.raises(ffjax.FormatError, match=message):
        ffjax.load_static_model(folder)


def test_of_several_models_one_has_to_be_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_folder(tmp_path / name, weight(), config_sentence_transformers={})
    for read in (ffjax.load, ffjax.load_static_model, describe):
        with pytest.raises(ffjax.FormatError, match="expected one static model, got 'a', 'b'"):
            read(tmp_path)
    write_folder(tmp_path, arrays(), config={})  # the uppermost counts
    assert ffjax.load_static_model(tmp_path).layout == "model2vec"


def test_folders_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(ffjax.FormatError, match="expected files model.safetensors and tokenizer"):
        ffjax.load_static_model(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ffjax.FormatError, match="with `safe_serialization=True`"):
        ffjax.load_static_model(tmp_path)
    with pytest.raises(ffjax.FormatError, match="the folder of a static model, .*`tokenizer=PATH`"):
        ffjax.load_static_model(tmp_path / "pytorch_model.bin")
    (tmp_path / "a.txt").write_text("tea 0.5 1\n")
    with pytest.raises(ffjax.FormatError, match="of another format. `ffjax.load` reads word"):
        ffjax.load_static_model(tmp_path / "a.txt")
    ffjax.save(ffjax.demo(), tmp_path / "a.fifu")
    with pytest.raises(ffjax.FormatError, match="got a finalfusion file. `ffjax.load_finalfusion`"):
        ffjax.load_static_model(tmp_path / "a.fifu")
    listed = modules(STATIC, "sentence_transformers.models.Dense")
    folder = write_folder(tmp_path, weight(), config_sentence_transformers={}, modules=listed)
    with pytest.raises(ffjax.FormatError, match="expected StaticEmbedding, .* got Static"):
        ffjax.load_static_model(folder)


def test_truncated_files_are_errors(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, mapped(np.float32), unigram(divided=True), {"normalize": True})
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        data = (folder / name).read_bytes()
        for size in range(0, len(data) - 1, max(1, len(data) // 60)):
            (folder / name).write_bytes(data[:size])
            with pytest.raises(ffjax.FormatError, match=name):
                ffjax.load_static_model(folder)
        (folder / name).write_bytes(data)
