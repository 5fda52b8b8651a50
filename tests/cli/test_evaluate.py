"""`ffjax evaluate`: what `ffjax.evaluate` finds, as lines, JSON and a table."""

import json

import pytest

import ffjax
from ffjax.cli.inspect import _table

QUESTIONS = ": family\nMan King Woman Queen\nboy girl 12345 x\n: grammar\ngood better bad worse\n"
PAIRS = "# judged\ntea\tcoffee\t9\ntea\tphysics\t1\ntea\tbread\t5\ntea\t12345\t3\n"


@pytest.fixture
def files(tmp_path):
    questions, pairs = tmp_path / "questions.txt", tmp_path / "pairs.tsv"
    questions.write_text(QUESTIONS, encoding="utf-8")
    pairs.write_text(PAIRS, encoding="utf-8")
    return str(questions), str(pairs)


def test_lines_of_both_kinds_of_files(ff, demo_file, files):
    result = ff("evaluate", demo_file, *files)
    assert (result.status, result.err) == (0, "")
    pairs = ffjax.evaluate.similarity(ffjax.demo(), files[1])
    assert result.rows == [
        [files[0], "family", "1", "1", "1.0000", "1"],
        [files[0], "grammar", "1", "1", "1.0000", "0"],
        [files[0], "total", "2", "2", "1.0000", "1"],
        [
            files[1],
            f"{pairs.pearson:.4f}",
            f"{pairs.spearman:.4f}",
            str(len(pairs.pairs)),
            str(pairs.n_skipped),
        ],
    ]


def test_options_and_json(ff, demo_file, files):
    options = ["--case-sensitive", "--count-unknown", "-r", "0", "--method", "3cosmul", "--json"]
    result = ff("evaluate", demo_file, files[0], *options)
    answers = [json.loads(line) for line in result.out.splitlines()]
    expected = ffjax.evaluate.analogies(
        ffjax.demo(), files[0], restrict=None, fold_case=False, skip="answer", method="3cosmul"
    )
    assert [(row["section"], row["right"], row["asked"], row["skipped"]) for row in answers] == [
        (section.name, section.n_correct, section.n_asked, section.n_skipped)
        for section in (*expected.sections, expected.total)
    ]
    assert answers[0] == {
        "file": files[0],
        "section": "family",
        "right": 0,
        "asked": 0,
        "accuracy": 0.0,
        "skipped": 2,
    }


def test_only_the_first_words_are_known(ff, demo_file, files):
    assert ff("evaluate", demo_file, files[0], "-r", "100").rows[-1][1:] == [
        "total",
        "0",
        "0",
        "0.0000",
        "3",
    ]


def test_a_table_for_a_terminal(capsys):
    names = ("section", "right", "asked", "accuracy", "skipped")
    _table(
        "questions.txt",
        names,
        [("family", 413, 506, 413 / 506, 0), ("total", 12372, 19486, 0.635, 58)],
    )
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["questions.txt"],
        [*names],
        ["family", "413", "506", "81.6", "%", "0"],
        ["total", "12,372", "19,486", "63.5", "%", "58"],
    ]


def test_bad_input(ff, demo_file, tmp_path):
    result = ff("evaluate", demo_file, tmp_path / "gone.txt")
    assert result.status == 2 and result.err.endswith("gone.txt: No such file or directory\n")
    bad = tmp_path / "bad.txt"
    bad.write_text(": s\na b c\n", encoding="utf-8")
    result = ff("evaluate", demo_file, bad)
    assert (
        result.status == 2 and "bad.txt: byte 4: expected four words, got 3: 'a b c'" in result.err
    )
