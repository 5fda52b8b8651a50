"""`embed_text` on the host and in compiled code, compared with single words pooled in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ffjax
from ffjax.embeddings import text as text_module
from tests.builders import embeddings
from tests.kernels.test_pool import POOLINGS, pooled
from tests.kernels.test_tokenize import words_by_line

LINES = "Paris  Berlin\tteapot\n\nnobody here\nZürich\n東京 Straße Pariser LONG\r\n  \nParis"
TEXT = LINES.replace("LONG", "x" * 300).encode()
KINDS = [("simple", "dense"), ("buckets", "dense"), ("buckets", "pq_norms")]


@pytest.fixture(autouse=True, params=["never", "always"])
def _compile(request, monkeypatch):
    """Every test in NumPy and in compiled code."""
    monkeypatch.setenv("FFJAX_COMPILE", request.param)


@pytest.fixture(scope="module")
def emb():
    return embeddings("buckets")


@jax.jit
def compiled(emb, text, weights=None):
    return ffjax.embed_text(emb, text, weights=weights, n_words=16, n_lines=9)


def vector_of(emb, word, unnormalize):
    """The vector of a word, from the rows of a storage."""
    row = emb.vocab.word_index.get(word)
    if row is not None:
        return emb.storage[row] * (emb.norms[row] if unnormalize else 1)
    rows = emb.storage.embedding(emb.vocab.subword_rows(word))
    if not len(rows):
        return None
    total = rows.sum(0)
    return total / (len(rows) if unnormalize else np.linalg.norm(total))


def by_hand(emb, text, pooling, unnormalize=False, weights=None):
    """Vectors and counts of a text, word by word."""
    lines = words_by_line(text)
    words = [(i, word.decode()) for i, line in enumerate(lines) for word in line]
    vectors = [vector_of(emb, word, unnormalize) for _, word in words]
    found = [vector is not None for vector in vectors]
    zeros = np.zeros(emb.dims, np.float32)
    vectors = np.array([zeros if vector is None else vector for vector in vectors])
    factors = None
    if weights is not None:
        rows = [emb.vocab.word_index.get(word) for _, word in words]
        factors = np.array([1 if row is None else weights[row] for row in rows])
    return pooled(vectors, [i for i, _ in words], len(lines), pooling, factors, found)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("unnormalize", [False, True])
def test_vectors_are_those_of_the_words_pooled(kind, pooling, unnormalize):
    emb = embeddings(*kind)
    expected, n = by_hand(emb, TEXT, pooling, unnormalize)
    vectors, counts = ffjax.embed_text(emb, TEXT, pooling=pooling, unnormalize=unnormalize)
    np.testing.assert_allclose(vectors, expected, atol=2e-5)
    assert counts.tolist() == n.tolist() and vectors.dtype == np.float32


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_a_text_may_go_through_in_blocks_of_a_few_lines(emb, pooling, monkeypatch):
    monkeypatch.setattr(text_module, "_BLOCK_BYTES", 8)
    monkeypatch.setattr(text_module, "_BATCH_BYTES", 40)
    vectors, counts = ffjax.embed_text(emb, np.frombuffer(TEXT, np.uint8), pooling=pooling)
    expected, n = by_hand(emb, TEXT, pooling)
    np.testing.assert_allclose(vectors, expected, atol=2e-5)
    assert counts.tolist() == n.tolist()


def test_each_word_is_looked_up_once(emb, monkeypatch):
    """Unknown words go from the text to their n-grams without another look at the hash table."""
    from ffjax.embeddings import batch_lookup

    def fail(*_):
        raise AssertionError("looked up again")

    monkeypatch.setattr(batch_lookup, "find_words", fail)
    text = TEXT.replace(b"x" * 300, b"xylophone")
    vectors, _ = ffjax.embed_text(emb, text)
    np.testing.assert_allclose(vectors, by_hand(emb, text, "mean")[0], atol=2e-5)


def test_unknown_words_of_all_lengths_count(emb):
    words = [f"unknown{i}" for i in range(5)] + ["x" * 70, "y" * 1500, "Zürich" * 50]
    text = " ".join(words * 2).encode()
    vectors, counts = ffjax.embed_text(emb, text)
    np.testing.assert_allclose(vectors, by_hand(emb, text, "mean")[0], atol=2e-5)
    assert counts.tolist() == [16]


def test_weights_by_word_make_inverse_frequency_a_line(emb):
    p = np.linspace(0.3, 0.01, len(emb.vocab))
    weights = 1e-3 / (1e-3 + p)
    for pooling in ("mean", "sum"):
        expected, _ = by_hand(emb, TEXT, pooling, weights=weights)
        for factors in (weights, np.append(weights, 1)):
            vectors, _ = ffjax.embed_text(emb, TEXT, pooling=pooling, weights=factors)
            np.testing.assert_allclose(vectors, expected, atol=3e-6)
    vectors, counts = ffjax.embed_text(emb, b"Pariser\n", weights=np.append(weights, 0))
    assert not vectors.any() and counts.tolist() == [1]


def test_text_in_compiled_code(emb):
    text = TEXT.replace(b"x" * 300, b"xylophone")
    weights = np.linspace(0.5, 2, len(emb.vocab), dtype=np.float32)
    for factors in (None, weights):
        vectors, counts = compiled(emb, jnp.frombuffer(text, jnp.uint8), factors)
        expected, n = ffjax.embed_text(emb, text, weights=factors)
        np.testing.assert_allclose(vectors[: len(n)], expected, atol=1e-6)
        assert counts.tolist() == [*n.tolist(), 0, 0]


def test_gradients_reach_the_rows_of_a_text(emb):
    text = jnp.frombuffer(b"Paris", jnp.uint8)

    @jax.jit
    @jax.grad
    def gradient_of(matrix, emb):
        emb = emb.replace(storage=ffjax.NdArray(matrix))
        return ffjax.embed_text(emb, text, n_words=1, n_lines=1)[0].sum()

    gradient = np.asarray(gradient_of(emb.storage.matrix, emb))
    assert gradient[0].tolist() == [1] * 6 and not gradient[1:].any()


@pytest.mark.filterwarnings("ignore:most lines have no word with a vector")
@pytest.mark.parametrize(
    ("text", "n"), [(b"", 0), (b"\n", 1), (b" \n\n", 2), (b"nobody", 1)]
)
def test_no_text_and_empty_lines(text, n):
    vectors, counts = ffjax.embed_text(embeddings(), text)
    assert vectors.shape == (n, 6) and not vectors.any() and counts.tolist() == [0] * n


def test_a_weight_that_is_nan_makes_its_line_nan_and_no_other(emb):
    weights = np.ones(len(emb.vocab), np.float32)
    weights[emb.vocab["Paris"]] = np.nan
    text = b"Berlin Paris\nBerlin\n"
    vectors, counts = ffjax.embed_text(emb, text, weights=weights)
    assert np.isnan(vectors).all(1).tolist() == [True, False] and counts.tolist() == [2, 1]
    padded = jnp.frombuffer(text.ljust(len(TEXT) - 300 + len("xylophone"), b" "), jnp.uint8)
    vectors, counts = compiled(emb, padded, weights)
    assert np.isnan(vectors).all(1).tolist()[:2] == [True, False]
    assert counts.tolist()[:2] == [2, 1]


def in_jit(emb, **options):
    return ffjax.embed_text(emb, jnp.zeros(3, jnp.uint8), **options)


@pytest.mark.usefixtures("as_users_see")
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda e: ffjax.embed_text(e, ["tea", 3]),
            TypeError,
            "`text`: expected str or bytes, got int 3 as text 1",
        ),
        (
            lambda e: ffjax.embed_text(e, np.zeros(3)),
            TypeError,
            "`text`: .*got 1 dimension of float64",
        ),
        (
            lambda e: ffjax.embed_text(e, b"", pooling="median"),
            ValueError,
            "`pooling`: expected one of 'mean', 'sum', 'max'",
        ),
        (
            lambda e: ffjax.embed_text(e, b"", weights=[1.0]),
            ValueError,
            r"`weights`: expected 10, .*got shape \(1,\)",
        ),
        (
            lambda e: ffjax.embed_text(e, b"", weights=[1.0], pooling="max"),
            ValueError,
            "`weights`: expected None",
        ),
        (
            lambda e: ffjax.embed_text(e, b"", weights=[1.0], pooling="fasttext"),
            ValueError,
            "`weights`: expected None",
        ),
        (
            lambda e: in_jit(e, weights=np.ones(10), pooling="fasttext", n_words=1, n_lines=1),
            ValueError,
            "`weights`: expected None",
        ),
        (
            lambda e: jax.jit(ffjax.embed_text)(e, jnp.zeros(3, jnp.uint8)),
            ValueError,
            "`n_words`, `n_lines`: expected",
        ),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(embeddings())
