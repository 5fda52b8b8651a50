"""Static models: an error that names the problem, or answers of the right shape."""

import json
import os

import numpy as np

import ffjax
from ffjax.formats.io.binary import Output
from ffjax.formats.safetensors_file import write_tensors
from tests.fuzz.fasttext_files import FOLDER

# The files of a model, one after the other.
_END = b"\n--\n"
_PATH = FOLDER / "static_model"
_PATH.mkdir()
_NAMES = ("model.safetensors", "tokenizer.json", "config.json")
_TEXTS = ["tea teas, [PAD]", "", "x\0y é " * 9]


def _seed(dtype: type, **more: np.ndarray) -> bytes:
    vocab = {"[PAD]": 0, "[UNK]": 1, "tea": 2, "##s": 3, "x": 4}
    tree = {
        "added_tokens": [{"id": 0, "content": "[PAD]"}],
        "normalizer": {"type": "BertNormalizer", "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "vocab": vocab},
    }
    path = _PATH / "seed"
    with path.open("wb") as file:
        write_tensors(Output(file), {"embeddings": np.ones((5, 2), dtype), **more})
    config = json.dumps({"normalize": True, "max_length": 5}).encode()
    data = _END.join([path.read_bytes(), json.dumps(tree).encode(), config])
    os.unlink(path)
    return data


SEEDS = [
    _seed(np.float32),
    _seed(np.int8, mapping=np.arange(5)[::-1].copy(), weights=np.ones(5, np.float32)),
]


def target(data: bytes) -> None:
    """Opens a model, mapped and from memory, and encodes a few texts."""
    files = [*data.split(_END, 2), b"", b""]
    for name, content in zip(_NAMES, files, strict=False):
        (_PATH / name).write_bytes(content)
    for mmap in (False, True):
        try:
            model = ffjax.load_static_model(_PATH, mmap=mmap)
            vectors = model.encode(_TEXTS)
        except (ffjax.FormatError, ImportError):
            continue
        assert vectors.shape == (3, model.dims)
        assert sum(map(len, model.tokenize(_TEXTS))) <= 3 * (model.max_length or 99)
