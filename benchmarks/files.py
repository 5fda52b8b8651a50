"""What rows need from outside: large real files, files derived from them, and the peers."""

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

_PARTS = {"glove.100d.txt": "glove", "corpus.txt": "corpus", "ft300.bin": "fasttext"}


class Missing(Exception):
    """Something a row needs is not there; the row is skipped with this message."""


def real(name: str) -> Path:
    """The path of a large real file.

    Args:
        name: for example `"glove.100d.txt"`, `"corpus.txt"` or `"ft300.bin"`.

    Raises:
        Missing: if it is not there; the message says how to make it.
    """
    path = Path(os.environ.get("FFJAX_REAL") or Path.home() / ".cache" / "ffjax-real") / name
    if not path.is_file():
        part = _PARTS.get(name, "all")
        raise Missing(
            f"`{name}` is not under $FFJAX_REAL (or the default, .cache/ffjax-real in the home folder). "
            f"Make it with `../shared/tools/real_data.sh {part}`."
        )
    return path


def derived(name: str, make: Callable[[Path], Any]) -> Path:
    """The path of a file made from real ones, once, and kept.

    It is kept under $FFJAX_BENCH_CACHE; the default is .cache/ffjax-bench in the home folder.

    Args:
        name: its name; change it when `make` changes.
        make: writes the file to the path it is given.
    """
    folder = Path(os.environ.get("FFJAX_BENCH_CACHE") or Path.home() / ".cache" / "ffjax-bench")
    path = folder / name
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        part = (
            folder / f".{os.getpid()}-{name}"
        )  # the name keeps its ending: writers may choose the format by it
        try:
            make(part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    return path


def peer(module: str) -> Any:
    """Imports a peer.

    Args:
        module: for example `"gensim.models"`.

    Raises:
        Missing: if it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise Missing(
            f"`{module}` can't be imported ({error}). `pip install -e '.[peers]'` installs it."
        ) from error
