"""Static models in sentence-transformers' own layout, beside sentence-transformers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ffjax
from tests.formats.model2vec.models import TEXTS, TOKENS, rows, tokenizer, unigram, write_folder

_MODULES = ("StaticEmbedding", ""), ("Normalize", "1_Normalize")
PROMPTS = {"query": "a tea: ", "document": ""}
CUT = tokenizer(
    truncation={"max_length": 3, "direction": "Right", "strategy": "LongestFirst", "stride": 0}
)
MODELS: dict[str, dict[str, Any]] = {
    "plain": {},
    "normalized": {"n_modules": 2},
    "cut": {"tree": CUT},
    "unigram": {"tree": unigram(divided=False), "n_tokens": 14},
    "prompts": {"prompts": PROMPTS},
    "default-prompt": {"prompts": PROMPTS, "default_prompt_name": "query"},
    "cut-prompt": {"tree": CUT, "n_modules": 2, "prompts": PROMPTS, "default_prompt_name": "query"},
}


def write(
    folder: Path, tree: Any = None, n_modules: int = 1, n_tokens: int = len(TOKENS), **config: Any
) -> Path:
    write_folder(folder, {"embedding.weight": rows(n_tokens)}, tree)
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{name}"}
        for i, (name, path) in enumerate(_MODULES[:n_modules])
    ]
    (folder / "1_Normalize").mkdir(exist_ok=True)
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "config_sentence_transformers.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("name", MODELS)
def test_encode_as_sentence_transformers(name: str, tmp_path: Path) -> None:
    peer = pytest.importorskip("sentence_transformers").SentenceTransformer
    folder = write(tmp_path / "model", **MODELS[name])
    model = ffjax.load_static_model(folder)
    ffjax.write_static_model(tmp_path / "written", model)
    texts = [*TEXTS, "tea " * 700]
    for path in (folder, tmp_path / "written"):
        theirs = peer(str(path), device="cpu").encode(texts)
        np.testing.assert_array_equal(model.encode(texts), theirs)


def test_the_default_prompt_is_put_before_texts(tmp_path: Path) -> None:
    model = ffjax.load_static_model(write(tmp_path / "a", **MODELS["default-prompt"]))
    plain = ffjax.load_static_model(write(tmp_path / "b", **MODELS["prompts"]))
    assert (model.prompt, plain.prompt) == ("a tea: ", "")
    texts = ["talking", "", "a\nb"]
    before = ["a tea: " + text for text in texts]
    np.testing.assert_array_equal(model.encode(texts), plain.encode(before))
    np.testing.assert_array_equal(model.token_ids(texts), plain.token_ids(before))
    both = (ffjax.embed_text(x, y) for x, y in ((model, texts), (plain, before)))
    for ours, theirs in zip(*both, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    ffjax.write_static_model(tmp_path / "c", model)
    assert ffjax.load_static_model(tmp_path / "c").prompt == "a tea: "
    for prompt in ("x: ", ""):
        ffjax.write_static_model(tmp_path / "c", model.replace(prompt=prompt))
        assert ffjax.load_static_model(tmp_path / "c").prompt == prompt
    with pytest.raises(ValueError, match="since files of model2vec cannot hold"):
        ffjax.write_static_model(tmp_path / "d", model, layout="model2vec")
    with pytest.raises(ffjax.FormatError, match="prompts: expected a text named 'none'"):
        ffjax.load_static_model(write(tmp_path / "e", prompts=PROMPTS, default_prompt_name="none"))
