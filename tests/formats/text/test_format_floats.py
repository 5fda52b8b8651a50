"""Numbers are written as the shortest decimals that read back as the same float32."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ffjax.formats.text.format_floats import format_rows


def digits_of(text: str) -> str:
    """The significant digits of a decimal, however it is written."""
    return text.lower().split("e")[0].lstrip("-").replace(".", "").strip("0")


@given(
    hnp.arrays(
        np.float32, st.tuples(st.integers(0, 5), st.integers(1, 7)), elements=st.floats(width=32)
    )
)
def test_every_number_reads_back_as_the_same_bits(rows: np.ndarray) -> None:
    lines = format_rows(rows)
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        reread = np.array([np.float32(float(field)) for field in line.split(b" ")])
        nan = np.isnan(row)
        np.testing.assert_array_equal(np.isnan(reread), nan)
        np.testing.assert_array_equal(reread[~nan].view(np.uint32), row[~nan].view(np.uint32))


@pytest.mark.parametrize("scale", [1.0, 0.05, 300.0])
def test_digits_are_the_shortest(scale: float) -> None:
    # NumPy's own text of a float32 has the fewest digits that tell it from all others (Dragon4).
    rows = (np.random.default_rng(0).standard_normal((200, 50)) * scale).astype(np.float32)
    got = [field.decode() for line in format_rows(rows) for field in line.split(b" ")]
    expected = [str(number) for number in rows.reshape(-1)]
    assert [digits_of(text) for text in got] == [digits_of(text) for text in expected]


def test_digits_are_the_shortest_in_every_binade() -> None:
    first, last = np.array([1e-5, 1e7], np.float32).view(np.uint32) >> 23
    random = np.random.default_rng(0).integers(0, 1 << 23, 500)
    fractions = np.concatenate([random, np.arange(20), (1 << 23) - 1 - np.arange(20)])
    binades = (np.arange(first, last + 1)[:, None] << 23) | fractions
    tens = (10.0 ** np.arange(-5, 8)).astype(np.float32).view(np.uint32)[:, None]
    bits = np.concatenate([binades.ravel(), (tens + np.arange(-50, 50)).ravel()])
    numbers = bits.astype(np.uint32).view(np.float32)
    numbers = numbers[(numbers >= np.float32(1e-5)) & (numbers < 1e7)]
    got = [line.decode() for line in format_rows(numbers[:, None])]
    assert got == [np.format_float_positional(x, unique=True, trim="0") for x in numbers]
    assert format_rows(np.array([[0.000987, -0.00098]], np.float32)) == [b"0.000987 -0.00098"]


def test_short_decimals_stay_as_they_were() -> None:
    texts = "0.1 -0.25 3.0 -0.0 0.0 1.5 0.418 -0.038194 12345.678 0.00001 9999999.0".split()
    texts += ["1000000.0", "0.3333333"]
    (line,) = format_rows(np.array([[np.float32(text) for text in texts]]))
    assert line.decode().split(" ") == texts


def test_what_is_tiny_huge_or_no_number_keeps_its_row_readable() -> None:
    rows = np.array([[1e-30, np.nan], [np.inf, -np.inf], [1e30, 0.5]], np.float32)
    assert format_rows(rows) == [b"1e-30 nan", b"inf -inf", b"1e+30 0.5"]


def test_no_rows() -> None:
    assert format_rows(np.empty((0, 3), np.float32)) == []
