"""Splitting text into words, compared with a regular expression."""

import re

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ffjax.kernels.tokenize import tokenize

SPACES = rb"[ \t\n\r\v\f\0]+"
TOKENS = [b"tea", b"Paris", b"\xe6\x9d\xb1", b"x" * 70]
TOKENS += [b" ", b"\t", b"\n", b"\r", b"\v\f", b"\0"]

_tokenize = jax.jit(tokenize, static_argnums=1)


def words_by_line(text):
    lines = text.split(b"\n")
    lines = lines if lines[-1] else lines[:-1]
    return [[word for word in re.split(SPACES, line) if word] for line in lines]


@given(st.lists(st.sampled_from(TOKENS), max_size=14))
def test_words_are_those_of_a_regular_expression(tokens):
    text = b"".join(tokens)
    padded = np.full(1024, ord("z"), np.uint8)
    padded[: len(text)] = np.frombuffer(text, np.uint8)
    words = _tokenize(padded, 512, np.int32(len(text)))
    lines = words_by_line(text)
    expected = [(i, word) for i, line in enumerate(lines) for word in line]
    n = int(words.n_words)
    bounds = zip(words.starts[:n].tolist(), words.lengths[:n].tolist(), strict=True)
    texts = [text[start : start + length] for start, length in bounds]
    assert list(zip(words.lines[:n].tolist(), texts, strict=True)) == expected
    assert int(words.n_lines) == len(lines)
    assert (words.lengths[n:] == -1).all() and (words.lines[n:] == len(lines)).all()


def test_the_number_of_words_is_right_where_slots_are_too_few():
    words = _tokenize(jnp.frombuffer(b"a b c d", jnp.uint8), 2)
    assert int(words.n_words) == 4 and words.starts.tolist() == [0, 2]
    assert _tokenize(jnp.zeros(0, jnp.uint8), 0).starts.shape == (0,)
