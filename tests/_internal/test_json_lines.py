"""JSON on one line."""

import math

import pytest

from ffjax._internal.json_lines import to_json


def test_values_that_are_not_finite_become_null():
    assert to_json({"a": [math.nan, math.inf], "b": "\ud800é"}) == (
        '{"a": [null, null], "b": "\\ud800\\u00e9"}'
    )


def test_a_key_that_json_cannot_hold_is_an_error():
    with pytest.raises(ValueError, match="Out of range float values"):
        to_json({math.nan: 1})
