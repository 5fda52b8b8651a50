"""Small static models, and the folders of real ones."""

import json
from pathlib import Path
from typing import Any

import numpy as np

import ffjax
from ffjax.formats.io.binary import Output
from ffjax.formats.safetensors_file import write_tensors

TOKENS = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "tea", "time", "un", "##able", "##s", "##ing"),
    *("a", "b", "c", "##b", "##c", ".", ",", "!", "'", "cafe", "中", "文", "οδοσ", "é", "##é", "x"),
    *("talk", "talking", "##k", "##in", "##g", "über", "straße", "i", "##i", "ᄒ", "##ᅡ", "##ᆫ"),
]
TEXTS = [
    "Tea time, talking unables!",
    "",
    "x[CLS]y tea[UNK]s [PAD] [cls]",
    "a " * 40,
    "Café ΟΔΟΣ 中文a\u3000b \u00a0c",
    "abc bcb " + "b" * 101 + " " + "é" * 100,
    "한\x00b \ufffd a\u0301b c\u200bc İi\x85s",
]


def tokenizer(**changes: Any) -> dict[str, Any]:
    """A WordPiece tokenizer as BERT's."""
    model = {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
        "vocab": {token: i for i, token in enumerate(TOKENS)},
    }
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    added = [{"id": i, "content": TOKENS[i], **flags, "special": True} for i in range(5)]
    normalizer = {"clean_text": True, "handle_chinese_chars": True, "strip_accents": None}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": {"type": "BertNormalizer", **normalizer, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": None,
        "decoder": None,
        "model": model,
        **changes,
    }


def unigram(*, divided: bool) -> dict[str, Any]:
    """A Unigram tokenizer, of words one by one or of complete texts."""
    pieces = ["<unk>", "▁", "▁tea", "▁time", "s", "ing", ".", "a", "b", "ab", "▁a", "c", "!", "i"]
    vocab = [[token, -float(i)] for i, token in enumerate(pieces)]
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    steps = [{"type": "WhitespaceSplit"}, metaspace] if divided else [metaspace]
    return tokenizer(
        added_tokens=[],
        normalizer={"type": "Lowercase"},
        pre_tokenizer={"type": "Sequence", "pretokenizers": steps},
        model={"type": "Unigram", "unk_id": 0, "vocab": vocab, "byte_fallback": False},
    )


def rows(n: int, dims: int = 5, dtype: Any = np.float32) -> np.ndarray:
    matrix = np.random.default_rng(0).standard_normal((n, dims))
    return (9 * matrix).astype(np.int8) if dtype == np.int8 else matrix.astype(dtype)


def arrays(dtype: Any = np.float32, **more: np.ndarray) -> dict[str, np.ndarray]:
    return {"embeddings": rows(len(TOKENS), dtype=dtype), **more}


def mapped(dtype: Any, weights: Any = np.float32) -> dict[str, np.ndarray]:
    """Rows that tokens share, with weights."""
    rng = np.random.default_rng(1)
    mapping = rng.integers(0, 9, len(TOKENS)).astype(np.int32)
    return {
        "embeddings": rows(9, dtype=dtype),
        "mapping": mapping,
        "weights": rng.random(len(TOKENS)).astype(weights),
    }


def write_folder(
    folder: Path,
    tensors: dict[str, np.ndarray],
    tree: dict[str, Any] | None = None,
    config: Any = None,
    **files: Any,
) -> Path:
    """Writes the files of a model: `config` as `config.json`, others by the names of arguments."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "model.safetensors").open("wb") as file:
        write_tensors(Output(file), tensors)
    contents = {"tokenizer": tokenizer() if tree is None else tree, "config": config, **files}
    for name, content in contents.items():
        if content is not None:
            (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf8")
    return folder


def small(**options: Any) -> ffjax.StaticModel:
    raw = json.dumps(tokenizer()).encode()
    return ffjax.StaticModel(rows(len(TOKENS)), raw, **options)
