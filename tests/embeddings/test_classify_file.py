"""Labels of a corpus: one answer for each document, as many as there are, in their order."""

import io
import json

import numpy as np
import pytest

import ffjax
from ffjax.embeddings import classify_file as module
from tests.embeddings.classifiers import HOSTILE, sentences

TEXTS = [*HOSTILE, *(text for _, text in sentences(60, 5)), "two\nlines", "lone \ud800"]


@pytest.fixture(scope="module")
def classifier(classifiers):
    return ffjax.load_classifier(classifiers / "hs-chars")


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(module, "_READ_BYTES", 200)
    monkeypatch.setattr(module, "_READ_ROWS", 7)


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


def test_parquet_and_arrow_get_two_columns(classifier, tmp_path, small_blocks):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    texts = [as_seen(text) for text in TEXTS] + [None]
    table = pa.table({"id": range(len(texts)), "text": texts})
    pq.write_table(table, tmp_path / "in.parquet")
    for source, k in ((tmp_path / "in.parquet", 1), (table, 2)):
        n = ffjax.classify_file(classifier, source, tmp_path / "out.parquet", k=k)
        result = pq.read_table(tmp_path / "out.parquet")
        assert n == result.num_rows == len(texts)
        assert result.select(["id", "text"]).equals(table)
        names, scores = classifier.predict(texts[:-1], k)
        if k == 1:
            assert result["label"].to_pylist() == [row[0] for row in names] + [None]
            assert result["score"].type == pa.float32() and result["score"][-1].as_py() is None
        else:
            assert result["labels"].to_pylist() == [*names, []]
            np.testing.assert_allclose(result["scores"].to_pylist()[0], scores[0], atol=1e-6)


def test_wrong_files_and_options_are_named(classifier, tmp_path):
    pa = pytest.importorskip("pyarrow")
    target = tmp_path / "out"
    target.write_text("old")

    def run(source, **options):
        ffjax.classify_file(classifier, source, target, **options)

    as_json = {"format": "json"}
    for source, options, message in (
        (b'{"a": 1}', as_json, "`column`: expected a field of line 1, one of a, got 'text'"),
        (b'{"text": 1}', as_json, "`column`: expected text in the field 'text', got int"),
        (b'{"text": "a"}\n{', as_json, "`source`: expected JSON in line 2"),
        (b"[]", as_json, "`source`: expected an object in line 1, got list"),
        (b"", {"format": "csv"}, "`format`, `target_format`: expected one of text, json, parquet"),
        (b"", {"label": "klingon"}, "expected labels of the classifier, got 'klingon'"),
    ):
        with pytest.raises(ValueError, match=message):
            run(io.BytesIO(source), **options)
    for table, options, message in (
        ({"a": ["x"]}, {}, "`column`: expected a column of the table, one of a, got 'text'"),
        ({"text": [1]}, {}, "`column`: expected strings in 'text', got int64"),
        ({"text": ["x"], "score": [1]}, {}, "`source`: expected no column score"),
    ):
        with pytest.raises(ValueError, match=message):
            run(pa.table(table), **options)
    with pytest.raises(ValueError, match="`target`: expected another file than `source`"):
        run(target)
    assert target.read_text() == "old"
