"""Numbers come back as they were: from text to text, through word2vec and through finalfusion."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import ffjax
from ffjax.kernels.unit_length import original_rows, unit_length
from tests.builders import cases

PASSES = 3
# What is between two texts: nothing, or files of other formats.
PATHS = [(), ("word2vec",), ("finalfusion",), ("word2vec", "word2vec"), ("finalfusion", "word2vec")]


NUMBERS = st.builds(
    lambda n, exponent: f"{n / 10**exponent:.{exponent}f}",
    st.integers(1 - 10**6, 10**6 - 1),
    st.integers(1, 9),
)
TABLES = st.lists(st.lists(NUMBERS, min_size=3, max_size=3), min_size=20, max_size=60)


def text_of(table: list[list[str]]) -> str:
    return "".join(f"w{i} {' '.join(numbers)}\n" for i, numbers in enumerate(table))


def bits(path: Path, table: list[list[str]]) -> bool:
    """Whether a text has the numbers of a table, as float32."""
    found = [line.split()[1:] for line in path.read_text().splitlines()]
    return np.array_equal(np.array(found, np.float32), np.array(table, np.float32))


def load_and_save(source: Path, target: Path, to: str) -> None:
    ffjax.save(ffjax.load(source), target, format=to)


def convert(source: Path, target: Path, to: str) -> None:
    ffjax.convert(source, target, to_format=to)


@pytest.mark.parametrize(
    "case",
    cases(
        [(load_and_save, path) for path in PATHS] + [(convert, PATHS[0]), (convert, PATHS[-1])],
        exhaustive=[(convert, path) for path in PATHS],
    ),
)
@settings(max_examples=5, deadline=None)
@given(table=TABLES)
def test_six_digits_survive_every_path(
    tmp_path_factory: pytest.TempPathFactory, case, table
) -> None:
    step, path = case
    source, target = (tmp_path_factory.mktemp("numbers") / name for name in ("a", "b"))
    source.write_text(text_of(table))
    first = None
    for _ in range(PASSES):
        for to in (*path, "text"):
            step(source, target, to)
            source, target = target, source
        assert bits(source, table)
        first = first or source.read_bytes()
        assert source.read_bytes() == first


@pytest.mark.filterwarnings("ignore:.*a finite length")
@settings(max_examples=10, deadline=None)
@given(rows=hnp.arrays("<f4", (5, 3), elements=st.floats(width=32, allow_nan=False)))
def test_convert_keeps_every_bit(tmp_path_factory: pytest.TempPathFactory, rows) -> None:
    folder = tmp_path_factory.mktemp("bits")
    raw = b"5 3\n" + b"".join(b"w%d %s\n" % (i, row.tobytes()) for i, row in enumerate(rows))
    (folder / "a").write_bytes(raw)
    try:
        convert(folder / "a", folder / "b", "word2vec")
    except ffjax.FormatError as error:
        assert "absurd length" in str(error)  # what shifted rows look like is refused
        reject()
    for _ in range(PASSES):
        for source, target, to in (("a", "b", "word2vec"), ("b", "c", "text"), ("c", "d", "text")):
            convert(folder / source, folder / target, to)
        convert(folder / "d", folder / "a", "word2vec")
        assert (folder / "b").read_bytes() == raw
        assert (folder / "d").read_bytes() == (folder / "c").read_bytes()
    assert (folder / "a").read_bytes() == raw


@settings(max_examples=200, deadline=None)
@given(
    rows=hnp.arrays(np.float32, (4, 3), elements=st.floats(width=32, allow_subnormal=False)),
    n_digits=st.integers(1, 9),
)
def test_original_rows_become_the_same_rows_of_unit_length(rows, n_digits: int) -> None:
    with np.errstate(over="ignore"):
        rows = np.array([[float(f"%.{n_digits}g" % x) for x in row] for row in rows], np.float32)
    units = rows.copy()
    norms, _ = unit_length(units)
    finite = np.isfinite(rows).all(1)
    rows, units, norms = rows[finite], units[finite], norms[finite]
    original = original_rows(units, norms)
    normal = np.abs(units) >= np.finfo(np.float32).tiny
    with np.errstate(invalid="ignore", divide="ignore"):
        again = original / norms[:, None]
    np.testing.assert_array_equal(again[normal], units[normal])
    np.testing.assert_array_max_ulp(original[normal], rows[normal], 1)
    if n_digits <= 6:
        np.testing.assert_array_equal(original[normal], rows[normal])


def test_two_numbers_of_seven_digits_may_be_one_of_unit_length() -> None:
    """Why rows of unit length keep six digits, and the seventh only where float32 has room."""
    rows = np.array([[0.9500216, 1.0], [0.9500217, 1.0]], np.float32)
    assert rows[0, 0] != rows[1, 0]
    norms, _ = unit_length(rows)
    assert norms[0] == norms[1] and rows[0].tolist() == rows[1].tolist()
