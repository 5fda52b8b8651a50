"""What `embed_text` takes, what it changes in a text, and what it warns of; and `search`."""

import tracemalloc
import unicodedata

import jax.numpy as jnp
import numpy as np
import pytest

import ffjax
from ffjax.strings.text import as_lines, as_strings, simplify, text_bytes
from tests.builders import embeddings

TEXTS = ["Paris Berlin", "", "two\nlines of Zürich", "東京\r\nStraße", "nobody\n"]
WORDS = ["Paris", "Berlin", "Zürich", "東京", "Straße"]


@pytest.fixture(scope="module")
def emb():
    return embeddings()


@pytest.fixture(scope="module")
def expected(emb):
    """Vectors and counts of `TEXTS`, from the words of each."""
    known = [[word for word in text.split() if word in WORDS] for text in TEXTS]
    means = [np.mean([emb[word] for word in words], 0) if words else np.zeros(6) for words in known]
    return np.array(means), [len(words) for words in known]


def arrow(texts, kind="string"):
    pa = pytest.importorskip("pyarrow")
    return pa.array(texts, getattr(pa, kind)())


@pytest.mark.parametrize(
    "convert",
    [
        list,
        tuple,
        lambda texts: [text.encode() for text in texts],
        lambda texts: iter(texts),
        np.array,
        lambda texts: np.array(texts, object),
        arrow,
        lambda texts: arrow(texts, "large_string"),
        lambda texts: arrow(["x", *texts, "x"])[1:-1],
        lambda texts: arrow([text or None for text in texts]),
        ffjax.StringTable.from_strings,
    ],
)
def test_several_texts_have_a_vector_each(emb, expected, convert):
    vectors, counts = ffjax.embed_text(emb, convert(TEXTS))
    np.testing.assert_allclose(vectors, expected[0], atol=1e-6)
    assert counts.tolist() == expected[1]


def test_a_str_has_a_vector_for_each_line(emb):
    text = "\n".join(TEXTS)
    ours, theirs = ffjax.embed_text(emb, text), ffjax.embed_text(emb, text.encode())
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)
    assert text_bytes([]).size == 0 and ffjax.embed_text(emb, [])[0].shape == (0, 6)


@pytest.mark.parametrize("lowercase", [False, True])
def test_one_character_beyond_ascii_does_not_widen_all_texts(lowercase):
    texts = [*(f"text {i} of plain English words, as most are" for i in range(20000)), "\U0001f600"]
    tracemalloc.start()
    lines = as_lines(texts, lowercase)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    text = "\n".join(texts) + "\n"
    assert lines.decode() == (text.lower() if lowercase else text)
    assert peak < 3 * len(lines)


def test_errors_name_the_text_of_any_group():
    texts = ["tea"] * 100
    with pytest.raises(ValueError, match="`texts`: expected one line .*in text 70. Remove"):
        as_lines([*texts[:70], "for\ntwo", *texts])
    with pytest.raises(ValueError, match=r"got '.ud800' in text 70 "):
        as_lines([*texts[:69], "a\n", "b\ud800", *texts], newline=" ")
    with pytest.raises(TypeError, match="^`texts`: expected Arrow strings or binary, got int64"):
        as_strings(arrow([1], "int64"), "texts")


def simplified(text, **options):
    options = {"lowercase": False, "strip_punctuation": False, **options}
    return simplify(text_bytes(text), **options).tobytes().decode()


def test_lower_case_is_that_of_python():
    text = "Tea\nISTANBUL İstanbul ΟΔΟΣ Straße"
    assert simplified(text, lowercase=True) == text.lower()


def test_punctuation_goes_from_the_ends_of_words_alone():
    text = "«Tea», please... don't (stop)\n-- U.S. e-mail, $5 c++ भूरी! 「東京」\0x,\ty;"
    stripped = "Tea please don't stop\n U.S e-mail $5 c++ भूरी 東京\0x\ty"
    assert simplified(text, strip_punctuation=True) == stripped
    marks = [chr(i) for i in range(0x110000) if unicodedata.category(chr(i))[0] == "P"]
    assert simplified("a".join(marks), strip_punctuation=True) == "a".join(["", *marks[1:-1], ""])
    assert simplified(" ".join(marks), strip_punctuation=True).split() == []


def test_bytes_that_are_not_utf8_stay():
    text = b"Caf\xe9, \xff"
    changed = simplify(text_bytes(text), lowercase=True, strip_punctuation=True)
    assert changed.tobytes() == b"caf\xe9 \xff"


def test_words_are_looked_up_as_changed(emb, tmp_path):
    lower = embeddings(words=[word.lower() for word in WORDS])
    options = {"lowercase": True, "strip_punctuation": True}
    texts = ["Paris, BERLIN!", "(Zürich)"]
    vectors, counts = ffjax.embed_text(lower, texts, **options)
    assert counts.tolist() == [2, 1]
    np.testing.assert_array_equal(vectors[1], lower["zürich"])
    (tmp_path / "text").write_text("\n".join(texts))
    ffjax.embed_file(lower, tmp_path / "text", tmp_path / "vectors.npy", **options)
    np.testing.assert_array_equal(np.load(tmp_path / "vectors.npy"), vectors)
    with pytest.raises(ValueError, match="`lowercase`, `strip_punctuation`: expected False in co"):
        ffjax.embed_text(emb, jnp.zeros(3, jnp.uint8), n_words=1, n_lines=1, lowercase=True)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("PARIS\nBERLIN", "pass `lowercase=True`."),
        ("paris,\n(berlin)", "pass `strip_punctuation=True`."),
        ("Paris,\n(Berlin)", "pass `lowercase=True` and `strip_punctuation=True`."),
        ("кот\nсобака\nparis", "in another language or encoding."),
        ("\n\n\nnobody\n\n", "in another language or encoding."),
    ],
)
def test_a_warning_says_why_most_counts_are_zero(text, reason):
    lower = embeddings(words=[word.lower() for word in WORDS])
    with pytest.warns(UserWarning, match="most lines have no word with a vector") as warned:
        ffjax.embed_text(lower, text)
    assert str(warned[0].message).endswith(reason)


@pytest.mark.parametrize("text", ["", "\n\n\n", "Paris\nnobody", "Paris\n\n\n\n", "Paris x y z"])
def test_there_is_no_warning_if_half_of_the_lines_have_vectors(emb, text):
    ffjax.embed_text(emb, text)


LINES = ["Paris Berlin", "nobody", "Zürich", "", "Straße 東京", "Berlin Berlin Paris"]


def test_search_finds_the_lines_by_their_cosines(emb):
    queries = ["Berlin", "Zürich Straße nobody", "nobody Paris"]
    best = ffjax.search(LINES, queries, k=3, embeddings=emb)
    vectors = ffjax.embed_text(emb, LINES)[0][[0, 2, 4, 5]]
    asked = ffjax.embed_text(emb, queries)[0]
    units = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (asked, vectors)]
    cosines = units[0] @ units[1].T
    order = np.argsort(-cosines, 1)[:, :3]
    assert best.rows.tolist() == np.array([0, 2, 4, 5])[order].tolist()
    np.testing.assert_allclose(best.scores, np.take_along_axis(cosines, order, 1), atol=1e-6)
    assert isinstance(best.rows, np.ndarray)


def test_lines_and_queries_without_a_vector_have_no_answers(emb):
    best = ffjax.search(LINES, "Berlin\n?\n", k=10, embeddings=emb)
    assert best.rows.shape == (2, len(LINES))
    assert set(best.rows[0].tolist()) == {0, 2, 4, 5, -1}
    assert (best.rows[1] == -1).all() and np.isneginf(best.scores[1]).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_search_takes_vectors_for_text(emb, tmp_path, dtype):
    vectors = ffjax.embed_text(emb, ["Paris", "Berlin", "Zürich"])[0].astype(dtype)
    np.save(tmp_path / "vectors.npy", vectors)
    expected = ffjax.search(["Paris", "Berlin", "Zürich"], ["Berlin"], 2, embeddings=emb)
    mapped = np.load(tmp_path / "vectors.npy", "r")
    for lines in (vectors, jnp.asarray(vectors.astype(np.float32)), mapped):
        best = ffjax.search(lines, ["Berlin"], 2, embeddings=emb)
        assert best.rows.tolist() == expected.rows.tolist()
        best = ffjax.search(lines, vectors[1:2].astype(np.float32), 2)
        np.testing.assert_allclose(best.scores, expected.scores, atol=1e-3)


@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_zero_vectors_are_no_answers_and_have_none(metric, dtype):
    lines = np.array([[0, 0], [1, 0], [-1, 0], [0, 0]], dtype)
    best = ffjax.search(lines, np.array([[2, 1], [0, 0]], dtype), 3, metric=metric)
    assert best.rows.tolist() == [[1, 2, -1], [-1, -1, -1]]
    assert np.isfinite(best.scores).tolist() == (best.rows >= 0).tolist()


@pytest.mark.usefixtures("as_users_see")
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda e: ffjax.search(["a"], ["b"]), TypeError, "`embeddings`: .*since `lines` are text"),
        (lambda e: ffjax.search(np.eye(2), "b"), TypeError, "since `queries` are text, got None"),
        (lambda e: ffjax.search(np.eye(2), np.eye(3)), ValueError, "`queries`: expected 2 dimens"),
        (lambda e: ffjax.search("a", "b", -1, embeddings=e), ValueError, "`k`: expected 0 or more"),
        (lambda e: ffjax.search("a", "b", embeddings=3), TypeError, "`embeddings`: expected Embed"),
        (lambda e: ffjax.search(np.eye(2), np.eye(2), lowercase=True), ValueError, "`lowercase`: "),
        (
            lambda e: ffjax.search(np.eye(2), np.eye(2), weights=np.ones(3)),
            ValueError,
            "`weights`: expected text to apply it to, got vectors",
        ),
        (lambda e: ffjax.search("a", "b", embeddings=e, nonsense=1), TypeError, "nonsense"),
        (lambda e: ffjax.embed_text(e, ["a", 5]), TypeError, r"^`text`: .*got int 5 as text 1\.$"),
        (lambda e: ffjax.embed_text(e, np.zeros(0)), TypeError, "^`text`: expected .* of float64"),
        (lambda e: ffjax.embed_text(e, "a", n_words=3), ValueError, "`n_words`, `n_lines`: expect"),
        (lambda e: ffjax.search(3, "b", embeddings=e), TypeError, "`text`: expected bytes, .*int"),
    ],
)
@pytest.mark.filterwarnings("ignore:most lines have no word with a vector")
def test_errors(emb, call, error, message):
    with pytest.raises(error, match=message):
        call(emb)
