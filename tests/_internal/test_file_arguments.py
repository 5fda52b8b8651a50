"""Values in errors."""

import numpy as np
import pytest

import ffjax
from ffjax._internal.file_arguments import shown


def test_long_values_are_cut():
    assert shown(3) == "int 3" and shown("tea\n") == r"str 'tea\n'"
    assert shown(np.eye(2)) == "ndarray array([[1., 0.], [0., 1.]])"
    for value in ("x" * 10**6, ["x" * 10**6] * 10**3, np.full((100, 100), 1 / 3)):
        assert len(shown(value)) < 1500 and "..." in shown(value)
    with pytest.raises(TypeError, match="^`words`: expected a list of words, got the") as raised:
        ffjax.pack("tea " * 10**6)
    assert len(str(raised.value)) < 1000
