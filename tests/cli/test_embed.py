"""`ffjax embed`: the lines of a text to vectors in a file."""

import shutil

import numpy as np
import pytest

import ffjax


def test_vectors_of_a_file_are_those_of_embed_text(ff, small, tmp_path):
    text, out = tmp_path / "text", tmp_path / "vectors.npy"
    text.write_text("tea coffee\n\nteapots\n", encoding="utf-8")
    result = ff("embed", small["buckets"], text, "-o", out, "--pooling", "fasttext")
    assert (result.status, result.out) == (
        0,
        "",
    ) and result.err == f"ffjax: {out}: 3 x 12 of float32.\n"
    expected, _ = ffjax.embed_text(
        ffjax.load(small["buckets"]), text.read_bytes(), pooling="fasttext"
    )
    np.testing.assert_array_equal(np.load(out), expected)


def test_standard_input_and_the_embeddings_inside_the_package(ff, tmp_path):
    out = tmp_path / "vectors.npy"
    result = ff("embed", "-", "-o", out, "--dtype", "float16", stdin="a cup of tea\nberlin\n")
    assert (result.status, result.out) == (0, "")
    assert "using the 40,000 words inside the package" in result.err
    vectors = np.load(out)
    assert vectors.shape == (2, 100) and vectors.dtype == np.float16
    np.testing.assert_allclose(vectors[1], ffjax.demo()["berlin"], atol=1e-3)


@pytest.mark.filterwarnings("default:most lines have no word")
def test_words_can_be_changed_and_a_warning_says_so(ff, tmp_path):
    text, out = tmp_path / "text", tmp_path / "vectors.npy"
    text.write_text("BERLIN!\nTEA,\n")
    result = ff("embed", text, "-o", out)
    advice = "pass `--lowercase` and `--strip-punctuation`."
    assert result.status == 0 and advice in result.err and not np.load(out).any()
    result = ff("embed", text, "-o", out, "--lowercase", "--strip-punctuation")
    assert result.status == 0 and advice not in result.err
    np.testing.assert_allclose(np.load(out)[0], ffjax.demo()["berlin"], atol=1e-6)


def test_static_models(ff, tmp_path):
    model, text, out = tmp_path / "model", tmp_path / "text", tmp_path / "vectors.npy"
    words = ffjax.from_vectors(["tea", "time"], [[2.0, 0.0], [0.0, 1.0]])
    ffjax.write_model2vec(model, words)
    text.write_text("Tea time\n\n")
    result = ff("embed", model, text, "-o", out)
    assert (result.status, result.err) == (0, f"ffjax: {out}: 2 x 2 of float32.\n")
    np.testing.assert_array_equal(np.load(out), [[1.0, 0.5], [0.0, 0.0]])
    (tmp_path / "models").mkdir()
    twice = ffjax.from_vectors(["tea", "time"], [[4.0, 0.0], [0.0, 2.0]])
    ffjax.write_model2vec(tmp_path / "models" / "a", words)
    ffjax.write_model2vec(tmp_path / "models" / "b", twice)
    path = shutil.make_archive(str(tmp_path / "models"), "gztar", tmp_path, "models")
    result = ff("embed", path, text, "-o", out, "--member", "models/b")
    assert result.status == 0 and np.load(out)[0].tolist() == [2.0, 1.0]
    for option in (["--pooling", "max"], ["--lowercase"], ["--strip-punctuation"]):
        expected = f"`{option[0]}`: expected no such option for a static model"
        results = [ff("embed", model, text, "-o", out, *option)]
        if option[0] != "--pooling":
            results.append(ff("search", text, "tea", "-e", model, *option))
        for result in results:
            assert result.status == 2 and expected in result.err
            assert result.err.endswith("divides the text. Leave it out.\n")


@pytest.mark.parametrize("name", ["e.parquet", "e.txt"])
def test_other_endings(ff, name, tmp_path):
    result = ff("embed", "-", "-o", tmp_path / name, stdin="tea\n")
    assert result.status == 2 and "expected a name that ends with .npy, got" in result.err
    assert not (tmp_path / name).exists()


def test_inputs_are_never_overwritten(ff, small, tmp_path):
    text = tmp_path / "text"
    text.write_text("tea\n")
    for output in (text, small["buckets"]):
        result = ff("embed", small["buckets"], text, "-o", output)
        assert result.status == 2 and "expected different files" in result.err
    assert text.read_text() == "tea\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a", "b", "c", "-o", "x"), "expected embeddings and a text, got 3 files: a b c."),
        (("-", "-", "-o", "x"), "expected embeddings or a text on standard input, got both."),
        (("text", "-o", "-"), "expected a .npy file, got standard output. Name one with -o."),
        (("no-such-text", "-o", "x"), "no-such-text: No such file or directory"),
    ],
)
def test_bad_usage_ends_in_one_line_and_status_2(ff, arguments, message):
    result = ff("embed", *arguments)
    assert (
        result.status == 2
        and result.err.startswith(f"ffjax: error: {message}")
        and result.err.count("\n") == 1
    )
