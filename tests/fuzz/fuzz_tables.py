"""Tables: files of each format are read, mapped or refused, whatever their bytes say."""

import io
import os
import tempfile
import warnings

import numpy as np

import ffjax
from tests.formats.samples import ROWS, simple

_FOLDER = tempfile.mkdtemp()
_PATH = os.path.join(_FOLDER, "table")
with open(os.path.join(_FOLDER, "words.txt"), "w") as _words:
    _words.write("one\ntwo\n")


def _saved(format: str) -> bytes:
    options = {"words_path": _PATH + ".txt"} if format == "npy" else {}
    ffjax.save(simple(), _PATH, format=format, **options)
    with open(_PATH, "rb") as file:
        return file.read()


def _npz() -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, words=np.array(["one", "two"]), vectors=ROWS)
    return out.getvalue()


FORMATS = ("npy", "npz", "safetensors", "parquet", "arrow", "arrow-stream")
SEEDS = [*map(_saved, FORMATS), _npz()]


def target(data: bytes) -> None:
    """Reads a file, and maps it."""
    with open(_PATH, "wb") as file:
        file.write(data)
    for mmap in (False, True):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # repeated words, vectors that are not finite
                emb = ffjax.load(_PATH, mmap=mmap)
            assert len(emb.vocab) <= len(emb.storage)
            assert np.array(emb.storage).shape == emb.storage.shape
        except ffjax.FormatError:
            pass
