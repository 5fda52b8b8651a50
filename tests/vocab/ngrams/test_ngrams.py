"""The definition of n-grams."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ffjax
from ffjax.vocab.ngrams.base import check_ngram, check_range
from tests.vocab.ngrams.reference import stretches
from tests.vocab.ngrams.words import SPECIAL, some_words

RANGES = [(3, 6), (1, 1), (1, 4), (2, 2), (5, 5), (3, 12), (70, 80)]


def test_n_grams_of_a_word_outside_of_ascii():
    # From finalfusion-rust, src/subword.rs, `short_ngram_test`.
    assert sorted(ffjax.ngrams("ˈjəp", 3, 6, bracket=False)) == sorted(["ˈjə", "jəp", "ˈjəp"])


def test_order_is_by_start_longest_first():
    assert ffjax.ngrams("ab", 1, 3) == ["<ab", "<a", "<", "ab>", "ab", "a", "b>", "b", ">"]
    assert ffjax.ngrams("ab", 1, 3, False) == ["ab", "a", "b"]


@pytest.mark.parametrize(("min_n", "max_n"), RANGES)
def test_as_finalfusion(min_n, max_n):
    peer = pytest.importorskip("finalfusion.subword").ngrams
    for word in [*SPECIAL, *some_words(300)]:
        for bracket in (True, False):
            assert ffjax.ngrams(word, min_n, max_n, bracket) == peer(word, min_n, max_n, bracket)


@given(st.text(max_size=20), st.integers(1, 8), st.integers(0, 8))
def test_as_the_definition(word, min_n, more):
    assert ffjax.ngrams(word, min_n, min_n + more) == stretches(f"<{word}>", min_n, min_n + more)


@pytest.mark.parametrize("word", [None, 3, b"abc", ["abc"]])
def test_words_that_are_no_words(word):
    with pytest.raises(
        TypeError, match="word"
    ):  # by the run-time check of types, which is on in the tests
        ffjax.ngrams(word)
    with pytest.raises(
        TypeError,
        match=r"`word`: expected a str to take n-grams of, got (NoneType|int|bytes|list) ",
    ):
        check_ngram(word)


@pytest.mark.parametrize(("min_n", "max_n"), [(0, 3), (-1, 3), (4, 3), (1, 2**32)])
def test_ranges_that_are_none(min_n, max_n):
    with pytest.raises(
        ValueError, match=rf"`min_n`, `max_n`: .* got min_n={min_n} and max_n={max_n}"
    ):
        ffjax.ngrams("word", min_n, max_n)


@pytest.mark.parametrize("value", [3.0, "3", None, True, np.True_])
def test_lengths_that_are_no_whole_numbers(value):
    with pytest.raises(TypeError, match="`min_n`: expected a whole number, got"):
        check_range(value, 6)
    with pytest.raises(TypeError, match="`max_n`: expected a whole number, got"):
        check_range(1, value)


def test_lengths_of_numpy_are_whole_numbers():
    assert check_range(np.int32(5), np.uint8(6)) == (5, 6)


def test_words_too_short_have_none():
    assert ffjax.ngrams("", 1, 3, bracket=False) == ffjax.ngrams("ab", 3, 6, bracket=False) == []
