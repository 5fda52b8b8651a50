import jax
import numpy as np
import pytest

from ffjax._internal.arrays import aligned_empty, aligned_zeros, read_array
from ffjax.formats.io.streams import open_source
from tests.formats.finalfusion import fifu


@pytest.mark.parametrize("make", [aligned_empty, aligned_zeros])
@pytest.mark.parametrize("shape", [(), (0,), (7,), (3, 5), (0, 4), (4, 0), (2, 3, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32])
def test_arrays_begin_at_multiples_of_64(make, shape, dtype):
    array = make(shape, dtype)
    assert array.shape == shape and array.dtype == dtype
    assert array.size == 0 or array.ctypes.data % 64 == 0
    assert array.flags.c_contiguous and array.flags.writeable
    if make is aligned_zeros:
        assert not array.any()


def test_the_device_takes_over_the_array_that_was_read():
    if jax.default_backend() != "cpu":
        pytest.skip("only the CPU can")
    array = aligned_empty((1000, 30), np.float32)
    assert jax.device_put(array).unsafe_buffer_pointer() == array.ctypes.data


@pytest.mark.parametrize("start", [0, 1, 3, 64])
@pytest.mark.parametrize("shape", [(0,), (5,), (4, 6)])
def test_arrays_are_read_from_anywhere_in_a_file(tmp_path, start, shape):
    expected = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) + 1
    data = b"?" * start + expected.tobytes() + b"!"
    (tmp_path / "file").write_bytes(data)
    with open_source(tmp_path / "file") as source:
        found = read_array(source, start, shape, np.float32)
    assert isinstance(found, jax.Array)
    np.testing.assert_array_equal(found, expected, strict=True)
    np.testing.assert_array_equal(
        read_array(fifu.memory(data), start, shape, np.float32), expected, strict=True
    )
