"""The fast readers of numbers give what Python gives, bit for bit, or say that they can't."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ffjax.formats.text.fields import one_number
from ffjax.formats.text.parse_floats import (
    PAD,
    Scratch,
    long_numbers,
    padded,
    short_numbers,
)


def spans(fields: list[bytes], before: bytes = b" ") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The fields in a padded buffer, one separator before each and after the last."""
    text = before + b" ".join(fields) + b"\n"
    buffer = padded(len(text))
    buffer[:] = 0x39  # what lies outside must not matter: nines are the worst
    buffer[PAD : PAD + len(text)] = np.frombuffer(text, np.uint8)
    lengths = np.array([len(field) for field in fields], np.int64)
    ends = PAD + len(before) + np.cumsum(lengths + 1) - 1
    return buffer, ends - lengths, ends


def read_short(fields: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    out = np.full(len(fields), 77, np.float32)
    bad = short_numbers(*spans(fields), out, Scratch(len(fields) + 3))
    return out, bad.copy()


def same_bits(got: np.ndarray, fields: list[bytes]) -> None:
    expected = np.array([np.float32(float(field)) for field in fields])
    np.testing.assert_array_equal(got.view(np.uint32), expected.view(np.uint32))


decimals = st.from_regex(rb"-?[0-9]{0,12}\.?[0-9]{0,14}", fullmatch=True)
anything = st.one_of(
    decimals,
    st.from_regex(rb"[-+]?[0-9]{1,9}(\.[0-9]{0,9})?([eE][-+]?[0-9]{1,3})?", fullmatch=True),
    st.binary(min_size=1, max_size=20).filter(lambda field: not set(field) & set(b" \t\r\n")),
)


def is_number(field: bytes) -> bool:
    try:
        one_number(field)
    except ValueError:
        return False
    return True


@given(st.lists(anything, min_size=1, max_size=30))
@example(
    [
        b"-0.038194",
        b"0.28787",
        b"-0.0",
        b"0.0",
        b"12.5",
        b"99999999.",
        b"9999999.9",
        b".5",
        b"-.25",
        b"7.",
    ]
)
@example(
    [
        b".",
        b"-",
        b"-.",
        b"--1.0",
        b"1.-2",
        b"1..2",
        b"1.2.3",
        b"/.0",
        b":.0",
        b"1.0:",
        b"+1.5",
        b"1,5",
        b"\xb2.5",
    ]
)
@example([b"123456.7", b"1234567.8", b"0.1234567", b"0.12345678", b"-0.1234567"])
def test_short_numbers_are_right_or_refused(fields: list[bytes]) -> None:
    got, bad = read_short(fields)
    for number, refused, field in zip(got, bad, fields, strict=True):
        if not refused:
            assert is_number(field), field
            same_bits(np.array([number]), [field])


@given(st.lists(anything, min_size=1, max_size=30))
@example(
    [
        b"9007199254740992",
        b"9007199254740993",
        b"-9007199254740.991",
        b"0.000000000000001",
        b"1234567890.12345",
    ]
)
@example(
    [
        b"0",
        b"-1",
        b"+7",
        b"-",
        b"+",
        b".",
        b"1.2.3",
        b"123456789012345.",
        b"-123456789012345.",
        b"00000000.00000001",
    ]
)
def test_long_numbers_are_right_or_refused(fields: list[bytes]) -> None:
    got, bad = long_numbers(*spans(fields))
    for number, refused, field in zip(got, bad, fields, strict=True):
        if not refused:
            assert is_number(field), field
            same_bits(np.array([number]), [field])


@pytest.mark.parametrize("digits", range(1, 9))
def test_short_numbers_read_all_they_promise(digits: int) -> None:
    rng = np.random.default_rng(digits)
    fields = []
    for point in range(
        max(0, digits - 7), digits + 1
    ):  # digits before the point; at most seven after it
        for _ in range(50):
            text = "".join(map(str, rng.integers(0, 10, digits)))
            fields += [f"{sign}{text[:point]}.{text[point:]}".encode() for sign in ("", "-")]
    got, bad = read_short(fields)
    assert not bad.any()
    same_bits(got, fields)


@pytest.mark.parametrize("digits", range(1, 16))
def test_long_numbers_read_all_they_promise(digits: int) -> None:
    rng = np.random.default_rng(digits)
    fields = []
    for point in range(digits + 1):
        text = "".join(map(str, rng.integers(0, 10, digits)))
        fields += [f"{sign}{text[:point]}.{text[point:]}".encode() for sign in ("", "-", "+")]
        fields += [f"{sign}{text}".encode() for sign in ("", "-", "+")]
    got, bad = long_numbers(*spans(fields))
    assert not bad.any()
    same_bits(got, fields)


def test_a_decimal_halfway_between_two_float32_rounds_as_python_does() -> None:
    # 1 + 2**-24 lies halfway between 1 and the next float32; Python reads its 25 digits.
    half = b"1.000000059604644775390625"
    got, bad = long_numbers(*spans([half]))
    assert bad.all()
    assert np.float32(one_number(half)) == np.float32(1)
    # Below 16 digits: rounding to float64 first decides, as np.float32(float(text)) does.
    fields = [b"1.0000000596046", b"1.0000000596047", b"16777217", b"16777219"]
    got, bad = long_numbers(*spans(fields))
    assert not bad.any()
    same_bits(got, fields)


def test_the_field_before_never_leaks_in() -> None:
    # The eight bytes that end a field reach into the one before, whose point must not be found.
    fields = [b"0.5", b"1.", b"2", b"3.25", b"-4.5", b"x.y", b"6.125"]
    got, bad = read_short(fields)
    assert bad.tolist() == [False, False, True, False, False, True, False]
    same_bits(got[~bad], [field for field, refused in zip(fields, bad, strict=True) if not refused])


@pytest.mark.parametrize("text", [b"1_0", b"", b"0x10", b"1e", b"one", b"\xd9\xa1"])
def test_one_number_refuses(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"^$|could not convert"):
        one_number(text)


def test_one_number_reads_what_python_reads() -> None:
    assert one_number(b"1e-3") == 1e-3
    assert one_number(b"-inf") == -math.inf
    assert math.isnan(one_number(b"NaN"))
