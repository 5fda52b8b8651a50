"""`ffjax embed`: the lines of a text to vectors in a file."""

import numpy as np
import pytest

import ffjax


def test_vectors_of_a_file_are_those_of_embed_text(ff, small, tmp_path):
    text, out = tmp_path / "text", tmp_path / "vectors.npy"
    text.write_text("tea coffee\n\nteapots\n", encoding="utf-8")
    done = ff("embed", small["buckets"], text, "-o", out, "--pooling", "fasttext")
    assert (done.status, done.out) == (0, "") and done.err == f"ffjax: {out}: 3 x 12 of float32.\n"
    expected, _ = ffjax.embed_text(
        ffjax.load(small["buckets"]), text.read_bytes(), pooling="fasttext"
    )
    np.testing.assert_array_equal(np.load(out), expected)


def test_standard_input_and_the_embeddings_inside_the_package(shell, tmp_path):
    out = tmp_path / "vectors.npy"
    done = shell("embed", "-", "-o", out, "--dtype", "float16", stdin=b"a cup of tea\nberlin\n")
    assert (done.returncode, done.stdout) == (
        0,
        b"",
    ) and b"using the 40,000 words inside the package" in done.stderr
    vectors = np.load(out)
    assert vectors.shape == (2, 100) and vectors.dtype == np.float16
    np.testing.assert_allclose(vectors[1], ffjax.demo()["berlin"], atol=1e-3)


def test_what_is_read_is_not_written_over(ff, small, tmp_path):
    text = tmp_path / "text"
    text.write_text("tea\n")
    for output in (text, small["buckets"]):
        done = ff("embed", small["buckets"], text, "-o", output)
        assert done.status == 2 and "expected different files" in done.err
    assert text.read_text() == "tea\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a", "b", "c", "-o", "x"), "expected embeddings and a text, got 3 files: a b c."),
        (("-", "-", "-o", "x"), "expected embeddings or a text on standard input, got both."),
        (("text", "-o", "-"), "expected a file for the vectors, got standard output"),
        (("no-such-text", "-o", "x"), "no-such-text: No such file or directory"),
    ],
)
def test_bad_usage_ends_in_one_line_and_status_2(ff, arguments, message):
    done = ff("embed", *arguments)
    assert (
        done.status == 2
        and done.err.startswith(f"ffjax: error: {message}")
        and done.err.count("\n") == 1
    )
