"""Embeddings in and out: the files behind the arguments, with a bar while they take long."""

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ffjax.cli.options import Format
from ffjax.cli.progress import working
from ffjax.cli.status import BadInput
from ffjax.errors import FormatError

if TYPE_CHECKING:
    from ffjax import Embeddings


def load(file: str, format: Format | None = None, *, mmap: bool = False, lossy: bool = False) -> "Embeddings":
    """Loads embeddings, from standard input if the file is `-`.

    Args:
        file: a path or `-`.
        format: the format, `None` to find out.
        mmap: whether to map the matrix, if the format can be mapped.
        lossy: whether to replace what is not UTF-8.

    Raises:
        FormatError: the file is not what its format says.
        OSError: it cannot be read.
        BadInput: the format cannot be found out.
    """
    with working(f"Loading {shown(file)}"):
        import ffjax

        def read(source: Any) -> "Embeddings":
            if not hasattr(ffjax, "load"):
                from ffjax.formats.finalfusion import load_finalfusion

                return load_finalfusion(source, mmap=mmap)
            return ffjax.load(source, format=format, mmap=mmap, lossy=lossy)

        return reading(file, read)


def reading(file: str, read: Callable[[Any], Any]) -> Any:
    """What `read` makes of a file, or of standard input's descriptor for `-`; its errors name what the user named."""
    source = os.dup(sys.stdin.fileno()) if file == "-" else file
    try:
        return read(source)
    except FormatError as error:
        error.file = shown(file)
        raise
    except ValueError as error:
        raise BadInput(f"{shown(file)}: {error}") from error


def save(embeddings: "Embeddings", file: str, format: Format | None = None) -> None:
    """Saves embeddings, to standard output if the file is `-`.

    Args:
        embeddings: the embeddings.
        file: a path or `-`.
        format: the format, `None` to take it from the file's name.

    Raises:
        BadInput: the format cannot hold these embeddings, or there is none to be seen in the name.
        OSError: the file cannot be written.
    """
    if file == "-" and format is None:
        raise BadInput("expected a format for standard output, got none. Say which with --to.")
    with working(f"Writing {shown(file, output=True)}"):
        import ffjax

        target = os.dup(sys.stdout.fileno()) if file == "-" else file
        try:
            if not hasattr(ffjax, "save"):
                embeddings.write(target)
            else:
                ffjax.save(embeddings, target, format=format)  # type: ignore[arg-type]
        except FormatError:
            raise
        except (TypeError, ValueError) as error:
            raise BadInput(f"{shown(file, output=True)}: {error}") from error


def shown(file: str, output: bool = False) -> str:
    """What messages call a file."""
    if file != "-":
        return file
    return "standard output" if output else "standard input"
