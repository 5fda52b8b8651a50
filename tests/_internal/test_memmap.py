"""Rows of large maps are read from their files, and little of those stays in memory."""

import copy
import gc
import mmap
import os
import subprocess
import sys

import numpy as np
import pytest

import ffjax
from ffjax._internal import memmap as _maps
from ffjax._internal.arrays import is_mapped, release_pages
from ffjax._internal.memmap import RowsInFile, map_file, read_ahead

MATRIX = np.arange(400, dtype=np.float32).reshape(100, 4)


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A file with some bytes before the matrix, which counts as large."""
    monkeypatch.setattr(_maps, "_LARGE_BYTES", 1)
    (tmp_path / "rows").write_bytes(b"head" + MATRIX.tobytes())
    return tmp_path / "rows"


@pytest.fixture
def mapped(path) -> ffjax.NdArray:
    with open(path, "rb") as file:
        return ffjax.NdArray(map_file(file, 4, MATRIX.shape, np.float32))


@pytest.fixture
def reads(monkeypatch) -> list[int]:
    """The row numbers that were read from the file."""
    seen: list[int] = []
    read = RowsInFile.read
    monkeypatch.setattr(
        RowsInFile, "read", lambda self, ids: (seen.extend(ids.tolist()), read(self, ids))[1]
    )
    return seen


@pytest.mark.parametrize(
    "key",
    [
        0,
        -1,
        np.int64(99),
        [3, 1, 3],
        np.arange(100) % 30 == 0,
        np.array([[-100, 99], [7, 7]]),
        np.array([5], np.uint8),
    ],
    ids=repr,
)
def test_rows_come_from_the_file(mapped, reads, key):
    np.testing.assert_array_equal(mapped[key], MATRIX[key])
    assert len(reads) == len(MATRIX[key].reshape(-1, 4))
    out = np.empty_like(MATRIX[key])
    assert mapped.embedding(key, out=out) is out
    np.testing.assert_array_equal(out, MATRIX[key])


@pytest.mark.parametrize(
    "key", [slice(3, 9), slice(None, None, -7), np.zeros(0, int)], ids=lambda key: str(key)[:9]
)
def test_slices_are_left_to_the_map(mapped, reads, key):
    np.testing.assert_array_equal(mapped.embedding(key), MATRIX[key])
    assert reads == []


def test_parts_know_where_they_begin(mapped, reads):
    np.testing.assert_array_equal(mapped[10:20][[0, -1]], MATRIX[[10, 19]])
    assert reads == [0, 9]


@pytest.mark.parametrize("key", [100, -101, [0, 100]])
def test_rows_that_are_none_are_an_error(mapped, key):
    with pytest.raises(IndexError, match="out of range"):
        mapped[key]


def test_a_file_that_has_been_cut_is_an_error(mapped, path):
    os.truncate(path, 4 + 16 * 50)
    np.testing.assert_array_equal(mapped[49], MATRIX[49])
    with pytest.raises(OSError, match="expected row 50, got the end of the file"):
        mapped[50]


def test_the_file_is_closed_with_its_map(path):
    gc.collect()
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    if before is None:
        pytest.skip("the system does not say which files are open")
    with open(path, "rb") as file:
        storage = ffjax.NdArray(map_file(file, 4, MATRIX.shape, np.float32))
    storage[0]
    assert len(os.listdir("/proc/self/fd")) > before
    del storage
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def test_copies_are_no_maps(mapped, reads):
    mapped[0]
    other = copy.deepcopy(mapped)
    reads.clear()
    np.testing.assert_array_equal(other[99], MATRIX[99])
    assert reads == []


def test_small_maps_and_other_arrays_are_read_where_they_lie(path, monkeypatch):
    monkeypatch.setattr(_maps, "_LARGE_BYTES", 1 << 20)
    with open(path, "rb") as file:
        assert RowsInFile.of(map_file(file, 4, MATRIX.shape, np.float32)) is None
    assert RowsInFile.of(np.memmap(path, np.float32, "r", 4, MATRIX.shape)) is None
    assert RowsInFile.of(MATRIX) is None


def test_pages_that_were_released_are_read_again(path):
    shared = np.memmap(path, np.float32, "r", 4, MATRIX.shape)
    for array in (shared, shared[10:20], shared.reshape(-1)[7:], shared[::-2], np.asarray(shared)):
        expected = array.copy()
        for keep in (0.0, 0.25):
            read_ahead(shared)
            release_pages(array, keep=keep)
            np.testing.assert_array_equal(array, expected)
    release_pages({"rows": ffjax.NdArray(shared), "no rows": shared[:0]})
    np.testing.assert_array_equal(shared, MATRIX)


def test_a_private_map_keeps_its_changes(tmp_path):
    (tmp_path / "rows").write_bytes(bytes(8 * mmap.PAGESIZE))
    private = np.memmap(tmp_path / "rows", np.float32, "c", shape=(2 * mmap.PAGESIZE, 1))
    private[:] = 3
    release_pages(private.reshape(-1))
    assert (private == 3).all()


def test_arrays_in_memory_are_left_alone():
    array = np.ones(10, np.float32)
    array.flags.writeable = False
    read_ahead(array)
    release_pages(array)
    assert (array == 1).all() and not is_mapped(array)
    assert _maps._memory_bytes() > 0


READ_AT_EXIT = """
import atexit
import sys

import numpy as np

from ffjax._internal import memmap

atexit.register(lambda: print(memmap.RowsInFile.of(matrix).read(np.array([3]))))
memmap._LARGE_BYTES = 1
with open(sys.argv[1], "rb") as file:
    matrix = memmap.map_file(file, 4, (100, 4), np.float32)
"""


def test_rows_can_be_read_at_exit(path):
    command = [sys.executable, "-c", READ_AT_EXIT, path]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stdout == "[[12. 13. 14. 15.]]\n", answer.stderr
