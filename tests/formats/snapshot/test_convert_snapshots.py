"""`convert` of snapshots: what `save(load(...))` writes, without the matrix in memory."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import ffjax
from ffjax.formats.convert import convert
from ffjax.formats.snapshot import arrays, files
from tests import builders
from tests.formats.fasttext import files as fasttext_files
from tests.formats.test_convert import same


@pytest.mark.parametrize("storage", builders.ALL_STORAGES)
def test_snapshots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, storage: str) -> None:
    """Matrices of any size are mapped, in chunks that end within a row."""
    monkeypatch.setattr(files, "_LARGE_BYTES", 0)
    monkeypatch.setattr(files, "_BLOCK_BYTES", 7)
    monkeypatch.setattr(arrays, "MAX_CHUNK_BYTES", 100)
    path = tmp_path / "source"
    for vocab in ("simple", "fasttext"):
        ffjax.save(builders.embeddings(vocab, storage), path, format="msgpack")
        assert same(tmp_path, path, "msgpack")
        assert same(tmp_path, path, "textdims", drop_subwords=True, reconstruct=True)
    (tmp_path / "model").write_bytes(fasttext_files.model())
    convert(tmp_path / "model", path, to_format="msgpack")
    (tmp_path / "model").unlink()
    assert same(tmp_path, path, "fasttext")


def test_a_snapshot_is_not_in_memory(tmp_path: Path) -> None:
    """48 MB of rows in blocks of 4 MB."""
    rows = np.ones((1 << 12, 3 << 10), np.float32)
    vocab = ffjax.SimpleVocab([f"w{i}" for i in range(len(rows))])
    ffjax.save(ffjax.Embeddings(ffjax.NdArray(rows), vocab), tmp_path / "source.msgpack")
    for to in ("x.fifu", "x.msgpack"):
        tracemalloc.start()
        convert(tmp_path / "source.msgpack", tmp_path / to)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 16 << 20, peak
