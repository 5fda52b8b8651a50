"""Embeddings in and out: the files behind the arguments, with a bar while they take long."""

import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ffjax.cli.exit_status import BadInput, say
from ffjax.cli.options import Format
from ffjax.cli.progress import working
from ffjax.errors import FormatError

if TYPE_CHECKING:
    from ffjax import Embeddings

# What the library's messages call arguments, and what users of the command call them.
_TERMS = {
    "`format=`": "`-f`",
    "`from_format=`": "`-f`",
    "`to_format=`": "`--to`",
    "`lossy=True`": "`--lossy`",
    "`limit`": "`--first`",
    "`unshare_rows=True`": "`--repeat-rows`",
    "`ffjax.select_words`": "`ffjax select`",
    "make embeddings with a SimpleVocab of them": "convert to text, and that to fastText",
}


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


def save(embeddings: "Embeddings", file: str, format: Format | None = None, *, unshare_rows: bool = False) -> None:
    """Saves embeddings, to standard output if the file is `-`; says what the format has no place for.

    Args:
        embeddings: the embeddings.
        file: a path or `-`.
        format: the format, `None` to take it from the file's name.
        unshare_rows: whether to write rows that words share once for each of them.

    Raises:
        BadInput: the format cannot hold these embeddings, or there is none to be seen in the name.
        OSError: the file cannot be written.
    """
    check_target(file, format)
    with working(f"Writing {shown(file, output=True)}"):
        from ffjax.formats.save import save_what_fits

        try:
            lost = save_what_fits(embeddings, _target(file), format, unshare_rows=unshare_rows)
        except FormatError:
            raise
        except (TypeError, ValueError) as error:
            text = in_terms(str(error)).replace("`-f`", "`--to`")
            raise BadInput(f"{shown(file, output=True)}: {text}") from error
    _say_lost(file, lost)


def check_finalfusion(output: str, what: str) -> None:
    """Refuses a name that promises another format than finalfusion, the one in which something can be written.

    Args:
        output: a path or `-`.
        what: what no other format holds.

    Raises:
        BadInput: the name ends as those of other formats do.
        OSError: the file could not be written, as far as that can be told before.
    """
    from ffjax.formats.save import promised_by

    promised = None if output == "-" else promised_by(output)
    if promised not in (None, Format.finalfusion):
        name = os.path.splitext(output)[0].removesuffix(".fifu") + ".fifu"
        after = " Files are written as they are; compress it afterwards." if promised == "compressed" else ""
        raise BadInput(
            f"{output}: expected a name for a finalfusion file, such as {name}, since no other format holds {what}, "
            f"got one of a {promised} file.{after}"
        )
    check_target(output, Format.finalfusion)


def convert(
    file: str, output: str, from_format: Format | None = None, to_format: Format | None = None, *, lossy: bool = False
) -> None:
    """Converts a file, from standard input or to standard output if a name is `-`; says what is left out.

    Args:
        file: a path or `-`.
        output: a path or `-`.
        from_format: the format of `file`, `None` to find out.
        to_format: the format of `output`, `None` to take it from the name.
        lossy: whether to replace what is not UTF-8.

    Raises:
        FormatError: the file is not what its format says.
        OSError: a file cannot be read or written.
        BadInput: a format cannot be found out, or the output's cannot hold these embeddings.
    """
    check_target(output, to_format)
    names = {"Reading": f"Reading {shown(file)}", "Writing": f"Writing {shown(output, output=True)}"}
    doing = ""
    with working(names["Reading"]) as bar:
        from ffjax.formats.convert import convert as convert_any

        def progress(what: str, done: int, total: int | None) -> None:
            nonlocal doing
            doing = what
            bar.at(names[what], done, total)

        try:
            lost = convert_any(
                os.dup(sys.stdin.fileno()) if file == "-" else file,
                _target(output),
                from_format=from_format,
                to_format=to_format,
                lossy=lossy,
                leave_out=True,
                progress=progress,
            )
        except FormatError as error:
            error.file = shown(output, output=True) if doing == "Writing" else shown(file)
            error.hint = None if error.hint is None else in_terms(error.hint)
            raise
        except (TypeError, ValueError, ImportError) as error:  # an import fails where an extra is not installed
            ours = doing == "Reading" or isinstance(error, ImportError)
            raise BadInput(f"{shown(file) if ours else shown(output, output=True)}: {in_terms(str(error))}") from error
    _say_lost(output, lost)


def check_target(file: str, format: Format | None) -> None:
    """Refuses, before anything is read, an output that could not be written.

    Args:
        file: a path or `-`.
        format: the format, `None` to take it from the file's name.

    Raises:
        BadInput: there is no format to be seen in the name.
        OSError: the file could not be written, as far as that can be told before.
    """
    if file == "-":
        if format is None:
            raise BadInput("expected a format for standard output, got none. Say which with --to.")
        return
    from ffjax.formats.save import writer

    check_writable(file)
    try:
        writer(file, format, fasttext=True)
    except ValueError as error:
        text = str(error).removeprefix("`path`: ").replace(f", got {file!r}", "")
        raise BadInput(f"{file}: {in_terms(text).replace('`-f`', '`--to`')}") from error


def check_writable(file: str | None) -> None:
    """Refuses, before anything is read, a file that could not be written.

    Args:
        file: a path, `-` or `None`, of which the last two are always fine.

    Raises:
        OSError: the file could not be written, as far as that can be told before.
    """
    if file is not None and file != "-":
        from ffjax._internal.atomic_write import output_folder

        output_folder(file)


def _target(file: str) -> str | int:
    return os.dup(sys.stdout.fileno()) if file == "-" else file


def _say_lost(file: str, lost: tuple[str, ...]) -> None:
    if lost:
        name = shown(file, output=True)
        say(f"{name}: the format has no place for {' and '.join(lost)}: left out.")


def shown(file: str, output: bool = False) -> str:
    """What messages call a file."""
    if file != "-":
        return file
    return "standard output" if output else "standard input"


def in_terms(message: str, own: Mapping[str, str] | None = None) -> str:
    """A message of the library with the names that the command has for its arguments.

    Args:
        message: the message.
        own: further terms that one command has, and what to say for each.

    Examples:
        >>> in_terms("Say which with `format=`.")
        'Say which with `-f`.'
    """
    for term, option in {**_TERMS, **(own or {})}.items():
        message = message.replace(term, option)
    return message


def check_distinct(output: str, *inputs: str | None) -> None:
    """Refuses to write over a file that is read for something else, or written twice.

    Raises:
        BadInput: the output is one of those files.
    """
    for file in inputs:
        if file is None or file == "-" or output == "-":
            continue
        if os.path.realpath(file) == os.path.realpath(output) or (
            os.path.exists(file) and os.path.exists(output) and os.path.samefile(file, output)
        ):
            raise BadInput(f"expected another file to write than {file}, got it for both.")


def say_training_is_left() -> None:
    """Says what a command leaves out since it is about all words."""
    say("left out what training left (counts, labels, output matrix), which is about all words.")
