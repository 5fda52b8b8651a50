"""`ffjax analogy`: the answers of `ffp-analogy`."""

import json

import numpy as np
import pytest

import ffjax
from ffjax.cli.analogy import repeat_include, roles
from ffjax.cli.exit_status import BadInput

QUERIES = ["man king woman", "paris france berlin", "good better bad", "tokyo japan rome"]


def theirs(done, k):
    """The peer's lines, grouped by query."""
    pairs = [line.rsplit(" ", 1) for line in done.out.splitlines()]
    return [
        [(word, float(score)) for word, score in pairs[i : i + k]] for i in range(0, len(pairs), k)
    ]


def mine(done, k):
    rows = [(row[-2], float(row[-1])) for row in done.rows]
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


# The peer's script skips b where it ought to skip c, so only what has c in it, or nothing, can be compared with it.
@pytest.mark.parametrize("include", [[], ["c"], ["a", "c"], ["b", "c"], ["a", "b", "c"]])
def test_answers_are_those_of_ffp_analogy(ff, peer, plain_file, tmp_path, include):
    queries = tmp_path / "queries.txt"
    queries.write_text("\n".join(QUERIES), encoding="utf-8")
    option = ["--include", *include] if include else []
    expected = peer("analogy", plain_file, queries, "-k", 3, *option)
    assert expected.status == 0
    done = ff("analogy", plain_file, "--input", queries, "-k", 3, *option)
    assert done.status == 0
    check(mine(done, 3), theirs(expected, 3))
    assert [row[:3] for row in done.rows] == [query.split() for query in QUERIES for _ in range(3)]


def test_c_is_no_answer_unless_it_is_included(ff, peer, plain_file):
    """The word c would be the best answer here, and `ffp-analogy --include a` gives it."""
    query = ["good", "better", "bad"]
    assert peer("analogy", plain_file, "-k", 1, "-i", "a", stdin=" ".join(query)).out.startswith(
        "bad "
    )
    found = {
        include: ff("analogy", plain_file, *query, "-k", 2, "-i", include).rows for include in "abc"
    }
    assert [row[3] for row in found["c"]] == ["bad", "worse"]
    assert found["a"][0][3] == found["b"][0][3] == "worse"


@pytest.mark.parametrize("kind", ["buckets", "explicit"])
def test_unknown_words_take_part_through_their_n_grams(ff, peer, small, kind):
    text = "tea teapots coffee\npot Kaffeepot naïve\n"
    expected = peer("analogy", small[kind], "-k", 3, stdin=text)
    check(mine(ff("analogy", small[kind], "-k", 3, stdin=text), 3), theirs(expected, 3))


def test_a_query_with_an_unknown_word_gets_a_line_on_standard_error(ff, peer, plain_file):
    text = "man king qwyjibo\nman king woman\n"
    assert peer("analogy", plain_file, "-k", 1, stdin=text).out.startswith(
        "queen "
    )  # it goes on as well
    done = ff("analogy", plain_file, "-k", 1, stdin=text)
    assert [row[:4] for row in done.rows] == [["man", "king", "woman", "queen"]]
    assert done.err == "ffjax: no answer for man king qwyjibo: no vector for qwyjibo.\n"
    assert done.status == 1


def test_words_with_spaces_come_in_lines_with_tabs(ff, small):
    done = ff("analogy", small["simple"], "-k", 1, "--json", stdin="tea\ta b\tpot\n")
    assert json.loads(done.out)["query"] == ["tea", "a b", "pot"]
    assert done.status == 0


def test_what_comes_before_a_bad_line_is_answered(ff, demo_file):
    done = ff("analogy", demo_file, "-k", 1, stdin="man king woman\nman king\ngood better bad\n")
    assert [row[3] for row in done.rows] == ["queen"]
    assert done.err == "ffjax: error: standard input: line 2: expected 3 words, got 2: man king\n"
    assert done.status == 2


def test_an_incomplete_query_is_bad_input(ff, demo_file):
    done = ff("analogy", demo_file, "man", "king", "woman", "good")
    assert (done.status, done.out) == (2, "")
    assert done.err == "ffjax: error: expected 3 words per query, got 4: man king woman good.\n"


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("e -i a b c", "e -i a --include b --include c"),
        ("-i a e b c d", "-i a e b c d"),
        ("e --include a -k 3 b", "e --include a -k 3 b"),
        ("e -i a -- b c d", "e -i a -- b c d"),
        ("e -i x a b", "e -i x a b"),
    ],
)
def test_include_takes_several_roles_like_ffp_analogy(given, made):
    assert " ".join(repeat_include(given.split())) == made


def test_roles_are_a_b_and_c():
    assert roles([]) == set() and roles(["a,b", "c"]) == {"a", "b", "c"}
    with pytest.raises(BadInput, match="expected any of a, b and c, got d"):
        roles(["a", "d"])


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
        done = ff("analogy", demo_file, *query, "-k", 3, *options)
        best = ffjax.analogy(emb, a, b, c, 3, **chosen)
        assert [row[3] for row in done.rows] == [
            emb.vocab.words[row] for row in np.asarray(best.rows)[0]
        ]
        np.testing.assert_allclose([float(row[4]) for row in done.rows], best.scores[0], rtol=1e-6)


def test_a_method_that_has_its_own_metric(ff, demo_file):
    done = ff(
        "analogy", demo_file, "man", "king", "woman", "--method", "3cosmul", "--metric", "angular"
    )
    assert done.status == 2 and "--metric: expected cosine with --method 3cosmul" in done.err
