"""`ffjax classify`."""

import gzip
import json
import subprocess
import sys
from threading import Timer

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

import ffjax
from ffjax.cli.output import Progress
from tests.formats.fasttext.files import model as words_model
from tests.formats.fasttext.files import write


@pytest.fixture
def model(classifiers):
    return classifiers / "softmax-chars"


def test_lines_are_labelled(ff, model, tmp_path):
    (tmp_path / "text").write_text("abc\n\nиии\n")
    classifier = ffjax.load_classifier(model)
    labels, scores = classifier.predict(["abc", "", "иии"])
    expected = [f"{names[0]} {row[0]:.6g}" for names, row in zip(labels, scores, strict=True)]
    assert ff("classify", model, tmp_path / "text").out.splitlines() == expected
    assert ff("classify", model, tmp_path / "text", "-o", tmp_path / "out").out == ""
    assert (tmp_path / "out").read_text().splitlines() == expected


def test_lines_of_a_pipe_are_answered_as_they_come(model):
    command = [sys.executable, "-m", "ffjax", "classify", str(model)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        watchdog = Timer(120, process.kill)  # without an answer, `readline` would wait forever
        watchdog.start()
        for _ in range(2):
            process.stdin.write(b"abc\n")
            process.stdin.flush()
            assert process.stdout.readline().startswith(b"__label__")
        process.stdin.close()
        assert process.stdout.read() == b"" and process.wait() == 0
        watchdog.cancel()


def test_options_reach_the_classifier(ff, model, tmp_path):
    (tmp_path / "text").write_text("ABC\n")
    arguments = ("classify", model, tmp_path / "text", "--lowercase")
    row = json.loads(ff(*arguments, "--json", "-k", 2, "--restrict", "l1,l2").out)
    assert sorted(row["labels"]) == ["__label__l1", "__label__l2"]
    row = json.loads(ff(*arguments, "--json", "--into", "lang, prob").out)
    assert list(row) == ["lang", "prob"]
    score = float(ff(*arguments, "--score", "l1").out)
    assert score == pytest.approx(ffjax.load_classifier(model).score("abc", "l1"), rel=1e-5)


def test_only_the_ending_makes_a_file_parquet(ff, model, tmp_path):
    (tmp_path / "notparquet").write_text("abc\n")
    assert ff("classify", model, tmp_path / "notparquet").out.startswith("__label__")


def test_info_shows_the_loss(ff, model):
    rows = dict(ff("info", model).rows)
    assert rows["loss"] == "Softmax" and rows["word_ngrams"] == "1"


def test_json_lines_get_fields(ff, model, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"body": "abc"}\n')
    row = json.loads(ff("classify", model, tmp_path / "in.jsonl", "--column", "body").out)
    assert row.keys() == {"body", "label", "score"}


def test_json_that_is_read_as_text_is_reported(ff, model, tmp_path):
    line = '{"text": "abc"}\n'
    (tmp_path / "lines").write_text(line)
    said = "lines look like JSON but are labelled as text. -f json labels their field 'text'.\n"
    result = ff("classify", model, tmp_path / "lines")
    assert result.status == 0 and result.err == f"ffjax: {tmp_path / 'lines'}: {said}"
    result = ff("classify", model, "-", stdin=line)
    assert result.out.startswith("__label__") and result.err == f"ffjax: standard input: {said}"
    assert ff("classify", model, "-", "-f", "json", stdin=line).err == ""


def test_a_model_of_words_is_named_once(ff, tmp_path):
    path = write(tmp_path, "words.bin", words_model())
    result = ff("classify", path, path)
    assert result.status == 2 and result.err.count(str(path)) == 1
    got = "got an unsupervised model (word vectors)"
    assert result.err.endswith(f"{got}. Open it with `ffjax similar`.\n")


@pytest.mark.filterwarnings("default")
def test_lines_that_are_not_json_are_counted(ff, model, tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"text": "abc"}\n{\n')
    result = ff("classify", model, tmp_path / "bad.jsonl")
    assert result.status == 0 and result.out.count("\n") == 2
    assert "JSON object that has text in 'text' have no label: 1, the first" in result.err


def test_compressed_text_is_not_labelled(ff, model, tmp_path):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"abc\n"))
    expected = f"ffjax: error: {path}: expected text, got a file compressed by gzip. Decompress it"
    commands = [("classify", model, path), ("embed", "demo", path, "-o", tmp_path / "out.npy")]
    for arguments in (*commands, ("search", path, "abc")):
        result = ff(*arguments)
        assert (result.status, result.out) == (2, "") and result.err.startswith(expected)
        assert "`zcat FILE | ffjax ... -`" in result.err
    result = ff("classify", model, model)
    assert result.status == 2 and f"{model}: expected text, got a fastText model" in result.err
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["an Arrow file", "an Arrow stream", "UTF-16", "a NumPy file"])
def test_what_is_not_text_is_not_labelled(ff, model, tmp_path, name):
    table = pa.table({"text": ["abc"]})
    if name == "an Arrow file":
        feather.write_feather(table, tmp_path / "a")
    elif name == "an Arrow stream":
        with pa.ipc.new_stream(tmp_path / "a", table.schema) as stream:
            stream.write_table(table)
    elif name == "UTF-16":
        (tmp_path / "a").write_text("abc\n", "utf-16")
    else:
        np.save(tmp_path / "a", np.zeros(2))
        (tmp_path / "a.npy").rename(tmp_path / "a")
    out = tmp_path / "out.npy"
    commands = [("classify", model, tmp_path / "a", "-o", out)]
    for arguments in (*commands, ("embed", "demo", tmp_path / "a", "-o", out)):
        result = ff(*arguments)
        assert result.status == 2 and f"a: expected text, got {name}" in result.err
        assert not out.exists()


def test_the_output_has_the_format_of_its_name(ff, model, tmp_path):
    (tmp_path / "a.txt").write_text("abc\n")
    out = tmp_path / "a.jsonl"
    assert ff("classify", model, tmp_path / "a.txt", "-o", out).status == 0
    assert json.loads(out.read_text()).keys() == {"label", "score"}
    result = ff("classify", model, tmp_path / "a.txt", "-o", tmp_path / "a.parquet")
    assert result.status == 2 and "`--output`: expected a name that ends with .txt" in result.err
    result = ff("classify", model, tmp_path / "a.txt", "-o", tmp_path / "b.txt", "--json")
    assert "a name that ends with .jsonl, since the output has" in result.err
    assert "of `--json`" in result.err
    result = ff("classify", model, "a.parquet", "-o", tmp_path / "b.parquet", "--json")
    assert result.status == 2 and "expected no --json for Parquet" in result.err


def test_the_model_is_not_overwritten(ff, model, tmp_path):
    (tmp_path / "text").write_text("abc\n")
    (tmp_path / "link").symlink_to(model)
    result = ff("classify", model, tmp_path / "text", "-o", tmp_path / "link")
    assert result.status == 2 and "expected different files, got" in result.err


def test_options_that_would_be_ignored_are_errors(ff, model, tmp_path):
    (tmp_path / "text").write_text("abc\n")
    arguments = ("classify", model, tmp_path / "text")
    for options, name in (
        (("--score", "l1", "-k", 3), "-k"),
        (("--score", "l1", "--restrict", "l1, l2"), "--restrict"),
        (("--score", "l1", "--threshold", 0.5), "--threshold"),
        (("--column", "body"), "--column"),
        (("--into", "lang"), "--into"),
    ):
        result = ff(*arguments, *options)
        assert result.status == 2 and f"error: `{name}`: expected no" in result.err
    assert ff(*arguments, "--restrict", "l1, l2").status == 0


def test_parquet_names_its_extra(ff, model, tmp_path, monkeypatch):
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    result = ff("classify", model, tmp_path / "a.parquet", "-o", tmp_path / "out.parquet")
    assert result.status == 2 and "a.parquet: Parquet needs the extra `arrow`" in result.err


def test_progress_over_parquet_is_of_all_documents(ff, model, tmp_path, monkeypatch):
    parquet.write_table(pa.table({"text": ["abc"] * 3}), tmp_path / "a.parquet")
    steps = []
    monkeypatch.setattr(Progress, "update", lambda self, *counts: steps.append(counts))
    assert ff("classify", model, tmp_path / "a.parquet", "-o", tmp_path / "b.parquet").status == 0
    assert steps == [(3, 3)]


def test_help_says_what_is_read(ff):
    out = ff("classify", "--help").out
    assert "Text, JSON Lines or Parquet; - is standard input." in out and "[[FILE]]" not in out
    assert "Format of FILE (by default from its name)" in out


def test_mistakes_are_named(ff, model, tmp_path):
    (tmp_path / "text").write_text("abc\n")
    result = ff("classify", model, tmp_path / "text", "--restrict", "klingon")
    assert result.status == 2 and "`--restrict`: expected a label of the class" in result.err
    result = ff("classify", model, tmp_path / "text", "--restrict", "")
    assert result.status == 2 and "expected a label of the classifier, got ''." in result.err
    result = ff("classify", "https://x.org/lid.ftz", tmp_path / "text")
    assert result.err.startswith("ffjax: error: https://x.org/lid.ftz: expected the path of a")
    result = ff("classify", model, tmp_path / "text", "--score", "klingon")
    assert result.status == 2 and "`--score`: expected a label of the class" in result.err
    assert "such as '__label__" in result.err and "classifier." not in result.err
    (tmp_path / "bad.jsonl").write_text("{\n")
    result = ff("classify", model, tmp_path / "bad.jsonl")
    assert result.status == 2 and "/bad.jsonl: expected a JSON object in each" in result.err
    assert str(model) not in result.err
    result = ff("classify", model, tmp_path / "X.PARQUET")
    assert result.status == 2 and "expected a file for Parquet" in result.err
    result = ff("classify", model, tmp_path / "missing")
    assert result.status == 2 and "missing" in result.err
    result = ff("classify", model, tmp_path / "text", "-f", "parquet")
    assert result.status == 2 and "expected a file for Parquet" in result.err
    result = ff("classify", tmp_path / "text", tmp_path / "text")
    assert result.status == 2 and "error" in result.err
