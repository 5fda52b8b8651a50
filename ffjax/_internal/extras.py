"""Optional packages, imported where they are used."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any


@contextmanager
def needs_extra(extra: str, what: str) -> Iterator[None]:
    """Names the extra to install if an import in the block fails."""
    try:
        yield
    except ImportError as error:
        message = f"{what} needs the extra `{extra}`: pip install 'ffjax[{extra}]'"
        raise ImportError(message) from error


class _Arrow:
    """A module of pyarrow, imported when something of it is first used."""

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        with needs_extra("arrow", "this format"):
            return getattr(import_module(self._module), name)


pa: Any = _Arrow("pyarrow")
pq: Any = _Arrow("pyarrow.parquet")
