"""Arguments of the wrong type: errors name the argument, what was expected, and what came."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ffjax

pytestmark = pytest.mark.usefixtures("as_users_see")

STRINGS = ffjax.pack(["tea", "coffee"])
VECTORS, LINES = np.ones((3, 4), np.float32), np.array([0, 0, 1], np.int32)
QUERIES = np.ones((2, 100), np.float32)
TEXT = jnp.zeros(3, jnp.uint8)


@pytest.fixture(scope="module")
def emb():
    return ffjax.demo()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    (folder / "pairs").write_text("tea\tcoffee\t9\ntea\tbread\t5\n")
    (folder / "questions").write_text(": x\nman king woman queen\n")
    return folder


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
            r"`pooling`: expected one of mean, .* got \['mean'\]",
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


@pytest.mark.parametrize(
    ("queries", "k", "options", "kind", "message"),
    [
        (
            QUERIES.astype(complex),
            3,
            {},
            TypeError,
            "`queries`: expected floats, got complex128. Convert first",
        ),
        (QUERIES.astype(bool), 3, {}, TypeError, "`queries`: expected floats, got bool"),
        (QUERIES.astype(int), 3, {}, TypeError, "`queries`: expected floats, got int64"),
        (
            "tea",
            3,
            {},
            TypeError,
            "`queries`: expected one or more vectors of 100 dimensions, got str",
        ),
        (
            [[1.0], [1.0, 2.0]],
            3,
            {},
            TypeError,
            "`queries`: expected one or more vectors of 100 dimensions, got list",
        ),
        (QUERIES, True, {}, TypeError, "`k`: expected a whole number, got bool True"),
        (
            QUERIES,
            3,
            {"exclude": np.ones((2, 1), np.float32)},
            TypeError,
            "`exclude`: expected whole numbers",
        ),
        (
            QUERIES,
            3,
            {"exclude": np.ones((2, 1), bool)},
            TypeError,
            "`exclude`: expected whole numbers, got bool",
        ),
        (
            QUERIES,
            3,
            {"exclude": ["tea", "pot"]},
            TypeError,
            "`exclude`: expected row numbers .*, got list",
        ),
        (
            QUERIES,
            3,
            {"approximate": "x"},
            TypeError,
            "`approximate`: expected a recall .*, got str 'x'",
        ),
        (
            QUERIES,
            3,
            {"approximate": True},
            TypeError,
            "`approximate`: expected a recall .*, got bool True",
        ),
        (
            QUERIES,
            3,
            {"approximate": [0.5]},
            TypeError,
            "`approximate`: expected a recall .*, got list",
        ),
        (
            QUERIES,
            3,
            {"candidates": slice(0.5, 3)},
            TypeError,
            r"`candidates`: expected a slice of whole numbers, got slice\(0.5",
        ),
        (
            QUERIES,
            3,
            {"candidates": [[1], [1, 2]]},
            TypeError,
            "`candidates`: expected a slice, a range, a mask .*, got list",
        ),
        (
            QUERIES,
            3,
            {"candidates": {1, 2}},
            TypeError,
            "`candidates`: expected a slice, a range, a mask .*, got set",
        ),
        (
            QUERIES,
            3,
            {"candidates": "tea"},
            TypeError,
            "`candidates`: expected a slice, a range, a mask .*, got str",
        ),
    ],
)
def test_top_k(emb, queries, k, options, kind, message) -> None:
    with pytest.raises(kind, match=message):
        ffjax.top_k(emb, queries, k, **options)


def test_top_k_takes_lists(emb) -> None:
    best = ffjax.top_k(
        emb, QUERIES.tolist(), 1, exclude=[[1], [2]], candidates=[1, 2], approximate=1
    )
    assert best.rows.tolist() == [[2], [1]]
    assert ffjax.top_k(emb, QUERIES, 1, exclude=[[], []], candidates=[]).rows.tolist() == [
        [-1],
        [-1],
    ]


@pytest.mark.parametrize(
    ("n", "kind"), [(1.5, TypeError), (True, TypeError), ("3", TypeError), (0, ValueError)]
)
def test_prune(emb, n, kind) -> None:
    with pytest.raises(kind, match="`n`: expected"):
        ffjax.prune(emb, n)


@pytest.mark.parametrize(
    ("restrict", "kind"), [(1.5, TypeError), ("x", TypeError), (True, TypeError), (0, ValueError)]
)
def test_evaluate(emb, files, restrict, kind) -> None:
    for call, file in (
        (ffjax.evaluate.analogies, "questions"),
        (ffjax.evaluate.similarity, "pairs"),
    ):
        with pytest.raises(kind, match="`restrict`: expected"):
            call(emb, files / file, restrict=restrict)


@pytest.mark.parametrize("delimiter", [3, "", None])
def test_delimiters(emb, files, delimiter) -> None:
    with pytest.raises(TypeError, match="`delimiter`: expected what separates the words, got"):
        ffjax.evaluate.similarity(emb, files / "pairs", delimiter=delimiter)


def test_methods_with_words(emb) -> None:
    for k in (1.5, True, "3"):
        for call in (
            lambda k=k: emb.most_similar_batch(["tea"], k),
            lambda k=k: emb.word_similarity("tea", k),
            lambda k=k: emb.analogy("man", "king", "woman", k),
            lambda k=k: emb.embedding_similarity(QUERIES[0], k),
        ):
            with pytest.raises(TypeError, match="`k`: expected a whole number, got"):
                call()
    for skip in (3, [3], [["tea"]]):
        for call in (
            lambda skip=skip: emb.analogy("man", "king", "woman", skip=skip),
            lambda skip=skip: emb.embedding_similarity(QUERIES[0], skip=skip),
        ):
            with pytest.raises(TypeError, match="`skip`: expected words to leave out, got"):
                call()
    for word in (3, None, ["tea"]):
        with pytest.raises(TypeError, match="`query`: expected a word, got"):
            emb.word_similarity(word)
        with pytest.raises(TypeError, match="`word3`: expected a word, got"):
            emb.analogy("man", "king", word)
    for words in (3, None):
        for call in (emb.most_similar_batch, emb.embedding_batch, ffjax.pack, ffjax.pack_ragged):
            with pytest.raises(TypeError, match="`words`: expected a list of words, got"):
                call(words)
    for query in ("tea", None, QUERIES[0].astype(complex)):
        with pytest.raises(TypeError, match="`query`: expected a vector of 100 numbers, got"):
            emb.embedding_similarity(query)


def test_analogies_of_batches_of_different_sizes(emb) -> None:
    with pytest.raises(
        ValueError, match="`a`, `b`, `c`: expected batches of one size, got 4, 4 and 16 rows"
    ):
        ffjax.analogy(emb, STRINGS, STRINGS, ffjax.pack(["tea"] * 9), 1)


@pytest.mark.parametrize("option", ["width", "count"])
@pytest.mark.parametrize("value", ["x", 1.5, True])
def test_sizes_of_pack(option, value) -> None:
    with pytest.raises(TypeError, match=f"`{option}`: expected a whole number, got"):
        ffjax.pack(["a"], **{option: value})


@pytest.mark.parametrize("x", ["x", None, [[1.0], [1.0, 2.0]]])
def test_normalize(x) -> None:
    with pytest.raises(TypeError, match="`x`: expected vectors of floats along the last axis, got"):
        ffjax.normalize(x)


def test_normalize_takes_lists() -> None:
    assert ffjax.normalize([3.0, 4.0])[1].tolist() == 5


@pytest.mark.parametrize("path", [None, 3.5])
def test_targets(emb, files, path) -> None:
    for call in (
        lambda: emb.write(path),
        lambda: ffjax.save(emb, path, format="finalfusion"),
        lambda: ffjax.convert(files / "pairs", path, to_format="text"),
    ):
        with pytest.raises(TypeError, match="`path`: expected a path or a descriptor, got"):
            call()


def test_writers(emb, files) -> None:
    with pytest.raises(TypeError, match="`embeddings`: expected Embeddings, got NoneType"):
        ffjax.write_fasttext(files / "x", None)
    with pytest.raises(
        ValueError, match=r"`format`: expected one of 'finalfusion', .* got \['text'\]"
    ):
        ffjax.save(emb, files / "x.txt", format=["text"])


@pytest.mark.parametrize("scale", [2e-18, 5e17])
def test_normalize_loses_nothing_where_squares_leave_the_range(scale) -> None:
    x = np.linspace(0.01, 1, 2000, dtype=np.float32)
    unit, length = ffjax.normalize(x * np.float32(scale))
    np.testing.assert_allclose(unit, x / np.linalg.norm(x), rtol=1e-5)
    np.testing.assert_allclose(length, np.float32(np.linalg.norm(x) * scale), rtol=1e-5)
