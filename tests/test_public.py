"""Public names: listed once, in `ffjax/__init__.pyi`, and imported when first used."""

import ast
import os
import subprocess
import sys
from importlib import import_module

import pytest

import ffjax


def python(code):
    command = [sys.executable, "-W", "error", "-c", code]
    process = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert process.returncode == 0, process.stderr
    return process.stdout.split()


def table(root):
    """The module that each name comes from."""
    stub = ast.parse((root / "ffjax" / "__init__.pyi").read_text(encoding="utf8"))
    imports = [line for line in stub.body if isinstance(line, ast.ImportFrom)]
    return [(alias.name, alias.asname, line.module) for line in imports for alias in line.names]


def test_a_name_is_the_one_of_the_module_in_the_table(root):
    for name, exported_as, module in table(root):
        assert exported_as == name, f"write `import {name} as {name}`, or type checkers hide it"
        assert getattr(ffjax, name) is getattr(import_module(module), name)


def test_all_names_are_listed_once(root):
    names = [name for name, _, _ in table(root)]
    assert len(names) > 70 and sorted(names) == ffjax.__all__
    assert len(set(names)) == len(names)
    assert set(names) <= set(dir(ffjax))


def test_jax_is_imported_with_the_first_name_that_needs_it():
    """The command must not wait for JAX to print its help."""
    code = """
import sys, ffjax
print("jax" in sys.modules)
ffjax.pack
print("jax" in sys.modules)
print(ffjax.evaluate.analogies.__name__)  # submodules are attributes
"""
    assert python(code) == ["False", "True", "analogies"]


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'ffjax' has no attribute 'unembed'"):
        ffjax.unembed  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'unembed' from 'ffjax'"):
        from ffjax import unembed  # noqa: F401


def test_star_imports_all_names():
    names: dict[str, object] = {}
    exec("from ffjax import *", names)
    assert all(names[name] is getattr(ffjax, name) for name in ffjax.__all__)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked as POSIX does")
def test_a_module_can_be_imported_before_the_names():
    """Each in a fork of a process that has imported JAX, which takes most of the time."""
    code = """
import os, sys, warnings, jax
for module in ("embeddings", "functional", "formats.finalfusion", "vocab", "cli"):
    with warnings.catch_warnings(action="ignore"):  # no thread of JAX runs yet
        child = os.fork()
    if not child:
        __import__(f"ffjax.{module}")
        import ffjax
        print(ffjax.Embeddings.__name__)
        sys.exit()
    assert os.waitpid(child, 0)[1] == 0, module
"""
    assert python(code) == ["Embeddings"] * 5
