"""`ffjax similar`: the answers of `ffp-similar`, in the form that fits where they go."""

import gzip
import json

import numpy as np
import pytest

import ffjax

# The peer's script prints `K` lines for each query that has an answer, without the query.
K = 4


def by_query(queries, lines, k):
    """The peer's lines as (query, word, similarity)."""
    pairs = [line.rsplit(" ", 1) for line in lines.splitlines()]
    assert len(pairs) == k * len(queries)
    return [(queries[i // k], word, float(score)) for i, (word, score) in enumerate(pairs)]


@pytest.mark.parametrize(
    ("kind", "with_vector", "unknown"),
    [
        # Unknown words: in a simple vocabulary, shorter than n-grams, and without stored n-grams.
        ("simple", ["tea", "кофе", "a b"], ["teas", "x"]),
        ("buckets", ["tea", "咖啡", "teapots", "Кофейник", "x"], []),
        ("fasttext", ["tea", "naïve", "teapots", "Кофейник", "x"], []),
        ("explicit", ["tea", "naïve", "teapots"], ["xyzzy"]),
    ],
)
def test_answers_are_those_of_ffp_similar(ff, peer, small, kind, with_vector, unknown):
    text = "\n".join([*with_vector[:2], "", *unknown, *with_vector[2:]]) + "\n"
    theirs = peer("similar", small[kind], "-k", K, stdin=text)
    assert theirs.status == 0 and theirs.err.count("\n") == len(unknown)
    expected = by_query(with_vector, theirs.out, K)
    mine = ff("similar", small[kind], "-k", K, "-m", "dot", stdin=text)
    assert [(query, word) for query, word, _ in mine.rows] == [
        (query, word) for query, word, _ in expected
    ]
    np.testing.assert_allclose(
        [float(row[2]) for row in mine.rows], [row[2] for row in expected], atol=1e-6, rtol=0
    )
    assert mine.status == (1 if unknown else 0)
    assert [line.split(": ")[1] for line in mine.err.splitlines()] == [
        f"no answer for {word}" for word in unknown
    ]


def test_answers_on_the_demo_are_those_of_ffp_similar(ff, peer, plain_file):
    words = ["berlin", "king", "tea", "jazz", "physics"]
    theirs = peer("similar", plain_file, stdin="\n".join(words))
    expected = by_query(words, theirs.out, 10)  # both give ten if nothing is said
    mine = ff("similar", plain_file, *words, "-m", "dot")
    assert [row[:2] for row in mine.rows] == [[query, word] for query, word, _ in expected]
    np.testing.assert_allclose(
        [float(row[2]) for row in mine.rows], [row[2] for row in expected], atol=1e-6, rtol=0
    )


def test_answers_on_quantized_embeddings_are_those_on_their_reconstruction(
    ff, peer, finalfusion_files, tmp_path
):
    """`ffp-similar` cannot search quantized embeddings, so it gets reconstructed ones."""
    path, dense = finalfusion_files / "quantized.fifu", tmp_path / "dense.fifu"
    emb = ffjax.load_finalfusion(path)
    emb.replace(storage=ffjax.NdArray(np.asarray(emb.storage))).write(dense)
    expected = by_query(
        ["Berlin", "München"], peer("similar", dense, "-k", 5, stdin="Berlin\nMünchen\n").out, 5
    )
    mine = ff("similar", path, "Berlin", "München", "-k", 5, "-m", "dot")
    assert [row[:2] for row in mine.rows] == [[query, word] for query, word, _ in expected]
    np.testing.assert_allclose(
        [float(row[2]) for row in mine.rows], [row[2] for row in expected], rtol=1e-6
    )


def test_similar_is_most_similar(ff):
    expected = ffjax.demo().most_similar("berlin", topn=3)
    rows = ff("similar", "demo", "berlin", "-k", 3).rows
    assert [(word, float(score)) for _, word, score in rows] == [
        (word, pytest.approx(score, rel=1e-6)) for word, score in expected
    ]
    dot = ffjax.demo().word_similarity("berlin", 1)[0].word
    assert ff("similar", "demo", "berlin", "-k", 1, "-m", "dot").rows[0][1] == dot != rows[0][1]


def test_words_come_from_arguments_a_file_or_standard_input(ff, small, tmp_path):
    queries = tmp_path / "queries.txt"
    queries.write_text("tea\n\n  a b  \n", encoding="utf-8")
    answers = ff("similar", small["simple"], "tea", "a b", "-k", 2)
    assert [row[0] for row in answers.rows] == ["tea", "tea", "a b", "a b"]
    text = queries.read_text(encoding="utf-8")
    variants = [
        ff("similar", small["simple"], "--input", queries, "-k", 2),
        ff("similar", small["simple"], "--input", "-", "-k", 2, stdin=text),
        ff("similar", small["simple"], "-", "-k", 2, stdin=text),
        ff("similar", small["simple"], "-k", 2, stdin=text),
    ]
    assert variants == [answers] * 4


def test_more_queries_than_a_batch_are_answered_in_order(ff, small):
    words = ["tea", "pot", "naïve"] * 50
    result = ff("similar", small["simple"], "-k", 1, stdin="\n".join(words))
    assert [row[0] for row in result.rows] == words
    assert len({tuple(row) for row in result.rows}) == 3


def test_json_is_one_object_per_query(ff, small):
    result = ff("similar", small["simple"], "tea", "nothing", "-k", 2, "--json")
    first, second = map(json.loads, result.out.splitlines())
    plain = ff("similar", small["simple"], "tea", "-k", 2).rows
    assert first == {
        "query": "tea",
        "results": [{"word": word, "similarity": float(score)} for _, word, score in plain],
    }
    assert second == {"query": "nothing", "results": None}
    assert result.status == 1


def test_k_above_the_number_of_words_gives_all_variants(ff, small):
    result = ff("similar", small["simple"], "tea", "-k", 100)
    assert len(result.rows) == 9 and result.status == 0
    assert "tea" not in [row[1] for row in result.rows]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("tea", "--input", "x"),
            "expected words or --input, got both. Drop --input x or the words.",
        ),
        (("--input", "no-such-file"), "no-such-file: No such file or directory"),
    ],
)
def test_bad_usage_ends_in_one_line_and_status_2(ff, small, arguments, message):
    result = ff("similar", small["simple"], *arguments)
    assert (result.status, result.out, result.err) == (2, "", f"ffjax: error: {message}\n")


def test_k_below_one_is_bad_input(ff, small):
    result = ff("similar", small["simple"], "tea", "-k", 0)
    assert result.status == 2 and result.err.startswith("ffjax: error: Invalid value for '-k': ")
    assert result.err.endswith(". See `ffjax similar --help`.\n") and result.err.count("\n") == 1


def test_embeddings_come_from_standard_input(ff, small):
    result = ff("similar", "-", "tea", "-k", "1", stdin=small["simple"].read_bytes())
    assert (result.status, result.err) == (0, "") and result.out.startswith("tea\t")


def test_standard_input_cannot_hold_both_embeddings_and_words(ff):
    result = ff("similar", "-", "-", stdin="tea")
    assert result.status == 2 and "since standard input holds the embeddings" in result.err


@pytest.mark.parametrize("metric", ["dot", "cosine", "euclidean", "angular"])
def test_metrics_and_the_first_words(ff, demo_file, metric):
    result = ff(
        "similar", demo_file, "tea", "berlin", "-k", 3, "--metric", metric, "--restrict", 4000
    )
    emb = ffjax.demo()
    vectors = np.stack([emb["tea"], emb["berlin"]])
    exclude = np.array([[emb.vocab["tea"]], [emb.vocab["berlin"]]], np.int32)
    best = ffjax.top_k(emb, vectors, 3, metric=metric, exclude=exclude, candidates=slice(0, 4000))
    assert [row[1] for row in result.rows] == [emb.vocab.words[row] for row in np.ravel(best.rows)]
    np.testing.assert_allclose(
        [float(row[2]) for row in result.rows], np.ravel(best.scores), rtol=1e-6
    )


@pytest.fixture
def shared_file(tmp_path):
    """A snapshot whose words share rows, in another order: c, b, a, d, e have 2, 1, 0, 2, 1."""
    matrix = np.array([[1, 0, 0], [0.6, 0.8, 0], [0, 0.6, 0.8]], np.float32)
    path = tmp_path / "shared.msgpack"
    vocab = ffjax.SimpleVocab(["c", "b", "a", "d", "e"], rows=[2, 1, 0, 2, 1])
    ffjax.save(ffjax.Embeddings(ffjax.NdArray(matrix), vocab), path)
    return path


@pytest.mark.parametrize(
    ("n", "expected"), [(1, "c"), (2, "c"), (3, "ac"), (4, "ac"), (5, "ac"), (9, "ac")]
)
def test_the_first_words_of_a_snapshot_whose_words_share_rows(ff, shared_file, n, expected):
    result = ff("similar", shared_file, "b", "--restrict", n)
    assert [row[1] for row in result.rows] == list(expected)
    result = ff("analogy", shared_file, "b", "b", "b", "--restrict", n)
    assert [row[3] for row in result.rows] == list(expected)


def test_a_picture_of_the_first_words_of_such_a_snapshot(ff, shared_file, tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "shared.svg"
    assert ff("plot", shared_file, "b", "--restrict", 1, "-o", path).status == 0
    text = path.read_text(encoding="utf-8")
    assert ">c</text>" in text and ">a</text>" not in text


def test_no_more_answers_than_words(ff, demo_file):
    assert len(ff("similar", demo_file, "tea", "-k", 50, "--restrict", 5).rows) == 5


def test_more_queries_than_are_searched_at_once(ff, demo_file, monkeypatch):
    monkeypatch.setenv("FFJAX_COMPILE", "always")  # few words would be answered by NumPy
    words = ffjax.demo().vocab.words[:150]
    expected = ff("similar", demo_file, "-k", 1, stdin="\n".join(words)).rows
    monkeypatch.setattr("ffjax.cli.files.BATCH", 64)
    assert ff("similar", demo_file, "-k", 1, stdin="\n".join(words)).rows == expected
    assert [row[0] for row in expected] == words


# Vectors without an answer

NO_CANDIDATE = "there is no other word with a finite vector to choose from."


@pytest.fixture
def odd_file(tmp_path):
    matrix = np.eye(4, dtype=np.float32)
    matrix[3, 0], matrix[2, 3] = np.nan, 1.0
    path = tmp_path / "odd.fifu"
    ffjax.Embeddings(
        ffjax.NdArray(matrix), ffjax.SimpleVocab(["tea", "coffee", "pot", "odd"])
    ).write(path)
    return path


@pytest.mark.parametrize("metric", ["dot", "cosine"])
def test_a_query_with_nan_has_no_answer(ff, odd_file, metric):
    result = ff("similar", odd_file, "odd", "tea", "-k", "1", "--metric", metric)
    assert result.status == 1 and result.out == "tea\tcoffee\t0.0\n"
    assert result.err == "ffjax: no answer for odd: its vector has NaN or infinity in it.\n"
    assert ff("similar", odd_file, "odd", "--json").out == '{"query": "odd", "results": null}\n'


@pytest.mark.parametrize("method", ["3cosadd", "3cosmul"])
def test_an_analogy_with_nan_has_no_answer(ff, odd_file, method):
    result = ff("analogy", odd_file, "tea", "coffee", "odd", "--method", method)
    assert result == (
        1,
        "",
        "ffjax: no answer for tea coffee odd: odd: its vector has NaN or infinity in it.\n",
    )
    result = ff(
        "analogy", odd_file, "tea", "coffee", "pot", "--method", method
    )  # whose only other word is the odd one
    assert result == (1, "", f"ffjax: no answer for tea coffee pot: {NO_CANDIDATE}\n")


def test_a_query_without_candidates_has_no_answer(ff, odd_file):
    result = ff("similar", odd_file, "tea", "pot", "--restrict", 1)
    assert result == (1, "pot\ttea\t0.0\n", f"ffjax: no answer for tea: {NO_CANDIDATE}\n")
    result = ff("similar", odd_file, "tea", "--restrict", 1, "--json")
    assert result == (
        1,
        '{"query": "tea", "results": null}\n',
        f"ffjax: no answer for tea: {NO_CANDIDATE}\n",
    )
    result = ff("analogy", odd_file, "tea", "coffee", "pot", "--restrict", 2)
    assert result == (1, "", f"ffjax: no answer for tea coffee pot: {NO_CANDIDATE}\n")


def test_one_very_long_word_among_many(ff, small):
    words = ["tea"] * 300 + ["x" * 1_000_000, ""]
    result = ff("similar", small["simple"], "-k", "1", stdin="\n".join(words))
    assert result.status == 1 and len(result.rows) == 300 and result.err.count("\n") == 1
    result = ff("similar", small["simple"], "")
    expected = "an unknown word, and these embeddings have no n-grams."
    assert result.err == f"ffjax: no answer for '': {expected}\n"


@pytest.mark.parametrize("command", ["similar", "analogy", "plot", "prune", "select"])
def test_a_floret_table_has_no_words_to_answer_with(ff, tmp_path, command):
    path, words = tmp_path / "table.fifu", tmp_path / "words"
    words.write_text("tea\n")
    vocab = ffjax.FloretVocab(ffjax.FloretIndexer(2, 3, 4))
    ffjax.Embeddings(ffjax.NdArray(np.eye(2, dtype=np.float32)), vocab).write(path)
    extra = {
        "similar": ["tea"],
        "analogy": ["tea", "pot", "coffee"],
        "plot": ["tea", "-o", tmp_path / "x.svg"],
        "prune": [tmp_path / "out.fifu", "-n", 1],
        "select": [tmp_path / "out.fifu", "-w", words],
    }
    result = ff(command, path, *extra[command])
    assert result.status == 2 and result.out == "" and result.err.count("\n") == 1
    assert result.err.startswith("ffjax: error: ") and "embeddings without words" in result.err
    assert command != "similar" or "`ffjax embed`" in result.err


def test_unknown_words_that_are_known_in_lower_case(ff):
    result = ff("similar", "demo", "Berlin", "berlin", "Berlinn", "-k", 1)
    assert result.status == 0 and len(result.rows) == 3
    assert result.err == "ffjax: Berlin is unknown, but berlin is a word.\n"


@pytest.mark.parametrize("command", ["similar", "select"])
def test_queries_that_are_not_text_are_an_error(ff, tmp_path, command):
    path, out = tmp_path / "words", tmp_path / "out.fifu"
    options = {"similar": ("--input", path), "select": ("--words", path, out)}[command]
    path.write_bytes(gzip.compress(b"tea\n"))
    result = ff(command, "demo", *options)
    assert result.status == 2 and "words: expected text, got a file compressed by" in result.err
    path.write_text("tea\n", "utf-16")
    result = ff(command, "demo", *options)
    assert result.status == 2 and "words: expected text, got UTF-16. Convert it" in result.err
