"""`TextStage` over tables, batches and dictionaries: the answers of the functions it calls."""

import pickle  # noqa: TID251 -- engines pickle what they send to workers
import threading

import numpy as np
import pytest

import ffjax
from ffjax.formats import text_stage
from tests.builders import embeddings
from tests.formats.model2vec.models import arrays, write_folder

pa = pytest.importorskip("pyarrow")

TEXTS = ["Paris Berlin", None, "two\nlines of Zürich", "", "東京\r\nStraße", "nobody"]
PLAIN = [text or "" for text in TEXTS]


@pytest.fixture(scope="module")
def emb():
    return embeddings()


@pytest.fixture(scope="module")
def path(emb, tmp_path_factory):
    path = tmp_path_factory.mktemp("stage") / "words.fifu"
    emb.write(path)
    return path


def batches():
    """The texts in each kind of batch, with a column beside them."""
    ids = list(range(len(TEXTS)))
    table = pa.table({"id": ids, "text": TEXTS}, metadata={"source": "tests"})
    longer = pa.table({"id": [7, *ids, 7], "text": ["x", *TEXTS, "x"]}).slice(1, len(TEXTS))
    return {
        "table": table,
        "batch": table.to_batches()[0],
        "slice": longer,
        "chunks": pa.concat_tables([table.slice(0, 2), table.slice(2, 0), table.slice(2)]),
        "large": table.set_column(1, "text", table["text"].cast(pa.large_string())),
        "views": table.set_column(1, "text", table["text"].cast(pa.string_view())),
        "categories": table.set_column(1, "text", table["text"].dictionary_encode()),
        "lists": {"id": ids, "text": TEXTS},
        "arrays": {"id": np.array(ids), "text": np.array(TEXTS, object)},
    }


@pytest.mark.parametrize("kind", batches())
def test_each_kind_of_batch_gets_the_vectors_of_its_texts(emb, path, kind):
    batch = batches()[kind]
    stage = ffjax.TextStage(str(path), into=("vector", "count"), pooling="sum")
    result = stage(batch)
    vectors, counts = ffjax.embed_text(emb, PLAIN, pooling="sum")
    assert type(result) is type(batch)
    if isinstance(batch, dict):
        assert list(result) == ["id", "text", "vector", "count"]
        assert type(result["vector"]) is type(result["count"]) is type(batch["text"])
        assert list(result["text"]) == TEXTS
    else:
        assert result.select(["id", "text"]).equals(batch)
        assert result.schema.metadata == batch.schema.metadata
        assert result.schema.field("vector").type == pa.list_(pa.float32(), emb.dims)
        result = result.to_pydict()
    np.testing.assert_array_equal(np.array(result["vector"], np.float32), vectors)
    assert list(result["count"]) == counts.tolist()


@pytest.mark.parametrize("k", [1, 2])
def test_labels_are_those_of_predict(classifiers, k):
    path = classifiers / "hs-chars"
    texts = ["abc", None, "ийк\nлм", "", "xyz </s> abc"]
    stage = ffjax.TextStage(path, classifier=True, k=k, threshold=0.01)
    names, scores = ffjax.load_classifier(path).predict(
        [text or "" for text in texts], k, 0.01, newline=" "
    )
    table = stage(pa.table({"text": texts}))
    columns = stage({"text": np.array(texts, object)})
    lists = stage({"text": texts})
    for i, (row, row_scores) in enumerate(zip(names, scores, strict=True)):
        if i == 1:
            row, row_scores = [], []
        label, score = (row or [None])[0], (list(row_scores) or [None])[0]
        expected = {"label": label, "score": score}
        if k != 1:
            expected = {"labels": row, "scores": list(row_scores)}
        assert table.drop(["text"]).slice(i, 1).to_pylist() == [expected]
        assert {name: lists[name][i] for name in expected} == expected
        if k == 1:
            assert columns["label"][i] == label
            assert columns["score"][i] == score or np.isnan(columns["score"][i])
        else:
            assert columns["labels"][i].tolist() == row
    one = ffjax.TextStage(path, classifier=True, label="l3")({"text": texts})["score"]
    assert one[1] is None and one[0] > 0


def test_vectors_of_a_static_model(tmp_path):
    folder = write_folder(tmp_path / "model", arrays(np.float32), config={"normalize": False})
    model = ffjax.load_static_model(folder)
    texts = ["The teapot, the tea", None, "running\ntea", "é" * 40]
    plain = [text or "" for text in texts]
    array = pa.array(["x", *texts])[1:]
    for options in ({}, {"normalize": True, "max_length": 2, "unknown": "keep"}):
        vectors = model.encode(plain, **options)
        np.testing.assert_array_equal(model.encode(array, **options), vectors)
        chunked = pa.chunked_array([array.slice(0, 1), array.slice(1)])
        np.testing.assert_array_equal(model.encode(chunked, **options), vectors)
        table = ffjax.TextStage(folder, model=True, **options)(pa.table({"text": array}))
        np.testing.assert_array_equal(np.array(table["vector"].to_pylist(), np.float32), vectors)
    tokens, expected = model.tokenize(array), model.tokenize(plain)
    assert [x.tolist() for x in tokens] == [x.tolist() for x in expected]
    broken = pa.array([b"the tea \xff", b"\xe9" * 99])
    expected = model.encode(broken.to_pylist(), max_length=3)
    np.testing.assert_array_equal(model.encode(broken, max_length=3), expected)


def test_empty_batches(path, classifiers):
    empty = pa.table({"text": pa.array([], pa.string())})
    assert ffjax.TextStage(path)(empty)["vector"].type == pa.list_(pa.float32(), 6)
    assert ffjax.TextStage(path)({"text": []}) == {"text": [], "vector": []}
    nulls = ffjax.TextStage(path)(pa.table({"text": pa.nulls(2)}))
    assert not np.array(nulls["vector"].to_pylist()).any()
    labels = ffjax.TextStage(classifiers / "hs-chars", classifier=True)
    assert labels(empty).schema.names == ["text", "label", "score"]
    assert labels(empty)["label"].type == pa.string()


def test_stages_are_settings_and_share_the_file(path, monkeypatch):
    opened = []
    options = text_stage._KINDS["pooling"][1]
    reader = lambda *a, **b: (opened.append(a), ffjax.load(*a, **b))[1]  # noqa: E731
    monkeypatch.setitem(text_stage._KINDS, "pooling", (reader, options))
    text_stage._open.cache_clear()
    stage = ffjax.TextStage(path, into="first", weights=np.ones(10, np.float32))
    raw = pickle.dumps(stage)
    assert not opened and len(raw) < 1000
    copies = [pickle.loads(raw) for _ in range(4)]
    threads = [threading.Thread(target=copy, args=({"text": ["Paris"]},)) for copy in copies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ffjax.TextStage(path, into="second")({"text": ["Paris"]})
    assert opened == [(str(path),)]
    assert repr(copies[0]).startswith(f"TextStage({str(path)!r}, column='text', into=('first',)")
    assert len(pickle.dumps(stage)) == len(raw)


@pytest.mark.usefixtures("as_users_see")
def test_errors(path):
    every = {"pooling": "sum", "classifier": True, "model": True}
    for arguments, error, message in (
        ({"path": 3}, TypeError, "`path`: expected a path, got int 3"),
        ({"column": None}, TypeError, "`column`: expected the name of a column, got None"),
        ({"into": 5}, TypeError, "`into`: expected the name of a column or a pair, got int 5"),
        ({"into": ("a", "a")}, ValueError, "`into`: expected at most 2 names, which differ"),
        ({"into": "text"}, ValueError, "`into`: expected at most 2 names, which differ"),
        ({"pooling": "best"}, ValueError, "`pooling`: expected one of 'mean', .*got 'best'"),
        ({"pooling": "sum", "model": True}, ValueError, "`pooling`, `model`: expected one of"),
        (every, ValueError, "`pooling`, `classifier`, `model`: expected one of them.*, got 3"),
        ({"model": 1}, TypeError, "`model`: expected True or False, got int 1"),
        ({"k": 3}, TypeError, "`options`: expected some of weights, .* for `pooling`, got k"),
    ):
        with pytest.raises(error, match=message):
            ffjax.TextStage(**{"path": path, **arguments})
    stage = ffjax.TextStage(path)
    for batch, error, message in (
        (["Paris"], TypeError, "`batch`: expected an Arrow table, .*got list"),
        (pa.table({"body": ["a"]}), ValueError, "`column`: expected one column 'text' in the batc"),
        ({"text": ["a"], "vector": [1]}, ValueError, "`into`: expected new names, got vector"),
        (pa.table({"text": [1]}), TypeError, "`text`: expected Arrow strings or binary, got int"),
    ):
        with pytest.raises(error, match=message):
            stage(batch)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        ffjax.TextStage("nowhere.fifu")({"text": ["a"]})
