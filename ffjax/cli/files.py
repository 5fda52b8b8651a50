"""Embeddings in and out: the files behind the arguments, with a bar while they take long."""

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ffjax.cli.options import Format
from ffjax.cli.progress import working
from ffjax.cli.status import BadInput, say
from ffjax.errors import FormatError

if TYPE_CHECKING:
    from ffjax import Embeddings, Storage

# What the library's messages call arguments, and what users of the command call them.
_TERMS = {"`format=`": "`-f`", "`lossy=True`": "`--lossy`", "`limit`": "`--first`"}
_PLAIN = (Format.text, Format.textdims, Format.word2vec)
_BLOCK = 1 << 16


def load(
    file: str,
    format: Format | None = None,
    *,
    mmap: bool = False,
    lossy: bool = False,
    limit: int | None = None,
) -> "Embeddings":
    """Loads embeddings, from standard input if the file is `-`.

    Args:
        file: a path or `-`.
        format: the format, `None` to find out.
        mmap: whether to map the matrix, if the format can be mapped.
        lossy: whether to replace what is not UTF-8.
        limit: how many words to read at most.

    Raises:
        FormatError: the file is not what its format says.
        OSError: it cannot be read.
        BadInput: the format cannot be found out.
    """
    with working(f"Loading {shown(file)}"):
        from ffjax.formats.load import load as load_any

        def read(source: Any) -> "Embeddings":
            return load_any(source, format=format, mmap=mmap, lossy=lossy, limit=limit)

        return reading(file, read)


def reading(file: str, read: Callable[[Any], Any]) -> Any:
    """What `read` makes of a file, or of standard input's descriptor for `-`; its errors name what the user named."""
    source = os.dup(sys.stdin.fileno()) if file == "-" else file
    try:
        return read(source)
    except FormatError as error:
        error.file = shown(file)
        error.hint = None if error.hint is None else in_terms(error.hint)
        raise
    except (ValueError, ImportError) as error:  # an import fails where an extra is not installed
        raise BadInput(f"{shown(file)}: {in_terms(str(error))}") from error


def save(embeddings: "Embeddings", file: str, format: Format | None = None) -> None:
    """Saves embeddings, to standard output if the file is `-`; says what the format has no place for.

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
        from ffjax.formats.save import format_by_name
        from ffjax.formats.save import save as save_any

        try:
            chosen = format or Format(format_by_name(embeddings, file))
            fitting, options, lost = _fitted(embeddings, chosen)
            target = os.dup(sys.stdout.fileno()) if file == "-" else file
            save_any(fitting, target, format=chosen, **options)
        except FormatError:
            raise
        except (TypeError, ValueError) as error:
            text = in_terms(str(error)).replace("`-f`", "`--to`")
            raise BadInput(f"{shown(file, output=True)}: {text}") from error
    if lost:
        say(f"{shown(file, output=True)}: {chosen} files have no place for {' and '.join(lost)}: left out.")


def shown(file: str, output: bool = False) -> str:
    """What messages call a file."""
    if file != "-":
        return file
    return "standard output" if output else "standard input"


def in_terms(message: str) -> str:
    """A message of the library with the names that the command has for its arguments.

    Examples:
        >>> in_terms("Say which with `format=`.")
        'Say which with `-f`.'
    """
    for term, option in _TERMS.items():
        message = message.replace(term, option)
    return message


def _fitted(embeddings: "Embeddings", format: Format) -> tuple["Embeddings", dict[str, bool], list[str]]:
    """Embeddings as a format takes them, options of its writer that allow for losses, and what is lost."""
    from ffjax import ComposedArray, SubwordVocab

    subwords = isinstance(embeddings.vocab, SubwordVocab)
    options: dict[str, bool] = {}
    lost: list[str] = []
    if format == Format.finalfusion and isinstance(embeddings.storage, ComposedArray):
        embeddings = embeddings.replace(storage=_dense(embeddings.storage))
    if format in _PLAIN:
        options = {name: True for name in ("drop_subwords", "drop_metadata", "drop_training", "reconstruct")}
        lost += ["n-grams"] if subwords else []
    elif format == Format.floret:
        options = {name: True for name in ("drop_metadata", "drop_training", "reconstruct")}
    if options:
        lost += ["metadata"] if embeddings.metadata is not None else []
    return embeddings, options, lost


def _dense(storage: "Storage") -> "Storage":
    """All rows put together, in one array that the device takes over as it is."""
    import jax

    from ffjax import NdArray
    from ffjax.formats.aligned import aligned_empty

    out = aligned_empty(storage.shape, "float32")
    for start in range(0, len(out), _BLOCK):
        rows = slice(start, start + _BLOCK)
        storage.embedding(rows, out=out[rows])
    return NdArray(jax.device_put(out))
