"""What stays in memory of a map whose rows are read one by one."""

import copy

import numpy as np
import pytest

import ffjax
from ffjax import _maps
from ffjax._maps import TouchedRows


@pytest.fixture
def mapped(tmp_path, monkeypatch) -> ffjax.NdArray:
    """A matrix that counts as large, of which two rows may be touched."""
    monkeypatch.setattr(_maps, "_SMALL", 1)
    monkeypatch.setattr(_maps, "_PER_TOUCH", 64)
    path = tmp_path / "rows"
    np.arange(400, dtype=np.float32).tofile(path)
    return ffjax.NdArray(np.memmap(path, np.float32, "r", shape=(100, 4)))


def test_pages_are_let_go_when_enough_rows_were_read(mapped, monkeypatch):
    dropped: list[int] = []
    monkeypatch.setattr(_maps, "forget", lambda held: dropped.append(len(held)))
    for row in range(3):
        np.testing.assert_array_equal(mapped[row], np.arange(4) + 4 * row)
    assert dropped == []
    mapped[3]
    assert dropped == [1600]
    np.testing.assert_array_equal(mapped[[1, 2, 3, 99]][-1], [396, 397, 398, 399])
    assert dropped == [1600, 1600]
    out = np.empty((1, 4), np.float32)
    assert mapped.embedding([5], out=out) is out


def test_rows_are_the_same_after_their_pages_are_gone(mapped):
    expected = np.arange(400, dtype=np.float32).reshape(100, 4)
    for _ in range(3):
        np.testing.assert_array_equal(np.stack([mapped[row] for row in range(100)]), expected)


def test_copies_do_not_hold_the_map(mapped):
    mapped[0]
    np.testing.assert_array_equal(copy.deepcopy(mapped)[99], [396, 397, 398, 399])


@pytest.mark.parametrize("mode", ["r+", "c"])
def test_maps_that_are_written_to_are_left_alone(tmp_path, monkeypatch, mode):
    monkeypatch.setattr(_maps, "_SMALL", 1)
    np.zeros(4, np.float32).tofile(tmp_path / "rows")
    assert TouchedRows.of(np.memmap(tmp_path / "rows", np.float32, mode, shape=(2, 2))) is None


def test_small_maps_and_arrays_are_not_counted(tmp_path):
    np.zeros(4, np.float32).tofile(tmp_path / "rows")
    assert TouchedRows.of(np.memmap(tmp_path / "rows", np.float32, "r", shape=(2, 2))) is None
    assert TouchedRows.of(np.zeros((2, 2), np.float32)) is None
