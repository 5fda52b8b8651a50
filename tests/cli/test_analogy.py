"""`ffjax analogy`: the answers of `ffp-analogy`."""

import json

import numpy as np
import pytest

import ffjax
from ffjax.cli.options import repeat_include

QUERIES = ["man king woman", "paris france berlin", "good better bad", "tokyo japan rome"]


def theirs(result, k):
    """The peer's lines, grouped by query."""
    pairs = [line.rsplit(" ", 1) for line in result.out.splitlines()]
    return [
        [(word, float(score)) for word, score in pairs[i : i + k]] for i in range(0, len(pairs), k)
    ]


def mine(result, k):
    rows = [(row[-2], float(row[-1])) for row in result.rows]
    return [rows[i : i + k] for i in range(0, len(rows), k)]


def check(one, other):
    assert [[word for word, _ in answers] for answers in one] == [
        [word for word, _ in answers] for answers in other
    ]
    np.testing.assert_allclose(
        [[score for _, score in answers] for answers in one],
        [[score for _, score in answers] for answers in other],
        atol=1e-6,
        rtol=0,
    )


# `ffp-analogy` skips b where it should skip c, so only includes of c, or of none, can be compared.
@pytest.mark.parametrize("include", [[], ["c"], ["a", "c"], ["b", "c"], ["a", "b", "c"]])
def test_answers_are_those_of_ffp_analogy(ff, peer, plain_file, tmp_path, include):
    queries = tmp_path / "queries.txt"
    queries.write_text("\n".join(QUERIES), encoding="utf-8")
    option = ["--include", *include] if include else []
    expected = peer("analogy", plain_file, queries, "-k", 3, *option)
    assert expected.status == 0
    result = ff("analogy", plain_file, "--input", queries, "-k", 3, *option)
    assert result.status == 0
    check(mine(result, 3), theirs(expected, 3))
    assert [row[:3] for row in result.rows] == [
        query.split() for query in QUERIES for _ in range(3)
    ]


def test_c_is_no_answer_unless_it_is_included(ff, peer, plain_file):
    """The word c would be the best answer here, and `ffp-analogy --include a` gives it."""
    query = ["good", "better", "bad"]
    theirs = peer("analogy", plain_file, "-k", 1, "-i", "a", stdin=" ".join(query))
    assert theirs.out.startswith("bad ")
    rows = {role: ff("analogy", plain_file, *query, "-k", 2, "-i", role).rows for role in "abc"}
    assert [row[3] for row in rows["c"]] == ["bad", "worse"]
    assert rows["a"][0][3] == rows["b"][0][3] == "worse"


@pytest.mark.parametrize("kind", ["buckets", "explicit"])
def test_unknown_words_have_vectors_from_their_n_grams(ff, peer, small, kind):
    text = "tea teapots coffee\npot Kaffeepot naïve\n"
    expected = peer("analogy", small[kind], "-k", 3, stdin=text)
    check(mine(ff("analogy", small[kind], "-k", 3, stdin=text), 3), theirs(expected, 3))


def test_an_unknown_word_is_reported_on_standard_error(ff, peer, plain_file):
    text = "man king qwyjibo\nman king woman\n"
    assert peer("analogy", plain_file, "-k", 1, stdin=text).out.startswith(
        "queen "
    )  # it goes on as well
    result = ff("analogy", plain_file, "-k", 1, stdin=text)
    assert [row[:4] for row in result.rows] == [["man", "king", "woman", "queen"]]
    assert result.err == "ffjax: no answer for man king qwyjibo: no vector for qwyjibo.\n"
    assert result.status == 1


def test_words_with_spaces_are_separated_by_tabs(ff, small):
    result = ff("analogy", small["simple"], "-k", 1, "--json", stdin="tea\ta b\tpot\n")
    assert json.loads(result.out)["query"] == ["tea", "a b", "pot"]
    assert result.status == 0


def test_queries_before_a_bad_line_are_answered(ff, demo_file):
    result = ff("analogy", demo_file, "-k", 1, stdin="man king woman\nman king\ngood better bad\n")
    assert [row[3] for row in result.rows] == ["queen"]
    assert result.err == "ffjax: error: standard input: line 2: expected 3 words, got 2: man king\n"
    assert result.status == 2


def test_an_incomplete_query_is_bad_input(ff, demo_file):
    result = ff("analogy", demo_file, "man", "king", "woman", "good")
    assert (result.status, result.out) == (2, "")
    assert result.err == "ffjax: error: expected 3 words per query, got 4: man king woman good.\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("e -i a b c", "e -i a --include b --include c"),
        ("-i a e b c d", "-i a e b c d"),
        ("e --include a -k 3 b", "e --include a -k 3 b"),
        ("e -i a -- b c d", "e -i a -- b c d"),
        ("e -i x a b", "e -i x a b"),
    ],
)
def test_include_takes_several_roles_like_ffp_analogy(arguments, expected):
    assert " ".join(repeat_include(arguments.split())) == expected


def test_roles_are_a_b_and_c(ff, demo_file):
    query = ["analogy", demo_file, "good", "better", "bad", "-k", 2]
    assert ff(*query, "-i", "a,b", "-i", "c") == ff(*query, "--include", "a", "b", "c")
    result = ff(*query, "-i", "d")
    assert result.status == 2 and "expected any of a, b and c, got d" in result.err


def test_methods_metrics_and_the_first_words(ff, demo_file):
    emb = ffjax.demo()
    query = ("man", "king", "woman")
    a, b, c = (ffjax.pack([word], count=1) for word in query)
    for options, chosen in (
        (["--method", "3cosmul"], {"method": "3cosmul"}),
        (["--metric", "angular"], {"metric": "angular"}),
        (["--restrict", 500], {"candidates": slice(0, 500)}),
        (
            ["--restrict", 500, "--method", "3cosmul"],
            {"candidates": slice(0, 500), "method": "3cosmul"},
        ),
    ):
        result = ff("analogy", demo_file, *query, "-k", 3, *options)
        best = ffjax.analogy(emb, a, b, c, 3, **chosen)
        assert [row[3] for row in result.rows] == [
            emb.vocab.words[row] for row in np.asarray(best.rows)[0]
        ]
        np.testing.assert_allclose(
            [float(row[4]) for row in result.rows], best.scores[0], rtol=1e-6
        )


def test_3cosmul_rejects_other_metrics(ff, demo_file):
    result = ff(
        "analogy", demo_file, "man", "king", "woman", "--method", "3cosmul", "--metric", "angular"
    )
    expected = "`--metric`: expected cosine with `--method 3cosmul`"
    assert result.status == 2 and expected in result.err
