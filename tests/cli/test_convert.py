"""`ffjax convert`, `select` and `bucket-to-explicit`: files in, files out."""

import json
import os
import zipfile

import numpy as np
import pytest

import ffjax
from ffjax.formats.load import load
from ffjax.transforms.words import take_words as selected
from tests.cli.conftest import WORDS
from tests.formats.fasttext import files as fasttext_files


def vectors(emb, words):
    return {
        word: None if (vector := emb.embedding(word)) is None else np.asarray(vector)
        for word in words
    }


def same_vectors(one, other, words):
    mine, theirs = vectors(one, words), vectors(other, words)
    assert [word for word in words if mine[word] is None] == [
        word for word in words if theirs[word] is None
    ]
    for word in words:
        if mine[word] is not None:
            np.testing.assert_allclose(mine[word], theirs[word], atol=1e-6, rtol=0, err_msg=word)


def test_converting_a_finalfusion_file_to_itself_changes_no_byte(ff, small, tmp_path):
    for path in small.values():
        assert ff("convert", path, tmp_path / "copy.fifu") == (0, "", "")
        assert (tmp_path / "copy.fifu").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("format", "name"), [("text", "x.txt"), ("textdims", "x.dims"), ("word2vec", "x.w2v")]
)
def test_converting_is_as_ffp_convert(ff, peer, small, tmp_path, format, name):
    """The files of both hold the same words and numbers; `ffjax` takes the format from the name."""
    words = [word for word in WORDS if " " not in word]  # the peer cannot read those in text
    source = tmp_path / "source.fifu"
    emb = ffjax.load_finalfusion(small["simple"])
    selected(emb, np.array([WORDS.index(word) for word in words])).write(source)
    theirs = tmp_path / f"theirs-{name}"
    assert peer("convert", source, theirs, "-f", "finalfusion", "-t", format).status == 0
    assert ff("convert", source, tmp_path / name).status == 0
    import finalfusion

    load = getattr(
        finalfusion,
        {"text": "load_text", "textdims": "load_text_dims", "word2vec": "load_word2vec"}[format],
    )
    mine, other = load(str(tmp_path / name)), load(str(theirs))
    assert mine.vocab.words == other.vocab.words == words
    np.testing.assert_allclose(mine.storage, other.storage, atol=1e-6, rtol=0)
    np.testing.assert_allclose(mine.norms, other.norms, atol=1e-6, rtol=0)
    # and back, from the peer's file
    assert ff("convert", theirs, tmp_path / "back.fifu", "--from", format).status == 0
    assert peer("convert", theirs, tmp_path / "theirs.fifu", "-f", format).status == 0
    ours, again = (ffjax.load_finalfusion(tmp_path / file) for file in ("back.fifu", "theirs.fifu"))
    assert ours.vocab == again.vocab
    np.testing.assert_allclose(
        np.asarray(ours.storage), np.asarray(again.storage), atol=1e-6, rtol=0
    )
    np.testing.assert_allclose(np.asarray(ours.norms), np.asarray(again.norms), atol=1e-6, rtol=0)


def test_converting_fasttext_is_as_ffp_convert(ff, peer, finalfusion_files, tmp_path):
    source = finalfusion_files / "fasttext.bin"
    assert peer("convert", source, tmp_path / "theirs.fifu", "-f", "fasttext").status == 0
    assert ff("convert", source, tmp_path / "mine.fifu").status == 0
    mine, theirs = (
        ffjax.load_finalfusion(tmp_path / name) for name in ("mine.fifu", "theirs.fifu")
    )
    assert mine.vocab == theirs.vocab
    # the peer gives `</s>` n-grams, which it does not have in fastText
    same_vectors(
        mine, theirs, [*(word for word in mine.vocab.words if word != "</s>"), "unknown", "größer"]
    )
    # and to fastText again
    assert (
        ff("convert", tmp_path / "mine.fifu", tmp_path / "mine.bin", "--to", "fasttext").status == 0
    )
    again = load(tmp_path / "mine.bin")
    same_vectors(again, mine, [*mine.vocab.words, "unknown", "größer"])


def test_a_format_that_cannot_hold_the_embeddings_is_bad_input(ff, peer, small, tmp_path):
    """The peer fails too, with a traceback and an empty file."""
    assert (
        peer(
            "convert",
            small["buckets"],
            tmp_path / "theirs.bin",
            "-f",
            "finalfusion",
            "-t",
            "fasttext",
        ).status
        != 0
    )
    result = ff("convert", small["buckets"], tmp_path / "x.bin", "--to", "fasttext")
    assert (
        result.status == 2
        and result.err.startswith("ffjax: error: ")
        and result.err.count("\n") == 1
    )
    assert not (tmp_path / "x.bin").exists()


def test_a_name_without_a_known_ending_is_bad_input(ff, small, tmp_path):
    result = ff("convert", small["simple"], tmp_path / "x.unknown")
    assert result.status == 2 and result.err.count("\n") == 1 and "--to" in result.err
    assert list(tmp_path.iterdir()) == []


def test_text_goes_to_standard_output_and_comes_from_standard_input(pipe, small):
    status, text, _ = pipe("convert", small["simple"], "-", "--to", "textdims")
    assert status == 0 and text.startswith(b"10 12\ntea ")
    status, data, _ = pipe(
        "convert", "-", "-", "--from", "textdims", "--to", "finalfusion", stdin=text
    )
    assert status == 0 and data.startswith(b"FiFu")


def test_standard_output_needs_a_format(ff, small):
    result = ff("convert", small["simple"], "-")
    assert result.status == 2 and "Give one with --to" in result.err


def test_an_interrupted_conversion_leaves_the_old_file(ff, small, tmp_path, monkeypatch):
    target = tmp_path / "old.fifu"
    target.write_bytes(b"old")

    def interrupt(*_):
        raise KeyboardInterrupt

    # The header and the matrix are written by then, the norms not.
    monkeypatch.setattr("ffjax.formats.finalfusion.arrays.release_pages", interrupt)
    assert ff("convert", small["simple"], target) == (130, "", "")
    assert target.read_bytes() == b"old" and os.listdir(tmp_path) == ["old.fifu"]


def test_a_missing_folder_is_bad_input(ff, small, tmp_path):
    result = ff("convert", small["simple"], tmp_path / "no" / "x.fifu")
    assert result == (
        2,
        "",
        f"ffjax: error: expected a file in an existing folder (create it first), got "
        f"{tmp_path / 'no' / 'x.fifu'}\n",
    )


@pytest.mark.parametrize(
    ("kind", "name", "lost"),
    [
        ("buckets", "x.txt", "n-grams and metadata"),
        ("fasttext", "x.vec", "n-grams and metadata"),
        ("simple", "x.w2v", "metadata"),
        ("simple", "x.fifu", None),
    ],
)
def test_dropped_data_is_reported(ff, small, tmp_path, kind, name, lost):
    """`ffp-convert` drops it silently."""
    words = tmp_path / "words.txt"
    words.write_text("tea\npot\n")
    result = ff("select", small[kind], tmp_path / name, "-w", words)
    assert result == (
        0,
        "",
        f"ffjax: {tmp_path / name}: dropped {lost}: the format cannot hold them.\n" if lost else "",
    )
    same_vectors(ffjax.load_finalfusion(small[kind]), load(tmp_path / name), ["tea", "pot"])


def test_three_things_that_are_dropped(ff, tmp_path):
    model = fasttext_files.write(tmp_path, "model.bin", fasttext_files.model(["tea", "pot"]))
    result = ff("convert", model, tmp_path / "x.txt")
    assert "x.txt: dropped n-grams, metadata and training data (counts," in result.err


# bucket-to-explicit


@pytest.mark.parametrize("kind", ["buckets", "fasttext"])
def test_explicit_n_grams_are_those_of_ffp_bucket_to_explicit(ff, peer, small, tmp_path, kind):
    assert peer("bucket_to_explicit", small[kind], tmp_path / "theirs.fifu").status == 0
    said = "ffjax: dropped the metadata, which no longer describes the embeddings.\n"
    assert ff("bucket-to-explicit", small[kind], tmp_path / "mine.fifu") == (0, "", said)
    mine, theirs = (
        ffjax.load_finalfusion(tmp_path / name) for name in ("mine.fifu", "theirs.fifu")
    )
    assert mine.vocab == theirs.vocab
    np.testing.assert_array_equal(np.asarray(mine.storage), np.asarray(theirs.storage))
    same_vectors(mine, theirs, [*WORDS, "teapots", "Кофейник", "xyzzy"])


def test_embeddings_without_buckets_cannot_be_made_explicit(ff, small, tmp_path):
    result = ff("bucket-to-explicit", small["simple"], tmp_path / "x.fifu")
    assert (
        result.status == 2
        and "expected hashed n-grams (finalfusion's or fastText's), got a " in result.err
        and result.err.count("\n") == 1
    )


def test_inputs_are_never_overwritten(ff, small, tmp_path):
    listed, toml, source = tmp_path / "list", tmp_path / "new.toml", tmp_path / "source.svg"
    listed.write_text("tea\n")
    toml.write_text("a = 1\n")
    source.write_bytes(small["simple"].read_bytes())
    commands = [
        ("select", small["simple"], listed, "-w", listed, "--to", "finalfusion"),
        ("metadata", small["simple"], toml, "--replace", toml),
        ("plot", source, "tea", "-o", source),
    ]
    for command in commands:
        result = ff(*command)
        assert result.status == 2 and "expected different files" in result.err
    assert (listed.read_text(), toml.read_text()) == ("tea\n", "a = 1\n")
    assert source.read_bytes() == small["simple"].read_bytes()


def test_warnings_are_single_lines(shell, tmp_path):
    source = tmp_path / "source.txt"
    source.write_text("a nan 2\nb 3 4\nb 5 6\n")
    result = shell("convert", source, tmp_path / "x.fifu")
    lines = result.stderr.decode().splitlines()
    assert result.returncode == 0 and len(lines) == 2
    assert (
        all(line.startswith("ffjax: 1 ") for line in lines)
        and "UserWarning" not in result.stderr.decode()
    )


# Names of other formats, and targets that cannot be written


@pytest.mark.parametrize(
    ("name", "promised", "better"),
    [
        ("x.txt", "text", "x"),
        ("x.bin", "fastText or word2vec", "x"),
        ("x.fifu.gz", "compressed", "x"),
    ],
)
def test_finalfusion_output_needs_a_finalfusion_name(ff, small, tmp_path, name, promised, better):
    path, toml = tmp_path / name, tmp_path / "new.toml"
    toml.write_text("x = 1\n")
    for result in (
        ff("bucket-to-explicit", small["buckets"], path),
        ff("metadata", small["simple"], path, "--replace", toml),
    ):
        assert result.status == 2 and result.err.count("\n") == 1 and not path.exists()
        assert f"{path}: expected a finalfusion file" in result.err
        assert f"such as {tmp_path / better}.fifu, since" in result.err
        assert f"got the name of a {promised} file." in result.err


def test_other_names_are_finalfusion_files(ff, small, tmp_path):
    assert ff("bucket-to-explicit", small["buckets"], tmp_path / "x").status == 0
    assert ffjax.load(tmp_path / "x") == ffjax.load(small["buckets"]).bucket_to_explicit()


@pytest.mark.parametrize("command", ["select", "prune", "convert"])
@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("x.unknown", "expected a name whose ending tells"),
        ("no-folder/x.fifu", "in an existing folder (create it first), got no-folder/x.fifu"),
        ("", "expected the path of a file to write, got an empty name"),
        (".", "expected the path of a file to write, got a folder"),
    ],
)
def test_a_bad_target_fails_before_anything_is_read(
    ff, small, tmp_path, monkeypatch, command, target, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words").write_text("tea\nblorp\n")
    extra = {"select": ["-w", "words"], "prune": ["-n", 2], "convert": []}[command]
    result = ff(command, small["simple"], target, *extra)
    assert result.status == 2 and result.out == "" and result.err.count("\n") == 1
    assert message in result.err


def test_an_input_without_a_name(ff):
    assert ff("info", "") == (2, "", "ffjax: error: an empty name: No such file or directory\n")


@pytest.mark.skipif(
    not os.path.isdir("/proc/self"), reason="needs a folder in which nobody can make files"
)
def test_errors_name_the_target_and_no_temporary_file(ff, tmp_path):
    (tmp_path / "x.txt").write_text("tea 1.0 0.5\n")
    message = "expected a path in a writable folder (choose another), got /proc/x.fifu"
    for source in (tmp_path / "x.txt", tmp_path / "missing"):  # which is not opened
        result = ff("convert", source, "/proc/x.fifu")
        assert result == (2, "", f"ffjax: error: {message}\n")


def test_n_grams_that_fasttext_cannot_hold(ff, small, tmp_path):
    result = ff("convert", small["explicit"], tmp_path / "x.bin", "--to", "fasttext")
    assert result.status == 2 and result.err.count("\n") == 1
    assert result.err.endswith("To write the words alone, save them as text and convert that.\n")


def test_an_empty_list_of_words(ff, small, tmp_path):
    (tmp_path / "words").write_text("\n")
    result = ff("select", small["simple"], tmp_path / "x.fifu", "-w", tmp_path / "words")
    assert result == (2, "", "ffjax: error: expected words in the list, got an empty one.\n")


def test_members_and_columns_are_options(ff, tmp_path):
    table, archive = tmp_path / "table.npz", tmp_path / "two.zip"
    rows = np.eye(2, dtype=np.float32)
    np.savez(table, a=np.array(["x", "y"]), b=np.array(["one", "two"]), c=rows, d=rows)
    columns = ("--input-words", "b", "--input-vectors", "c")
    assert ff("convert", table, tmp_path / "words.fifu", *columns) == (0, "", "")
    assert ffjax.load(tmp_path / "words.fifu").vocab.words == ["one", "two"]
    result = ff("info", table)
    assert result.status == 2 and "Name it with `--input-vectors`." in result.err
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("a.txt", "one 0.5\n")
        out.writestr("b.txt", "two 0.5 0.25\n")
    assert json.loads(ff("info", archive, "--member", "b.txt", "--json").out)["dims"] == 2
    result = ff("convert", archive, tmp_path / "words.fifu")
    assert "got several: 'a.txt', 'b.txt'. Choose one with `--member`." in result.err


def test_a_language_is_for_spacy(ff, tmp_path):
    result = ff("convert", "demo", tmp_path / "x.txt", "--lang", "en")
    assert result.status == 2 and "`--lang`: expected an output for spaCy" in result.err


def test_spacy_names_the_way_to_keep_ngrams(ff, tmp_path):
    result = ff("convert", "demo", tmp_path / "x", "--to", "spacy", "--lang", "en")
    assert result.status == 0 and "`ffjax.Vectors.v1`" in result.err
