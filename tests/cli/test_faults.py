"""Words as files list them, and files that need an option."""

import os

import pytest

import ffjax

WORDS = ["tea", "\u00a0", "\u3000cup", "end\u0085", "New York", "\ufeff"]


@pytest.fixture
def words(tmp_path):
    """Embeddings whose words begin or end with white space beyond ASCII."""
    path = tmp_path / "words.vec"
    lines = [f"{word} {i}.5 1.0\n" for i, word in enumerate(WORDS, start=1)]
    path.write_bytes(f"{len(WORDS)} 2\n{''.join(lines)}".encode())
    return path


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_word_lists_keep_words(ff, tmp_path, words, mark):
    listed, target = tmp_path / "list", tmp_path / "selected.fifu"
    listed.write_bytes((mark + "tea\r\n\u00a0\n\u3000cup\nend\u0085 \n\nNew York\n").encode())
    result = ff("select", words, target, "--words", listed)
    assert (result.status, result.err) == (0, "")
    assert ffjax.load(target).vocab.words == WORDS[:-1]
    result = ff("similar", words, "--input", listed, "-k", "1")
    assert result.status == 0
    lines = result.out.removesuffix("\n").split("\n")
    assert [line.split("\t")[0] for line in lines] == WORDS[:-1]


def test_analogies_keep_words(ff, tmp_path, words):
    listed = tmp_path / "list"
    listed.write_bytes("tea \u00a0 \u3000cup\n".encode())
    assert ff("analogy", words, "--input", listed, "-k", "1").status == 0


def test_input_dims_settles_words_that_end_with_values(ff, tmp_path):
    path, target = tmp_path / "words.txt", tmp_path / "words.fifu"
    path.write_bytes(b"tea 0.5 0.25\ncup 1.5 2\npython 2.7 0.5 1.5\n")
    for command in (["info", path], ["convert", path, target], ["similar", path, "tea"]):
        result = ff(*command)
        assert result.status == 2
        assert "say so with `--input-dims 2`" in result.err
        assert ff(*command, "--input-dims", "2").status == 0
    assert ffjax.load(target).vocab.words == ["tea", "cup", "python 2.7"]


def test_a_wrong_first_line_names_select(ff, tmp_path):
    path, target = tmp_path / "words.vec", tmp_path / "words.fifu"
    path.write_bytes(b"1 2\ntea 0.5 0.25\ncup 1.5 2\n")
    result = ff("similar", path, "tea")
    assert "`ffjax select --first 2` reads the 2 that there are" in result.err
    assert ff("select", path, target, "--first", "2").status == 0
    assert ffjax.load(target).n_words == 2


ADDRESS = "https://example.org/vectors.fifu"


@pytest.mark.parametrize(
    "command",
    [
        ["convert", "demo", ADDRESS],
        ["convert", "demo", ADDRESS, "--to", "spacy"],
        ["select", "demo", ADDRESS, "--first", "2"],
        ["prune", "demo", ADDRESS, "--rows", "2"],
        ["prune", "demo", "pruned.fifu", "--rows", "2", "--mapping", ADDRESS],
        ["metadata", "demo", ADDRESS, "--replace", __file__],
        ["embed", __file__, "--output", ADDRESS],
        ["plot", "demo", "tea", "--output", ADDRESS, "--to", "svg"],
        ["explore", "demo", "--output", ADDRESS],
        ["neighbours", "demo", "--output", ADDRESS],
        ["evaluate", "demo", ADDRESS],
    ],
    ids=lambda command: command[0],
)
def test_addresses_are_not_files(ff, command):
    status, out, err = ff(*command)
    assert (status, out) == (2, "")
    file = ADDRESS if command[0] == "evaluate" else "OUTPUT"
    expected = f"error: {file}: expected the path of a local file, got the address '{ADDRESS}'."
    assert expected in err
    assert ("Download the file first" in err) == (file == ADDRESS)


def test_a_platform_that_jax_lacks_is_one_line(shell):
    result = shell("similar", "demo", "tea", env={**os.environ, "JAX_PLATFORMS": "none"})
    assert result.returncode == 2 and result.stderr.count(b"\n") == 1
    assert result.stderr.startswith(b"ffjax: error: Unable to initialize backend 'none'")


@pytest.mark.parametrize("command", [("similar", "tea"), ("analogy", "man", "king", "woman")])
def test_a_wrong_environment_variable_is_one_line(ff, monkeypatch, command):
    name, *words = command
    monkeypatch.setenv("FFJAX_COMPILE", "foo")
    problem = "the environment variable FFJAX_COMPILE: expected always or never, got 'foo'."
    assert ff(name, "demo", *words) == (2, "", f"ffjax: error: {problem}\n")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("similar demo berlin -f word2vec", "got a finalfusion file. Leave out `-f`."),
        ("similar berlin", "berlin: No such file or directory. `ffjax similar demo berlin` uses"),
        ("plot demo tea -o -", "error: On standard output, give the format with --to."),
        ("evaluate demo {path}", "expected text, got a binary file"),
    ],
)
def test_bad_input_says_what_to_do(ff, tmp_path, command, message):
    path = tmp_path / "x.parquet"
    path.write_bytes(b"PAR1\0\n: one\n")
    result = ff(*command.format(path=path).split())
    assert (result.status, result.out, result.err.count("\n")) == (2, "", 1)
    assert message in result.err
