"""Files for embedding-atlas and TensorFlow's Embedding Projector, read back."""

import json

import numpy as np
import pytest

import ffjax
from tests.formats.explorer.test_page import EMB, ROWS, WORDS


def test_projector(tmp_path):
    folder = tmp_path / "projector"
    for _ in range(2):  # it may be written again
        ffjax.write_projector(folder, EMB, limit=599)
    (tensor,) = json.loads((folder / "config.json").read_text())["embeddings"]
    rows = np.fromfile(folder / tensor["tensorPath"], "<f4").reshape(tensor["tensorShape"])
    np.testing.assert_allclose(rows, EMB.embedding_batch(WORDS[:599])[0])
    lines = (folder / tensor["metadataPath"]).read_text("utf-8").split("\n")
    assert lines[:2] == WORDS[:2] and lines[-3:] == ["日本", "a b", ""]
    board = (folder / "projector_config.pbtxt").read_text()
    assert "tensor_shape: 599" in board and "tensor_shape: 6" in board


def test_every_word_has_a_visible_line(tmp_path):
    words = ["a", "\u3000", "b\x85c", "d\u00a0e", " "]
    ffjax.write_projector(tmp_path / "p", ffjax.from_vectors(words, ROWS[:5]))
    text = (tmp_path / "p" / "metadata.tsv").read_text("utf-8")
    assert text.split("\n") == ["a", "␣", "b c", "d\u00a0e", "␣", ""]


@pytest.mark.parametrize("limit", [-1, 0])
def test_wrong_number_of_words(tmp_path, limit):
    with pytest.raises(ValueError, match="`limit`"):
        ffjax.write_projector(tmp_path / "p", EMB, limit=limit)


def test_a_folder_with_other_files_stays(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(OSError, match=str(tmp_path)):
        ffjax.write_projector(tmp_path, EMB)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_atlas(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "words.parquet"
    ffjax.write_atlas(path, EMB, projection="pca", neighbors=5)
    table = parquet.read_table(path).to_pydict()
    assert list(table) == ["word", "x", "y", "neighbors", "vector"]
    assert table["word"] == WORDS
    unit = ROWS[0] / np.linalg.norm(ROWS[0])
    np.testing.assert_allclose(table["vector"][0], unit, rtol=1e-6)
    nearest = table["neighbors"][0]
    cosines = [np.dot(table["vector"][i], unit) for i in nearest["ids"]]
    np.testing.assert_allclose(1 - np.array(nearest["distances"]), cosines, atol=1e-6)
