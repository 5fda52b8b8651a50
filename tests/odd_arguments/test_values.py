"""Arguments of the wrong type: errors name the argument, what was expected, and what came."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ffjax
from tests.odd_arguments.conftest import QUERIES, STRINGS

pytestmark = pytest.mark.usefixtures("as_users_see")

VECTORS, LINES = np.ones((3, 4), np.float32), np.array([0, 0, 1], np.int32)
TEXT = jnp.zeros(3, jnp.uint8)


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "message"),
    [
        (
            (VECTORS, LINES.astype(np.float32), 2),
            {},
            TypeError,
            "`lines`: expected whole numbers, got float32",
        ),
        (
            (VECTORS, None, 2),
            {},
            TypeError,
            "`lines`: expected a line for each of 3 words, got NoneType",
        ),
        (
            (VECTORS, LINES[:2], 2),
            {},
            ValueError,
            r"`lines`: expected a line for each of 3 words, got shape \(2,\)",
        ),
        (
            (VECTORS, LINES, 2.0),
            {},
            TypeError,
            "`n_lines`: expected a whole number, got float 2.0. Inside `jit`",
        ),
        (
            (VECTORS, LINES, True),
            {},
            TypeError,
            "`n_lines`: expected a whole number, got bool True",
        ),
        ((VECTORS, LINES, -1), {}, ValueError, "`n_lines`: expected 0 or more, got -1"),
        (
            (VECTORS[0], LINES, 2),
            {},
            ValueError,
            r"`vectors`: expected a vector for each word, .*, got shape \(4,\)",
        ),
        (
            (VECTORS.astype(int), LINES, 2),
            {},
            TypeError,
            "`vectors`: expected floats, got int64. Convert first, as in",
        ),
        ((VECTORS + 1j, LINES, 2), {}, TypeError, "`vectors`: expected floats, got complex"),
        (("x", LINES, 2), {}, TypeError, "`vectors`: expected a vector for each word, .*, got str"),
        (
            (VECTORS, LINES, 2),
            {"weights": "x"},
            TypeError,
            "`weights`: expected a factor for each of 3 words, got str",
        ),
        (
            (VECTORS, LINES, 2),
            {"weights": [1.0]},
            ValueError,
            r"`weights`: expected a factor .*, got shape \(1,\)",
        ),
        (
            (VECTORS, LINES, 2),
            {"found": VECTORS[:, 0]},
            TypeError,
            "`found`: expected booleans, got float32",
        ),
        (
            (VECTORS, LINES, 2),
            {"found": [True]},
            ValueError,
            r"`found`: expected a bool .*, got shape \(1,\)",
        ),
        (
            (VECTORS, LINES, 2),
            {"pooling": ["mean"]},
            ValueError,
            r"`pooling`: expected one of 'mean', .* got \['mean'\]",
        ),
    ],
)
def test_pool(arguments, options, kind, message) -> None:
    with pytest.raises(kind, match=message):
        ffjax.pool(*arguments, **options)


def test_pool_takes_lists_and_nothing() -> None:
    pooled, counts = ffjax.pool(
        [[1.0, 2.0], [3.0, 4.0]], [0, 0], 1, weights=[1.0, 0.0], found=[True, True]
    )
    assert (pooled.tolist(), counts.tolist()) == ([[1.0, 2.0]], [2])
    pooled, counts = ffjax.pool(np.ones((0, 2), np.float32), [], 1)
    assert (pooled.tolist(), counts.tolist()) == ([[0.0, 0.0]], [0])


def test_traced_sizes_are_refused() -> None:
    with pytest.raises(
        TypeError, match="`n_lines`: expected a whole number, got a traced value. Inside `jit`"
    ):
        jax.jit(lambda n: ffjax.pool(VECTORS, LINES, n))(2)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"counts": 4}, TypeError, "`counts`: expected a list of sizes, got int 4"),
        ({"counts": "4"}, TypeError, "`counts`: expected a list of sizes, got str '4'"),
        ({"counts": [4.0]}, TypeError, "`counts`: expected a whole number, got float 4.0"),
        ({"counts": [-1]}, ValueError, "`counts`: expected 0 or more, got -1"),
        ({"counts": [4], "widths": [0]}, ValueError, "`widths`: expected 1 or more, got 0"),
    ],
)
def test_warmup(emb, options, kind, message) -> None:
    with pytest.raises(kind, match=message):
        ffjax.warmup(emb, **options)


@pytest.mark.parametrize("other", [None, "words.fifu", ffjax.SimpleVocab(["tea"]), np.eye(3)])
def test_no_embeddings(other, files) -> None:
    message = "`embeddings`: expected Embeddings.*, such as `ffjax.load.path.` gives, got"
    rows = ffjax.Rows(jnp.zeros(2, jnp.int32))
    for call in (
        lambda: ffjax.warmup(other),
        lambda: ffjax.embed(other, STRINGS),
        lambda: ffjax.lookup(other, rows),
        lambda: ffjax.embed_text(other, b"tea"),
        lambda: ffjax.embed_file(other, files / "pairs", files / "out"),
        lambda: ffjax.top_k(other, QUERIES, 1),
        lambda: ffjax.analogy(other, STRINGS, STRINGS, STRINGS, 1),
        lambda: ffjax.prune(other, 3),
        lambda: ffjax.select_words(other, ["tea"]),
        lambda: ffjax.evaluate.analogies(other, files / "questions"),
        lambda: ffjax.evaluate.similarity(other, files / "pairs"),
    ):
        with pytest.raises(TypeError, match=message):
            call()


@pytest.mark.parametrize(
    ("text", "options", "kind", "message"),
    [
        (
            b"tea",
            {"weights": "x"},
            TypeError,
            "`weights`: expected a factor for each known word.*, got str",
        ),
        (
            b"tea",
            {"weights": {"tea": 1.0}},
            TypeError,
            "`weights`: expected a factor for each known word.*, got dict",
        ),
        (
            b"tea",
            {"weights": 1.0},
            ValueError,
            r"`weights`: expected 40000, one for each known word.* got shape \(\)",
        ),
        (
            TEXT,
            {"n_words": 3.0, "n_lines": 1},
            TypeError,
            "`n_words`: expected a whole number, got float 3.0",
        ),
        (TEXT, {"n_words": -3, "n_lines": 1}, ValueError, "`n_words`: expected 0 or more, got -3"),
        (
            TEXT,
            {"n_words": 3, "n_lines": "1"},
            TypeError,
            "`n_lines`: expected a whole number, got str '1'",
        ),
        (
            TEXT[None],
            {"n_words": 3, "n_lines": 1},
            ValueError,
            r"`text`: expected one dimension .*got shape \(1, 3\)",
        ),
        (
            TEXT.astype(int),
            {"n_words": 3, "n_lines": 1},
            TypeError,
            r"`text`: expected bytes \(uint8\), got int32",
        ),
        (
            TEXT,
            {"n_words": 3, "n_lines": 1, "weights": np.ones(3)},
            ValueError,
            "`weights`: expected 40000, .*3",
        ),
    ],
)
def test_embed_text(emb, text, options, kind, message) -> None:
    with pytest.raises(kind, match=message):
        ffjax.embed_text(emb, text, **options)


@pytest.mark.parametrize("source", [3, ["a"], None])
def test_embed_file(emb, files, source) -> None:
    with pytest.raises(TypeError, match="`source`: expected a path or a binary file, got"):
        ffjax.embed_file(emb, source, files / "out")


@pytest.mark.parametrize(
    ("strings", "kind", "message"),
    [
        (["tea"], TypeError, "`strings`: expected Strings, got list. Pack words first"),
        ("tea", TypeError, "`strings`: expected Strings, got str. Pack words first"),
        (
            (np.zeros((2, 3)), np.zeros(2, np.int32)),
            TypeError,
            "`strings.bytes`: expected bytes.*float64",
        ),
        (
            (np.zeros((2, 3), np.uint8), np.zeros(2)),
            TypeError,
            "`strings.lengths`: expected whole numbers",
        ),
        (
            (np.zeros((2, 3), np.uint8), np.zeros(3, np.int32)),
            ValueError,
            r"`strings.lengths`: .* got shape \(3,\)",
        ),
    ],
)
def test_strings(emb, strings, kind, message) -> None:
    strings = ffjax.Strings(*strings) if isinstance(strings, tuple) else strings
    for call in (lambda: ffjax.encode(emb.vocab, strings), lambda: ffjax.embed(emb, strings)):
        with pytest.raises(kind, match=message):
            call()


@pytest.mark.parametrize("words", [jnp.array([1.0]), "x", [1.5]])
def test_rows(emb, words) -> None:
    with pytest.raises(TypeError, match="`rows.words`: expected"):
        ffjax.lookup(emb, ffjax.Rows(words))
