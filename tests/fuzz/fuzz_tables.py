"""Tables: files of each format are read, mapped or refused, whatever their bytes say."""

import io
import warnings

import numpy as np

import ffjax
from tests.formats.samples import ROWS, simple
from tests.fuzz.fasttext_files import FOLDER

_PATH = FOLDER / "tables" / "table"
_PATH.parent.mkdir()
_PATH.with_name("words.txt").write_text("one\ntwo\n")


def _saved(format: str) -> bytes:
    options = {"words_path": f"{_PATH}.txt"} if format == "npy" else {}
    ffjax.save(simple(), _PATH, format=format, **options)
    return _PATH.read_bytes()


def _npz() -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, words=np.array(["one", "two"]), vectors=ROWS)
    return out.getvalue()


FORMATS = ("npy", "npz", "safetensors", "parquet", "arrow", "arrow-stream")
SEEDS = [*map(_saved, FORMATS), _npz()]


def target(data: bytes) -> None:
    """Reads a file, and maps it."""
    _PATH.write_bytes(data)
    for mmap in (False, True):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # repeated words, vectors that are not finite
                emb = ffjax.load(_PATH, mmap=mmap)
            assert len(emb.vocab) <= len(emb.storage)
            assert np.array(emb.storage).shape == emb.storage.shape
        except ffjax.FormatError:
            pass
