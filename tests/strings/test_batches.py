"""`batches`: lines and labels in minibatches of one shape; and words divided in NumPy."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ffjax
from ffjax.kernels.tokenize_numpy import tokenize_on_host
from tests.kernels.test_tokenize import words_by_line

LINES = ["a cup of tea", "", "cake", "one two\nthree", "東京 Zürich", "x" * 65, "tea"]
LABELS = np.arange(7)


def lines_of(batch):
    """The words of each line of a batch."""
    lines = [[] for _ in range(len(batch.mask) + 1)]
    for row, n, line in zip(batch.strings.bytes, batch.strings.lengths, batch.lines, strict=True):
        lines[line].append(row[: max(n, 0)].tobytes().decode())
    return lines[:-1]


@given(st.binary(max_size=60))
def test_words_are_divided_as_in_compiled_code(text):
    tokens = tokenize_on_host(np.frombuffer(text, np.uint8))
    lines = [[] for _ in range(tokens.n_lines)]
    for start, length, line in zip(*tokens[:3], strict=True):
        lines[line].append(text[start : start + length])
    assert lines == words_by_line(text)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10])
def test_batches_hold_every_line_once_with_its_label(size):
    batches = list(ffjax.batches(LINES, LABELS, size=size))
    assert len(batches) == -(-7 // size)
    shapes = {tuple(map(np.shape, jax.tree.leaves(batch))) for batch in batches}
    assert len(shapes) == 1
    lines = [line for batch in batches for line in lines_of(batch)]
    expected = [text.split() for text in LINES]
    expected[5] = [""]  # a longer word than compiled code takes is a filler
    assert lines == expected + [[]] * (len(lines) - 7)
    labels, mask = (np.concatenate([batch[i] for batch in batches]) for i in (2, 3))
    assert labels[mask].tolist() == LABELS.tolist() and not labels[~mask].any()
    assert mask.tolist() == [True] * 7 + [False] * (len(lines) - 7)


def test_the_key_decides_on_the_order():
    def order(key):
        return [batch.labels.tolist() for batch in ffjax.batches(LINES, LABELS, size=2, key=key)]

    first = order(jax.random.key(1))
    assert first == order(jax.random.key(1)) == order(jax.random.PRNGKey(1))
    assert first != order(jax.random.fold_in(jax.random.key(1), 0))
    assert sorted(sum(first, [])[:7]) == list(range(7))


def test_the_last_batch_can_be_dropped_and_words_fixed():
    batches = list(ffjax.batches(LINES, size=3, drop_last=True, n_words=10))
    assert len(batches) == 2 and all(batch.mask.all() for batch in batches)
    assert all(batch.lines.shape == (10,) and batch.labels is None for batch in batches)
    assert list(ffjax.batches([], [], size=3)) == []


def test_calls_with_one_number_of_words_give_one_shape():
    calls = [["tea"], ["tea", "x" * 30], ["x" * 99] * 5]
    batches = [batch for lines in calls for batch in ffjax.batches(lines, size=2, n_words=8)]
    assert {batch.strings.bytes.shape for batch in batches} == {(8, 64)}


def test_text_is_taken_and_changed_as_by_embed_text():
    batches = ffjax.batches(b"Tea, please!\nCAKE", size=2, lowercase=True, strip_punctuation=True)
    assert lines_of(next(batches)) == [["tea", "please"], ["cake"]]


def test_a_batch_is_an_argument_of_compiled_code():
    emb = ffjax.from_vectors(["tea", "cake", "cup"], np.eye(3))

    @jax.jit
    def features(emb, batch):
        vectors, found = ffjax.embed(emb, batch.strings)
        return ffjax.pool(vectors, batch.lines, len(batch.mask), found=found)[0]

    vectors = [features(emb, batch) for batch in ffjax.batches(LINES, LABELS, size=4)]
    np.testing.assert_array_equal(np.concatenate(vectors)[:7], ffjax.embed_text(emb, LINES)[0])
    assert features._cache_size() == 1


@pytest.mark.usefixtures("as_users_see")
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"size": 0}, ValueError, "`size`: expected 1 or more, got 0"),
        ({"size": 2, "key": 3}, TypeError, "`key`: expected one key"),
        ({"size": 2, "labels": [1]}, ValueError, r"`labels`: .*2 lines, got shape \(1,\)"),
        ({"size": 2, "labels": 1}, ValueError, r"`labels`: .*2 lines, got shape \(\)"),
        ({"size": 2, "labels": ["a", "b"]}, TypeError, "`labels`: expected numbers.*return_inv"),
        ({"size": 2, "n_words": 1}, ValueError, "`n_words`: expected at least 2, .*got 1"),
    ],
)
def test_errors_come_with_the_call(arguments, error, message):
    with pytest.raises(error, match=message):
        ffjax.batches(["tea", "cake"], **arguments)
