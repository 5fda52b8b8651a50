"""Bytes to characters in compiled code, under both rules."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ffjax
from ffjax.kernels.utf8 import BYTES, CODE_POINTS, byte_planes, characters, offsets, pull, starts_of
from tests.vocab.ngrams.reference import lead_characters
from tests.vocab.ngrams.words import INVALID, SPECIAL, decoded, some_bytes, some_words

MARKS = [(b"<", b">"), (b"", b""), (b"<<", b""), ("«".encode(), "»".encode())]


compiled_characters = jax.jit(characters, static_argnums=2)
compiled_planes = jax.jit(byte_planes, static_argnums=(2, 3))


def planes_of(raws, bow=b"<", eow=b">", width=None):
    batch = ffjax.pack(raws, count=len(raws), width=width)
    return compiled_planes(batch.bytes, batch.lengths, bow, eow)


def all_bytes():
    return [
        *(w.encode() for w in SPECIAL if len(w) < 100),
        *INVALID,
        *some_bytes(300),
        *(w.encode() for w in some_words(300)),
    ]


@pytest.mark.parametrize(("bow", "eow"), MARKS)
def test_byte_planes_are_the_marked_words(bow, eow):
    raws = all_bytes()
    planes, totals = map(np.asarray, planes_of(raws, bow, eow))
    for raw, column, total in zip(raws, planes.T, totals, strict=True):
        assert column[:total].astype(np.uint8).tobytes() == bow + raw + eow
        assert not column[total:].any()


def test_byte_planes_of_rows_that_hold_no_word():
    data = jnp.full((2, 4), np.uint8(120))
    planes, totals = byte_planes(data, jnp.array([-1, 0], jnp.int32), b"<", b">")
    assert totals.tolist() == [0, 2]
    assert np.asarray(planes).T.tolist() == [[0] * 6, [60, 62, 0, 0, 0, 0]]


@pytest.mark.parametrize(("bow", "eow"), MARKS)
def test_code_points_are_those_of_the_str(bow, eow):
    raws = all_bytes()
    values, counts, overlong = compiled_characters(*planes_of(raws, bow, eow), CODE_POINTS)
    assert not overlong
    for raw, column, count in zip(raws, np.asarray(values).T, counts, strict=True):
        assert column[:count].tolist() == [ord(c) for c in decoded(bow + raw + eow)]
        assert not column[count:].any()


@given(st.lists(st.binary(max_size=16), min_size=4, max_size=4))
def test_code_points_of_any_bytes(raws):
    values, counts, _ = compiled_characters(*planes_of(raws, b"", b"", 16), CODE_POINTS)
    for raw, column, count in zip(raws, np.asarray(values).T, counts, strict=True):
        assert column[:count].tolist() == [ord(c) for c in decoded(raw)]


@pytest.mark.parametrize(("bow", "eow"), MARKS)
def test_characters_of_bytes_are_those_of_fasttext(bow, eow):
    raws = all_bytes()
    planes, totals = planes_of(raws, bow, eow)
    values, counts, overlong = compiled_characters(planes, totals, BYTES)
    assert overlong
    places = np.asarray(jax.jit(lambda p, t: offsets(starts_of(p, t, BYTES), t, 2))(planes, totals))
    for i, raw in enumerate(raws):
        expected = lead_characters(bow + raw + eow)
        assert counts[i] == len(expected)
        assert np.asarray(values)[: len(expected), i].tolist() == [int.from_bytes(c[:4], "little") for c in expected]
        ends = np.cumsum([len(bow + raw + eow) - sum(map(len, expected)), *map(len, expected)])
        assert places[: len(expected), i].tolist() == ends[:-1].tolist()
        assert (places[len(expected) :, i] == totals[i]).all()


@pytest.mark.parametrize(("raw", "expected"), [(b"abc", False), ("😀é".encode(), False), (b"a\x80\x80\x80\x80", True)])
def test_overlong(raw, expected):
    assert bool(compiled_characters(*planes_of([b"abc", raw], width=16), BYTES).overlong) == expected


@pytest.mark.parametrize("rows", [1, 17, 254, 255, 256, 300])
def test_pull_keeps_the_order(rows):
    rng = np.random.default_rng(rows)
    values = rng.integers(0, 2**32, (2, rows, 3), dtype=np.uint32)
    keep = rng.random((rows, 3)) < 0.6
    pulled = np.asarray(jax.jit(pull)(values, keep))
    for column in range(3):
        kept = values[:, keep[:, column], column]
        np.testing.assert_array_equal(pulled[:, : kept.shape[1], column], kept)
        assert not pulled[:, kept.shape[1] :, column].any()


@pytest.mark.parametrize("positions", [1, 16, 128, 129, 300])
def test_pull_moves_what_is_kept_to_the_front(positions):
    rng = np.random.default_rng(positions)
    values = rng.integers(1, 2**32, (2, positions, 5), dtype=np.uint32)
    keep = rng.random((positions, 5)) < [0, 0.1, 0.5, 0.9, 1]
    expected = np.zeros_like(values)
    for row, column in np.ndindex(2, 5):
        kept = values[row, keep[:, column], column]
        expected[row, : len(kept), column] = kept
    np.testing.assert_array_equal(jax.jit(pull)(values, keep), expected)


def test_work_of_pull_grows_with_the_positions():
    def loops(positions: int) -> int:
        shapes = jax.ShapeDtypeStruct((positions, 8), np.uint32), jax.ShapeDtypeStruct((positions, 8), bool)
        jaxpr = jax.make_jaxpr(pull)(*shapes)
        scans = [e for e in jaxpr.eqns if e.primitive.name == "scan"]
        return sum(e.params["length"] == positions for e in scans)

    # Counting what is kept goes through the positions once; no second loop does.
    assert loops(512) == loops(4096) == 1
