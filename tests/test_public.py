"""The public names: listed in `ffjax/__init__.py`, imported in `ffjax/_public.py` when one is first asked for."""

import subprocess
import sys

import pytest

import ffjax
from ffjax import _public


def python(code):
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_listed_names_are_those_that_are_imported():
    imported = {name for name in vars(_public) if not name.startswith("_")} - {
        "jaxtyping"
    }  # put there by the hook of the tests
    assert imported == set(ffjax.__all__), "a public name goes into both `ffjax/__init__.py` and `ffjax/_public.py`"
    assert all(getattr(ffjax, name) is getattr(_public, name) for name in ffjax.__all__)
    assert set(ffjax.__all__) <= set(dir(ffjax))


def test_jax_is_imported_when_a_name_is_asked_for():
    """Not before: the command must not wait for it to print its help. No line of `ffjax/__init__.py` imports others."""
    code = "import sys, ffjax; print('jax' in sys.modules); ffjax.pack; print('jax' in sys.modules)"
    assert python(code) == ["False", "True"]


def test_a_name_that_is_not_there_says_so():
    with pytest.raises(AttributeError, match="module 'ffjax' has no attribute 'unembed'"):
        ffjax.unembed  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'unembed' from 'ffjax'"):
        from ffjax import unembed  # noqa: F401


def test_all_names_come_with_a_star():
    assert python("from ffjax import *; print(Embeddings.__name__, callable(demo))") == ["Embeddings", "True"]


@pytest.mark.parametrize("module", ["embeddings", "functional", "formats.finalfusion", "vocab", "cli"])
def test_a_module_can_be_imported_before_the_names(module):
    assert python(f"import ffjax.{module}, ffjax; print(ffjax.Embeddings.__name__)") == ["Embeddings"]
