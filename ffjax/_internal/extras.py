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


def require_arrow(what: str) -> tuple[Any, Any]:
    """The modules `pyarrow` and `pyarrow.parquet`, which `what` needs."""
    with needs_extra("arrow", what):
        return import_module("pyarrow"), import_module("pyarrow.parquet")
