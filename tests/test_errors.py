"""The errors of files."""

import copy
import pickle  # noqa: TID251

import pytest

from ffjax import FinalfusionFormatError, FormatError


@pytest.mark.parametrize("kind", [FormatError, FinalfusionFormatError])
def test_an_error_and_its_copies_show_the_message(kind):
    error = kind(b"x.bin", offset=3, field="rows", expected="1", got="2", hint="Look there.")
    error.add_note("a note")
    message = "x.bin: byte 3: rows: expected 1, got 2. Look there."
    unpickled = pickle.loads(pickle.dumps(error))
    for copied in (error, copy.copy(error), copy.deepcopy(error), unpickled):
        assert type(copied) is kind
        assert copied.args == (str(copied),) == (message,)
        assert repr(copied) == f"{kind.__name__}({message!r})"
        assert vars(copied) == vars(error)
