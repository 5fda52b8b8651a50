"""External inputs of rows: large real files, files derived from them, and the peers."""

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

_TARGETS = {"glove.100d.txt": "glove", "corpus.txt": "corpus", "ft300.bin": "fasttext"}


class Missing(Exception):
    """A row needs something that is missing; the row is skipped with this message."""


@dataclass
class Opened:
    """What opening a file gave, and the vector of a word.

    Not a pytree: waiting for all arrays of one would build the hash table.
    """

    words: Any
    vector: np.ndarray


def real(name: str) -> Path:
    """The path of a large real file.

    Args:
        name: for example `"glove.100d.txt"`, `"corpus.txt"` or `"ft300.bin"`.

    Raises:
        Missing: if it is not there; the message says how to make it.
    """
    path = Path(os.environ.get("FFJAX_REAL") or Path.home() / ".cache" / "ffjax-real") / name
    if not path.is_file():
        target = _TARGETS.get(name, "all")
        raise Missing(
            f"`{name}` is not in $FFJAX_REAL (by default ~/.cache/ffjax-real). "
            f"Make it with `../shared/tools/real_data.sh {target}`."
        )
    return path


def derived(name: str, make: Callable[[Path], Any]) -> Path:
    """The path of a file that is made from real ones once.

    It is stored in $FFJAX_BENCH_CACHE, by default ~/.cache/ffjax-bench.

    Args:
        name: its name; change it when `make` changes.
        make: writes the file to the path it is given.
    """
    folder = Path(os.environ.get("FFJAX_BENCH_CACHE") or Path.home() / ".cache" / "ffjax-bench")
    path = folder / name
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        # The ending stays: writers may choose the format by it.
        temporary = folder / f".{os.getpid()}-{name}"
        try:
            make(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
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


def glove() -> str:
    """The path of GloVe as finalfusion-python writes it."""

    def make(path: Path) -> None:
        peer("finalfusion.compat").load_text(str(real("glove.100d.txt"))).write(str(path))

    return str(derived("glove.fifu", make))
