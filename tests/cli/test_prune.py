"""`ffjax prune`: what `ffjax.prune` keeps, in files."""

import numpy as np
import pytest

import ffjax
from tests.cli.conftest import WORDS
from tests.formats.fasttext import files as fasttext_files


@pytest.mark.parametrize("kind", ["simple", "buckets"])
def test_the_first_words_and_the_mapping(ff, small, tmp_path, kind):
    output, mapping = tmp_path / "small.fifu", tmp_path / "mapping.tsv"
    result = ff("prune", small[kind], output, "-n", 4, "--mapping", mapping)
    assert (result.status, result.err) == (
        0,
        f"ffjax: dropped 6 of 10 words; {mapping} lists their replacements.\n",
    )
    old, new = ffjax.load(small[kind]), ffjax.load(output)
    assert new.vocab.words == WORDS[:4] and new.metadata == old.metadata
    for word in WORDS[:4]:
        np.testing.assert_array_equal(new[word], old[word])
    lines = [line.split("\t") for line in mapping.read_text(encoding="utf-8").splitlines()]
    expected = ffjax.prune(old, 4).mapped
    assert {word: replacement for word, replacement, _ in lines} == {
        word: replacement for word, (replacement, _) in expected.items()
    }
    np.testing.assert_allclose(
        [float(score) for *_, score in lines], [score for _, score in expected.values()]
    )


def test_all_words_with_repeated_rows(ff, small, tmp_path):
    output = tmp_path / "same.fifu"
    result = ff("prune", small["simple"], output, "-n", 4, "--repeat-rows", "--mapping", "-")
    assert result.status == 0
    new = ffjax.load(output)
    assert new.vocab.words == WORDS
    for word, replacement, _ in result.rows:
        np.testing.assert_array_equal(new[word], new[replacement])
    assert [row[0] for row in result.rows] == WORDS[4:]


@pytest.mark.parametrize("kind", ["simple", "buckets"])
@pytest.mark.parametrize("to", [(), ("--to", "msgpack")])
def test_snapshots_keep_all_words_and_share_rows(ff, small, tmp_path, kind, to):
    output = tmp_path / ("same.fifu" if to else "same.msgpack")
    result = ff("prune", small[kind], output, "-n", 4, *to)
    assert (result.status, result.err) == (
        0,
        "ffjax: mapped 6 of 10 words to another word's row.\n",
    )
    new = ffjax.load(output)
    assert new == ffjax.prune(ffjax.load(small[kind]), 4).embeddings
    assert new.vocab.words == WORDS and new.vocab.n_word_rows == 4
    assert ff("prune", small[kind], output, "-n", 4, *to, "--repeat-rows").status == 0
    assert ffjax.load(output) == ffjax.unshare_rows(new)


def test_folders_of_spacy_keep_all_words_and_share_rows(ff, small, tmp_path):
    result = ff("prune", small["simple"], tmp_path / "pipeline", "-n", 4, "--to", "spacy")
    assert result.status == 0 and "mapped 6 of 10 words to another word's row.\n" in result.err
    new = ffjax.load(tmp_path / "pipeline")
    assert sorted(new.vocab.words) == sorted(WORDS) and new.vocab.n_word_rows == 4


def test_a_snapshot_keeps_training_data(ff, tmp_path):
    model = fasttext_files.write(tmp_path, "model.bin", fasttext_files.model(["tea", "pot", "cup"]))
    result = ff("prune", model, tmp_path / "x.msgpack", "-n", 2)
    assert (result.status, result.err) == (
        0,
        "ffjax: mapped 1 of 3 words to another word's row.\n",
    )
    assert ffjax.load(tmp_path / "x.msgpack").training == ffjax.load(model, mmap=True).training


def test_quantized_rows_stay_codes(ff, small, tmp_path):
    quantized, output = tmp_path / "small.fifu", tmp_path / "pruned.fifu"
    assert ff("quantize", small["buckets"], quantized, "--bits", 3, "-i", 2).status == 0
    assert ff("prune", quantized, output, "-n", 4).status == 0
    old, new = ffjax.load(quantized), ffjax.load(output)
    assert (
        isinstance(new.storage, ffjax.QuantizedArray)
        and new.storage.quantizer == old.storage.quantizer
    )
    np.testing.assert_array_equal(new.storage.codes[:4], old.storage.codes[:4])
    np.testing.assert_array_equal(new.storage.codes[4:], old.storage.codes[10:])


def test_nothing_is_pruned_from_few_words(ff, small, tmp_path):
    output = tmp_path / "same.fifu"
    assert (
        ff("prune", small["buckets"], output, "-n", 10).err
        == "ffjax: dropped 0 of 10 words.\n"
    )
    assert output.read_bytes() == small["buckets"].read_bytes()


def test_bad_input(ff, small, tmp_path):
    result = ff("prune", small["simple"], "-", "-n", 4, "--mapping", "-")
    assert (
        result.status == 2
        and "expected OUTPUT or --mapping on standard output, got both" in result.err
    )
    assert ff("prune", small["simple"], tmp_path / "x.fifu", "-n", 0).status == 2


@pytest.mark.parametrize("over", ["input", "output"])
def test_the_mapping_never_overwrites_embeddings(ff, small, tmp_path, over):
    source, output = tmp_path / "input", tmp_path / "output.fifu"
    source.write_bytes(small["simple"].read_bytes())
    result = ff(
        "prune", source, output, "-n", 4, "--mapping", source if over == "input" else output
    )
    assert (
        result.status == 2
        and "expected different files" in result.err
        and result.err.count("\n") == 1
    )
    assert source.read_bytes() == small["simple"].read_bytes() and not output.exists()


def test_dropped_training_data_is_reported(ff, tmp_path):
    model = fasttext_files.write(tmp_path, "model.bin", fasttext_files.model(["tea", "pot", "cup"]))
    for command in (
        ("prune", model, tmp_path / "x.fifu", "-n", 2),
        ("bucket-to-explicit", model, tmp_path / "y.fifu"),
    ):
        result = ff(*command)
        assert result.status == 0
        assert "ffjax: dropped the training data (counts, labels, output matrix)" in result.err


def test_a_bad_output_leaves_no_mapping(ff, small, tmp_path):
    result = ff(
        "prune",
        small["simple"],
        tmp_path / "none" / "x.fifu",
        "-n",
        4,
        "--mapping",
        tmp_path / "m.tsv",
    )
    assert result.status == 2 and not list(tmp_path.iterdir())


def test_a_bad_mapping_leaves_no_output(ff, small, tmp_path):
    result = ff(
        "prune",
        small["simple"],
        tmp_path / "x.fifu",
        "-n",
        4,
        "--mapping",
        tmp_path / "none" / "m.tsv",
    )
    assert (
        result.status == 2
        and "expected a file in an existing folder" in result.err
        and not list(tmp_path.iterdir())
    )


@pytest.mark.parametrize("n", [2, 3])
def test_a_word_without_a_finite_vector_ends_in_one_line(ff, tmp_path, n):
    path, output = tmp_path / "odd.fifu", tmp_path / "pruned.fifu"
    matrix = np.array([[1, 2, 3], [2, 1, 0], [np.nan, 1, 1], [1, 1, 1]], np.float32)
    ffjax.Embeddings(ffjax.NdArray(matrix), ffjax.SimpleVocab(list("abcd"))).write(path)
    result = ff("prune", path, output, "-n", n)
    assert (result.status, result.out) == (2, "") and result.err.count("\n") == 1
    problem = f"{path}: expected finite numbers, got NaN or infinity in the vector of 'c'."
    assert result.err.startswith(f"ffjax: error: {problem}") and "`ffjax select`" in result.err
    assert not output.exists()
