"""Static word embeddings as JAX values: bytes of words in, vectors out, all inside `jax.jit`."""

import ast
from importlib import import_module
from pathlib import Path
from typing import Any

from ffjax._internal.names_elsewhere import attribute_error, names_elsewhere

__version__ = "0.1.0"

# A public name is imported when it is first used (PEP 562): importing JAX takes a second, and the
# command `ffjax` must not wait for it to show its help. `__init__.pyi` says where each name comes
# from, to type checkers and to us.
_STUB = ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf8"))
_MODULES = {
    alias.name: str(statement.module)
    for statement in _STUB.body
    if isinstance(statement, ast.ImportFrom)
    for alias in statement.names
}
__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        message = attribute_error(f"module {__name__!r}", name, names_elsewhere()[1].get(name))
        raise AttributeError(message)
    module = _MODULES[name]
    if module == __name__:
        return import_module(f"{__name__}.{name}")
    value = globals()[name] = getattr(import_module(module), name)
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
