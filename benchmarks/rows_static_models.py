"""Texts to vectors with a static model, beside model2vec."""

import json
import tempfile
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

import ffjax
from benchmarks.files import Missing, peer, real
from benchmarks.harness import Pair, row

DIMS = 256
N_LINES, N_DOCUMENTS, DOCUMENT_CHARACTERS = 100_000, 2000, 4096
NOTE = "our memory of words is emptied before each run"
_FIXTURE = Path("data", "model2vec", "test-model-float32")


@cache
def _folder() -> tempfile.TemporaryDirectory:
    """The tokenizer of the potion models, with random rows."""
    source = Path(__file__).resolve().parents[2] / "shared" / _FIXTURE
    if not source.is_dir():
        raise Missing(f"`../shared/{_FIXTURE}` is missing, next to the repository.")
    tokenizer = (source / "tokenizer.json").read_bytes()
    n_tokens = len(json.loads(tokenizer)["model"]["vocab"])
    rows = np.random.default_rng(0).standard_normal((n_tokens, DIMS)).astype(np.float32)
    folder = tempfile.TemporaryDirectory()
    ffjax.write_static_model(folder.name, ffjax.StaticModel(rows, tokenizer, normalize=True))
    return folder


@cache
def _lines() -> list[str]:
    with open(real("corpus.txt"), encoding="utf8", errors="replace") as file:
        lines = map(str.strip, file)
        return list(islice(filter(None, lines), N_LINES))


def _documents() -> list[str]:
    with open(real("corpus.txt"), encoding="utf8", errors="replace") as file:
        text = file.read(2 * N_DOCUMENTS * DOCUMENT_CHARACTERS).replace("\n", " ")
    starts = range(0, N_DOCUMENTS * DOCUMENT_CHARACTERS, DOCUMENT_CHARACTERS)
    return [text[start : start + DOCUMENT_CHARACTERS] for start in starts]


def _pair(texts: list[str]) -> Pair:
    models, folder = peer("model2vec"), _folder().name
    model, theirs = ffjax.load_static_model(folder), models.StaticModel.from_pretrained(folder)

    def encode() -> np.ndarray:
        model._tokenizer._memos.clear()
        return model.encode(texts)

    def check(ours: Any, expected: Any) -> None:
        np.testing.assert_array_equal(ours, expected)

    tokens = sum(map(len, model.tokenize(texts)))
    moved = 4 * DIMS * (tokens + len(texts)) + sum(map(len, texts))
    return Pair(encode, lambda: theirs.encode(texts), check, moved, note=NOTE)


@row(
    issue=16,
    work="100,000 lines with a WordPiece model, 256 dims",
    beside="model2vec `encode`",
    at_least=8,
    repeat=5,
)
def static_lines() -> Pair:
    return _pair(_lines())


@row(
    issue=16,
    work="2,000 documents of 4 KB with the same model",
    beside="model2vec `encode`",
    at_least=5,
    repeat=5,
)
def static_documents() -> Pair:
    return _pair(_documents())
