"""The command `select`."""


import numpy as np
import pytest

import ffjax
from ffjax.transforms.words import take_words as selected
from tests import builders
from tests.cli.conftest import WORDS
from tests.cli.test_convert import same_vectors
from tests.formats.fasttext import files as fasttext_files


@pytest.mark.parametrize("kind", ["simple", "buckets", "fasttext", "explicit"])
def test_selected_words_keep_their_vectors_norms_and_order(ff, small, tmp_path, kind):
    keep = tmp_path / "keep.txt"
    keep.write_text("naïve\ntea\n\na b\n咖啡\n", encoding="utf-8")
    assert ff("select", small[kind], tmp_path / "small.fifu", "--words", keep) == (0, "", "")
    old, new = ffjax.load_finalfusion(small[kind]), ffjax.load_finalfusion(tmp_path / "small.fifu")
    assert new.vocab.words == ["tea", "咖啡", "naïve", "a b"]
    same_vectors(old, new, [*new.vocab.words, "teapots", "xyzzy"])
    assert [new.embedding_with_norm(word)[1] for word in new.vocab.words] == [
        old.embedding_with_norm(word)[1] for word in new.vocab.words
    ]
    assert new.metadata == old.metadata


def test_select_reports_that_it_drops_training_data(ff, tmp_path):
    model = fasttext_files.write(tmp_path, "model.bin", fasttext_files.model(["tea", "pot", "cup"]))
    result = ff("select", model, tmp_path / "x.fifu", "-w", "-", stdin="pot\ntea\n")
    assert (result.status, result.out) == (0, "")
    assert "dropped the training data (counts, labels, output matrix)" in result.err
    assert ffjax.load_finalfusion(tmp_path / "x.fifu").vocab.words == ["tea", "pot"]


def test_the_first_words_are_selected(ff, small, tmp_path):
    assert ff("select", small["buckets"], tmp_path / "3.fifu", "-n", 3).status == 0
    assert ffjax.load_finalfusion(tmp_path / "3.fifu").vocab.words == WORDS[:3]
    assert ff("select", small["buckets"], tmp_path / "all.fifu", "-n", 1000).status == 0
    assert (tmp_path / "all.fifu").read_bytes() == small["buckets"].read_bytes()


def test_listed_words_among_the_first_are_selected(ff, small, tmp_path):
    result = ff(
        "select",
        small["simple"],
        tmp_path / "x.fifu",
        "-n",
        3,
        "-w",
        "-",
        stdin="pot\ncoffee\ntea\n",
    )
    assert result == (0, "", "ffjax: missing 1 of 3 listed words: pot\n")
    assert ffjax.load_finalfusion(tmp_path / "x.fifu").vocab.words == ["tea", "coffee"]


def test_many_missing_words_are_reported_in_one_line(ff, small, tmp_path):
    listed = "\n".join(["tea", *(f"w{number}" for number in range(2000))])
    result = ff("select", small["simple"], tmp_path / "x.fifu", "-w", "-", stdin=listed)
    assert (
        result.err
        == "ffjax: missing 2,000 of 2,001 listed words: w0, w1, w10, w100, w1000, ...\n"
    )


def test_selecting_nothing_is_bad_input(ff, small, tmp_path):
    result = ff("select", small["simple"], tmp_path / "x.fifu", "-w", "-", stdin="nothing\n")
    assert result.status == 2 and "none of the listed words is in the file." in result.err
    assert not (tmp_path / "x.fifu").exists()
    result = ff("select", small["simple"], tmp_path / "x.fifu")
    assert result.status == 2 and "expected --words FILE or --first N, got neither" in result.err


@pytest.mark.parametrize("storage", builders.STORAGES)
@pytest.mark.parametrize("vocab", ["simple", "buckets", "explicit"])
def test_every_storage_is_selected_from(vocab, storage):
    emb = builders.embeddings(vocab, storage)
    positions = np.array([7, 2, 4])
    words = [emb.vocab.words[i] for i in positions]
    new = selected(emb, positions)
    assert new.vocab.words == words and type(new.storage) is type(emb.storage)
    same_vectors(emb, new, [*words, "Zürichs", "東京都"])


def test_words_that_share_rows_share_them_afterwards():
    vocab = ffjax.SimpleVocab(["a", "b", "c", "d"], rows=np.array([0, 1, 0, 2]))
    emb = ffjax.Embeddings(ffjax.NdArray(np.eye(3, dtype=np.float32)), vocab)
    new = selected(emb, np.array([0, 2, 3]))
    assert new.storage.shape == (2, 3) and new.vocab.word_index == {"a": 0, "c": 0, "d": 1}
    same_vectors(emb, new, ["a", "c", "d"])
