"""Tests of warnings and errors that are about the user's program."""

import os
import runpy
from pathlib import Path

import pytest

import ffjax
from ffjax._internal import warn
from ffjax._internal.extras import needs_extra


def test_a_warning_points_at_the_line_that_called_the_library():
    # Run anew, since the checks of types in tests put frames of their own between the library's.
    namespace = runpy.run_path(warn.__file__)
    source = "def reader():\n    warn_user('odd rows')\ndef load():\n    reader()"
    exec(compile(source, ffjax.__file__, "exec"), namespace)
    plugin = f"{Path(ffjax.__file__).parent}_plugin{os.sep}read.py"
    exec(compile("def plugin():\n    load()", plugin, "exec"), namespace)
    for name, file in (("load", __file__), ("plugin", plugin)):
        with pytest.warns(UserWarning, match="odd rows") as caught:
            namespace[name]()
        assert caught[0].filename == file


def test_a_missing_package_names_its_extra():
    with pytest.raises(ImportError, match=r"`f` needs the extra `e`: pip install 'ffjax\[e\]'"):
        with needs_extra("e", "`f`"):
            import a_package_that_is_missing  # noqa: F401  # type: ignore
