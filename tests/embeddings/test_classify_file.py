"""Labels of a corpus: one answer for each document, as many as there are, in their order."""

import bz2
import gzip
import io
import json
import lzma
import os
import re

import numpy as np
import pytest

import ffjax
from ffjax.embeddings import classify_file as module
from tests.embeddings.classifiers import HOSTILE, sentences
from tests.formats.fasttext.files import SUPERVISED, model

TEXTS = [*HOSTILE, *(text for _, text in sentences(60, 5)), "two\nlines", "lone \ud800"]


@pytest.fixture(scope="module")
def classifier(classifiers):
    return ffjax.load_classifier(classifiers / "hs-chars")


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(module, "_READ_BYTES", 200)
    monkeypatch.setattr(module, "_BATCH_ROWS", 7)


def as_seen(text):
    """A document as the classifier sees it."""
    return text.encode("utf-8", "replace").decode().replace("\n", " ")


def test_each_line_has_a_line(classifier, tmp_path, small_blocks):
    lines = [as_seen(text).encode() for text in TEXTS] + [b"\xff\xfe abc", b"", b"last"]
    (tmp_path / "in.txt").write_bytes(b"\n".join(lines))
    steps = []
    n = ffjax.classify_file(
        classifier, tmp_path / "in.txt", tmp_path / "out", k=2, progress=lambda *x: steps.append(x)
    )
    answers = (tmp_path / "out").read_text().split("\n")
    assert n == len(lines) == len(answers) - 1 and answers[-1] == ""
    assert np.sum(steps, axis=0).tolist() == [(tmp_path / "in.txt").stat().st_size, n]
    for line, labels, scores in zip(answers, *classifier.predict(lines, k=2), strict=False):
        fields = line.split()
        assert fields[::2] == labels
        np.testing.assert_allclose(list(map(float, fields[1::2])), scores, rtol=1e-5)


@pytest.mark.parametrize(("k", "most"), [(1, 11), (12, 5)])
def test_few_answers_are_in_memory_however_short_lines_are(
    classifier, tmp_path, monkeypatch, k, most
):
    monkeypatch.setattr(module, "_ANSWERS", 100)  # of which a line takes 8 + k
    steps = []
    source, target = io.BytesIO(b"\n" * 40 + b"abc"), tmp_path / "out"
    ffjax.classify_file(classifier, source, target, k=k, progress=lambda *step: steps.append(step))
    assert max(n for _, n in steps) == most and np.sum(steps, axis=0).tolist() == [43, 41]
    assert target.read_text().count("\n") == 41


@pytest.mark.parametrize("is_file", [True, False])
def test_few_rows_of_long_documents_are_in_memory(classifier, tmp_path, monkeypatch, is_file):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(module, "_BATCH_BYTES", 5000)
    table, steps = pa.table({"text": ["abc " * 500] * 10}), []
    pq.write_table(table, tmp_path / "in.parquet", use_dictionary=False)
    source = tmp_path / "in.parquet" if is_file else table
    options = {"progress": lambda *step: steps.append(step[1])}
    ffjax.classify_file(classifier, source, tmp_path / "out.parquet", **options)
    assert steps == [2] * 5


def test_scores_of_one_label_and_json_for_text(classifier, tmp_path):
    source = b"abc\n\nxyz"
    ffjax.classify_file(classifier, io.BytesIO(source), tmp_path / "scores", label="l3")
    scores = list(map(float, (tmp_path / "scores").read_text().split()))
    np.testing.assert_allclose(scores, classifier.score(["abc", "", "xyz"], "l3"), rtol=1e-5)
    ffjax.classify_file(
        classifier, io.BytesIO(source), tmp_path / "json", threshold=0.9, target_format="json"
    )
    rows = list(map(json.loads, (tmp_path / "json").read_text().splitlines()))
    assert rows[1] == {"label": None, "score": None} and len(rows) == 3


def test_each_line_of_json_has_an_answer(classifier, tmp_path, small_blocks):
    lines = ['{"text": "bonjour"}', "", '{"text": 1}', "{", "[1]", '{"text": null}', '{"a": 1}']
    lines += ['{"text": "tea"}'] * 20 + ["[" * 10**5]
    source = io.BytesIO("\n".join(lines).encode())
    with pytest.warns(UserWarning, match="have no label: 5, the first of which is line 2"):
        n = ffjax.classify_file(classifier, source, tmp_path / "out", format="json")
    answers = list(map(json.loads, (tmp_path / "out").read_text().splitlines()))
    assert n == len(answers) == len(lines)
    labels = [answer["label"] for answer in answers]
    assert labels[1:7] == [None] * 6 and labels[-1] is None and None not in labels[7:27]
    assert answers[1] == answers[3] == answers[4] == {"label": None, "score": None}
    assert answers[2] == {"text": 1, "label": None, "score": None}


@pytest.mark.filterwarnings("ignore:lines without a JSON object")
def test_the_first_lines_of_a_pipe_may_lack_the_field(classifier, tmp_path, monkeypatch):
    lines = [b'{"a": 1}\n', b"{\n", b'{"text": "tea"}\n', b'{"text": "pot"}\n']
    monkeypatch.setattr(module, "blocks", lambda *_: iter(lines))
    n = ffjax.classify_file(classifier, io.BytesIO(), tmp_path / "out", format="json")
    assert n == 4 == len((tmp_path / "out").read_text().splitlines())
    message = "`column`: expected a field of the objects, such as a, got 'body'"
    options = {"format": "json", "column": "body"}
    with pytest.raises(ValueError, match=message):
        ffjax.classify_file(classifier, io.BytesIO(), tmp_path / "out", **options)


def test_json_that_is_written_is_valid(classifier, tmp_path):
    rows = [b'\xef\xbb\xbf{"text": "a", "x": 1e400, "y": [NaN]}', b'{"text": "caf\xe9"}']
    rows += [b'{"text": "a", "z": "\\ud800"}']
    source = io.BytesIO(b"\n".join(rows))
    ffjax.classify_file(classifier, source, tmp_path / "out", format="json")

    def no_constants(name):
        raise AssertionError(name)

    lines = (tmp_path / "out").read_text(encoding="utf-8").splitlines()
    answers = [json.loads(line, parse_constant=no_constants) for line in lines]
    assert answers[0]["x"] is None and answers[0]["y"] == [None]
    assert answers[1]["text"] == "caf\ufffd" and answers[2]["z"] == "\ud800"


@pytest.mark.parametrize("restrict", [["l1"], ["l1", "l2"]])
def test_several_labels_are_lists_however_many_there_are(classifier, tmp_path, restrict):
    source = io.BytesIO(b"abc\n")
    options = {"k": 3, "restrict": restrict, "target_format": "json"}
    ffjax.classify_file(classifier, source, tmp_path / "out", **options)
    row = json.loads((tmp_path / "out").read_text())
    assert row.keys() == {"labels", "scores"} and len(row["labels"]) == len(restrict)


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_answers_of_one_classifier_are_documents_of_the_next(classifier, tmp_path, ending):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    paths = [tmp_path / f"{i}.{ending}" for i in range(4)]
    texts = ["abc", "xyz"]
    if ending == "parquet":
        pq.write_table(pa.table({"text": texts}), paths[0])
    else:
        paths[0].write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    for i, into in enumerate((None, ("best", "prob"), "alone")):
        ffjax.classify_file(classifier, paths[i], paths[i + 1], into=into)
    if ending == "parquet":
        rows = pq.read_table(paths[3]).to_pylist()
    else:
        rows = list(map(json.loads, paths[3].read_text().splitlines()))
    assert list(rows[0]) == ["text", "label", "score", "best", "prob", "alone"]
    for row in rows:
        assert row["label"] == row["best"] == row["alone"] and row["score"] == row["prob"]


@pytest.mark.parametrize("k", [1, 3])
def test_json_gets_two_fields(classifier, tmp_path, small_blocks, k):
    rows = [{"id": i, "body": text} for i, text in enumerate(TEXTS)] + [{"id": -1}, {"body": None}]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = {"column": "body", "k": k, "restrict": ["l1", "l2"]}
    n = ffjax.classify_file(classifier, tmp_path / "in.jsonl", tmp_path / "out", **options)
    answers = [json.loads(line) for line in (tmp_path / "out").read_text().split("\n")[:-1]]
    assert n == len(answers) == len(rows)
    expected = classifier.predict(list(map(as_seen, TEXTS)), k, restrict=["l1", "l2"])
    for row, answer, names, scores in zip(rows, answers, *expected, strict=False):
        assert row.items() <= answer.items()
        if k == 1:
            names, scores = names[0], scores[0]
        assert answer["label" if k == 1 else "labels"] == names
        np.testing.assert_allclose(answer["score" if k == 1 else "scores"], scores, atol=1e-6)
    for answer in answers[-2:]:
        assert (answer["label"] is None) if k == 1 else (answer["labels"] == [])


def test_labels_may_be_any_bytes(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    labels = [b"__label__\xe9", b"__label__\xea", "__label__y"]
    options = {"kind": SUPERVISED, "loss": 4, "dims": 4, "labels": labels}
    (tmp_path / "model.bin").write_bytes(model(["tea"], **options))
    classifier, expected = ffjax.load_classifier(tmp_path / "model.bin"), ["__label__\ufffd"] * 2
    ffjax.classify_file(classifier, io.BytesIO(b"tea\n"), tmp_path / "out.txt", k=3)
    text = (tmp_path / "out.txt").read_text("utf-8")
    rows = io.BytesIO(b'{"text": "tea"}')
    ffjax.classify_file(classifier, rows, tmp_path / "out.jsonl", k=3, format="json")
    row = json.loads((tmp_path / "out.jsonl").read_text("utf-8"))
    ffjax.classify_file(classifier, pa.table({"text": ["tea"]}), tmp_path / "out.parquet", k=3)
    (column,) = pq.read_table(tmp_path / "out.parquet")["labels"].to_pylist()
    for names in (text.split()[::2], row["labels"], column):
        assert sorted(names) == sorted([*expected, "__label__y"])


def test_parquet_and_arrow_get_two_columns(classifier, tmp_path, small_blocks):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    texts = [as_seen(text) for text in TEXTS] + [None]
    table = pa.table({"id": range(len(texts)), "text": texts})
    pq.write_table(table, tmp_path / "in.parquet")
    categories = table.set_column(1, "text", table["text"].dictionary_encode())
    as_bytes = table.set_column(1, "text", table["text"].cast(pa.binary()))
    for source, k in ((tmp_path / "in.parquet", 1), (table, 2), (categories, 2), (as_bytes, 2)):
        n = ffjax.classify_file(classifier, source, tmp_path / "out.parquet", k=k)
        result = pq.read_table(tmp_path / "out.parquet")
        assert n == result.num_rows == len(texts)
        result = result.set_column(1, "text", result["text"].cast(pa.string()))
        assert result.select(["id", "text"]).to_pylist() == table.to_pylist()
        names, scores = classifier.predict(texts[:-1], k)
        if k == 1:
            assert result["label"].to_pylist() == [row[0] for row in names] + [None]
            assert result["score"].type == pa.float32() and result["score"][-1].as_py() is None
        else:
            assert result["labels"].to_pylist() == [*names, []]
            np.testing.assert_allclose(result["scores"].to_pylist()[0], scores[0], atol=1e-6)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (gzip.compress(b"abc", mtime=0), "a file compressed by gzip"),
        (bz2.compress(b"abc"), "a file compressed by bzip2"),
        (lzma.compress(b"abc"), "a file compressed by xz"),
        (b"\x28\xb5\x2f\xfd", "a file compressed by zstd"),
        (b"PK\3\4", "a file compressed by zip"),
        (b"PAR1\x15\4", "a Parquet file"),
        (b"\xba\x16\x4f\x2f", "a fastText model"),
    ],
)
def test_files_that_are_not_text(classifier, tmp_path, data, kind):
    path, target = tmp_path / "a", tmp_path / "out.npy"
    path.write_bytes(data)
    message = f"^{re.escape(str(path))}: expected text, got {kind}"
    with pytest.raises(ffjax.FormatError, match=message):
        ffjax.classify_file(classifier, path, target)
    with pytest.raises(ffjax.FormatError, match=message):
        classifier.test(path)
    with pytest.raises(ffjax.FormatError, match=message):
        ffjax.embed_file(ffjax.demo(), path, target)
    with pytest.raises(ffjax.FormatError, match=f"^expected text, got {kind}"):
        ffjax.classify_file(classifier, io.BytesIO(data), target, format="json")
    assert not target.exists()


def test_outputs_have_the_format_that_their_name_says(classifier, tmp_path):
    pa = pytest.importorskip("pyarrow")
    ffjax.classify_file(classifier, io.BytesIO(b"abc\n"), tmp_path / "out.jsonl")
    assert json.loads((tmp_path / "out.jsonl").read_text()).keys() == {"label", "score"}
    table, text, rows = pa.table({"text": ["a"]}), io.BytesIO(b"a"), io.BytesIO(b'{"text": "a"}')
    for source, name, endings, options in (
        (text, "new.parquet", ".txt or .jsonl", {}),
        (text, "new.txt", ".jsonl", {"target_format": "json"}),
        (text, "new.jsonl", ".txt", {"target_format": "text"}),
        (text, "new.txt.gz", ".txt or .jsonl", {}),
        (rows, "new.jsonl.zst", ".jsonl", {"format": "json"}),
        (rows, "new.parquet", ".jsonl", {"format": "json"}),
        (rows, b"new.txt", ".jsonl", {"format": "json"}),
        (table, "new.jsonl", ".parquet", {}),
        (table, "new.txt", ".parquet", {}),
    ):
        message = f"`target`: expected a name that ends with {endings}, since the output has"
        with pytest.raises(ValueError, match=message):
            ffjax.classify_file(classifier, source, name, **options)


@pytest.mark.filterwarnings("ignore:lines without a JSON object")
def test_blank_lines_of_json_have_no_label(classifier, tmp_path):
    n = ffjax.classify_file(classifier, io.BytesIO(b"\n \n"), tmp_path / "out.jsonl", format="json")
    assert n == 2
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert rows == [{"label": None, "score": None}] * 2


def test_stray_bytes_are_text(classifier, tmp_path):
    lines = [b"PAR1 is a word", b"BZh9 too", b"\0", b"\x1f\x8b\x08 in line 4", b"\xff\xfeabc"]
    n = ffjax.classify_file(classifier, io.BytesIO(b"\n".join(lines)), tmp_path / "out")
    assert n == len(lines) == len((tmp_path / "out").read_text().splitlines())


def test_parquet_from_a_pipe(classifier, tmp_path):
    pytest.importorskip("pyarrow")
    reader, writer = os.pipe()
    os.close(writer)
    message = "`source`: expected a Parquet file, got a pipe. Save it to a file first"
    with open(reader, "rb") as source, pytest.raises(ValueError, match=message):
        ffjax.classify_file(classifier, source, tmp_path / "out", format="parquet")


def test_wrong_files_and_options_are_named(classifier, tmp_path, as_users_see):
    pa = pytest.importorskip("pyarrow")
    target = tmp_path / "out"
    target.write_text("old")

    def run(source, **options):
        ffjax.classify_file(classifier, source, target, **options)

    as_json = {"format": "json"}
    for source, options, message in (
        (b'{"a": 1}', as_json, "`column`: expected a field of the objects, such as a, got 'text'"),
        (b"[]", as_json, r"`source`: expected a JSON object in each line, got b'\[\]"),
        (b'{"text": "a"}\n{"text": "b", "score": 1}', as_json, "`into`: .*'score', .*in line 2"),
        (b'[{"a": 1},\n{"text": "b"}\n]', as_json, r"each line, got b'\[.* `jq -c '\.\[\]'`"),
        (b"[" * 10**6, as_json, "`source`: expected a JSON object in each line"),
        (b"", {"format": "csv"}, "`format`, `target_format`: expected one of text, json, parquet"),
        (b"", {"label": "l3", "k": 3}, "`k`: expected no such option for the score of one label"),
        (b"", {"label": "l3", "restrict": ["l3"]}, "`restrict`: expected no such option"),
        (b"", {"label": "l3", "renormalize": True}, "`renormalize`: expected no such option"),
        (b"", {"label": "l3", "min_score": 0.0}, "`min_score`: expected no such option"),
        (b"", {"column": "body"}, "`column`: expected none for text, got 'body'. Leave it out"),
        (b"", {"into": "lang"}, "`into`: expected none for lines of text, got 'lang'. Leave it"),
        (b"", {"label": "klingon"}, "`label`: expected a label of the classifier, got 'klingon'"),
    ):
        with pytest.raises(ValueError, match=message):
            run(io.BytesIO(source), **options)
    for table, options, message in (
        ({"a": ["x"]}, {}, "`column`: expected a column of the table, one of a, got 'text'"),
        ({"text": [1]}, {}, "`column`: expected strings in 'text', got int64"),
        ({"text": ["x"], "score": [1]}, {}, "`into`: expected new names, got 'score', which"),
        ({"text": ["x"]}, {"into": ("a", "text")}, "`into`: expected at most 2 names, which"),
    ):
        with pytest.raises(ValueError, match=message):
            run(pa.table(table), **options)
    twice = pa.table([["a"], ["b"]], names=["text", "text"])
    with pytest.raises(ValueError, match="`column`: expected a single column 'text'"):
        run(twice)
    with pytest.raises(ValueError, match="`format`: expected None or 'parquet' for Arrow"):
        run(twice, format="text")
    for source in (None, b"/path", io.StringIO("abc")):
        with pytest.raises(TypeError, match="`source`: expected a path or a binary file, got"):
            run(source)
    with pytest.raises(TypeError, match="`target`: expected a path or a descriptor, got NoneType"):
        ffjax.classify_file(classifier, target, None)
    with pytest.raises(TypeError, match="`classifier`: expected Classifier, got Embeddings"):
        ffjax.classify_file(classifier.embeddings, target, target)
    with pytest.raises(ValueError, match="`target`: expected a different file from `source`"):
        run(target)
    assert target.read_text() == "old"
