"""Static models that are written: what ffjax, model2vec and sentence-transformers read."""

import json
from pathlib import Path

import numpy as np
import pytest

import ffjax
from ffjax.formats.describe import describe
from tests.conftest import SHARED
from tests.formats.model2vec.models import (
    TEXTS,
    TOKENS,
    mapped,
    rows,
    small,
    tokenizer,
    write_folder,
)

WORDS = ["tea", "time", "don't", "東京", "é", "."]


def words() -> ffjax.Embeddings:
    return ffjax.from_vectors(WORDS, rows(len(WORDS)))


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8])
def test_models_come_back(tmp_path: Path, dtype: type) -> None:
    source = write_folder(tmp_path / "a", mapped(dtype), config={"normalize": True, "by": "me"})
    model = ffjax.load_static_model(source)
    ffjax.write_static_model(tmp_path / "b", model)
    again = ffjax.load_static_model(tmp_path / "b")
    assert again.replace(config=model.config) == model
    assert json.loads(again.config.tobytes())["by"] == "me"
    peer = pytest.importorskip("model2vec").StaticModel.from_pretrained(tmp_path / "b")
    np.testing.assert_array_equal(peer.encode(TEXTS), model.encode(TEXTS))


def test_real_files_come_back_byte_by_byte(tmp_path: Path) -> None:
    folders = sorted((SHARED / "data" / "model2vec").glob("test-model-*"))
    if not folders:
        pytest.skip("the shared data are missing")
    for folder in folders:
        model = ffjax.load_static_model(folder)
        ffjax.write_static_model(tmp_path, model)
        for name in ("tokenizer.json", "model.safetensors"):
            if "sentence" not in folder.name or name == "tokenizer.json":
                assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_the_layout_of_sentence_transformers(tmp_path: Path) -> None:
    raw = json.dumps(tokenizer()).encode()
    fields = mapped(np.float16, np.float64)
    model = ffjax.StaticModel(
        fields["embeddings"], raw, fields["mapping"], fields["weights"], normalize=True
    )
    ffjax.write_static_model(tmp_path, model, layout="sentence-transformers")
    again = ffjax.load_static_model(tmp_path)
    assert again.layout == "sentence-transformers" and again.normalize
    assert again.rows.shape == (len(TOKENS), 5) and again.mapping is None
    texts = [text for text in TEXTS if text]
    vectors = again.encode(texts, unknown="drop")
    np.testing.assert_allclose(vectors, model.encode(texts), atol=2e-3)
    peer = pytest.importorskip("sentence_transformers").SentenceTransformer(str(tmp_path))
    np.testing.assert_allclose(peer.encode(texts), again.encode(texts), atol=1e-6)


def test_choices_that_no_file_holds_are_errors(tmp_path: Path) -> None:
    fields, raw = mapped(np.float32), json.dumps(tokenizer()).encode()
    model = ffjax.StaticModel(fields["embeddings"], raw, fields["mapping"], unknown="keep")
    with pytest.raises(ValueError, match="`unknown='drop'`.*`model.replace\\(unknown='drop'\\)`"):
        ffjax.write_static_model(tmp_path / "a", model)
    ffjax.write_static_model(tmp_path / "b", model, layout="sentence-transformers")
    other = ffjax.load_static_model(tmp_path / "b")
    for change in ({"unknown": "drop"}, {"max_length": 9}):
        with pytest.raises(ValueError, match=f"`{next(iter(change))}="):
            ffjax.write_static_model(tmp_path / "c", other.replace(**change))
    assert not (tmp_path / "a").exists() and not (tmp_path / "c").exists()


def test_words_become_a_model(tmp_path: Path) -> None:
    ffjax.write_model2vec(tmp_path, words())
    model = ffjax.load_static_model(tmp_path)
    assert model.tokens == ["[PAD]", "[UNK]", *WORDS]
    matrix, texts = rows(len(WORDS)), ["Tea time.", "東京 É", "don't", "☃"]
    vectors = model.encode(texts)
    expected = [matrix[[0, 1, 5]].mean(0), matrix[[3, 4]].mean(0), np.zeros(5), np.zeros(5)]
    np.testing.assert_allclose(vectors, expected, atol=1e-6)
    peer = pytest.importorskip("model2vec").StaticModel.from_pretrained(tmp_path)
    np.testing.assert_array_equal(peer.encode(texts), vectors)


def test_options_of_words(tmp_path: Path) -> None:
    ffjax.write_model2vec(tmp_path, ffjax.from_vectors(["Tea"], [[3.0, 4.0]]), unnormalize=False)
    model = ffjax.load_static_model(tmp_path)
    np.testing.assert_allclose(model.encode(["Tea", "tea"]), [[0.6, 0.8], [0, 0]], atol=1e-6)
    ffjax.write_model2vec(tmp_path, words(), lowercase=False)
    assert not ffjax.load_static_model(tmp_path).encode("Tea").any()


def test_words_are_loaded_converted_and_described(tmp_path: Path) -> None:
    ffjax.save(words(), tmp_path / "a", format="model2vec")
    assert ffjax.load(tmp_path / "a") == words()
    assert ffjax.load(tmp_path / "a", limit=2).vocab.words == WORDS[:2]
    assert ffjax.convert(tmp_path / "a", tmp_path / "words.vec") == ()
    assert ffjax.convert(tmp_path / "words.vec", tmp_path / "b", to_format="model2vec") == ()
    facts = describe(tmp_path / "b")
    assert (facts["format"], facts["tokenizer"], facts["tokens"]) == ("model2vec", "WordLevel", 8)
    tensors = (tmp_path / "a" / "model.safetensors").read_bytes()
    assert (tmp_path / "b" / "model.safetensors").read_bytes() == tensors


def test_other_tokens_are_not_words(tmp_path: Path) -> None:
    ffjax.write_static_model(tmp_path / "a", small(normalize=True))
    with pytest.raises(ffjax.FormatError, match="a static model with WordPiece tokens"):
        ffjax.load(tmp_path / "a")
    assert describe(tmp_path / "a") == {
        "format": "model2vec",
        "layout": "model2vec",
        "tokenizer": "WordPiece",
        "dims": 5,
        "storage": "plain",
        "rows": len(TOKENS),
        "dtype": "float32",
        "tokens": len(TOKENS),
        "normalized": True,
    }


@pytest.mark.usefixtures("as_users_see")
def test_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="`model`: expected StaticModel, got Embeddings"):
        ffjax.write_static_model(tmp_path, words())
    with pytest.raises(ValueError, match="`layout`: expected one of 'model2vec', 'sentence-tra"):
        ffjax.write_static_model(tmp_path, small(), layout="onnx")
    with pytest.raises(ValueError, match="got metadata too. Allow .* `drop_metadata=True`"):
        ffjax.write_model2vec(tmp_path, words().replace(metadata=ffjax.Metadata({"a": 1})))
    invalid = ffjax.SimpleVocab([b"\xff"])
    rows = ffjax.NdArray(np.ones((1, 2), np.float32))
    with pytest.raises(ValueError, match=r"expected words in UTF-8, got b'\\xff'"):
        ffjax.write_model2vec(tmp_path, ffjax.Embeddings(rows, invalid))
    with pytest.raises(TypeError, match="`path`: expected the path of a folder to write, got des"):
        ffjax.write_static_model(1, small())
