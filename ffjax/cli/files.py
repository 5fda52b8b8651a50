"""Embeddings in and out: the files that arguments name, with a bar while they take long."""

import os
import sys
from collections.abc import Callable

import ffjax
from ffjax.cli.exit_status import BadInput, say
from ffjax.cli.messages import translated
from ffjax.cli.options import Files, Format
from ffjax.cli.progress import Bar, working


def rewrite(
    files: Files,
    change: Callable[["ffjax.Embeddings", Bar], "ffjax.Embeddings"],
    doing: str,
    *,
    function: str = "",
    unit: str | None = None,
    limit: int | None = None,
    unshare_rows: bool = False,
) -> "ffjax.Embeddings":
    """Loads, changes and saves embeddings, says what is dropped, and returns those it loaded."""
    source, target, from_, to, lossy, dims = files
    check_target(target, to)
    loaded = load(source, from_, mmap=True, lossy=lossy, limit=limit, dims=dims)
    with working(doing, unit=unit) as bar, translated(function, shown(source)):
        changed = change(loaded, bar)
    if loaded.training is not None and changed.training is None:
        say("dropped the training data (counts, labels, output matrix) of the full vocabulary.")
    if loaded.metadata is not None and changed.metadata is None:
        say("dropped the metadata, which no longer describes the embeddings.")
    save(changed, target, to, unshare_rows=unshare_rows)
    return loaded


def load(
    file: str,
    format: Format | None = None,
    *,
    mmap: bool = False,
    lossy: bool = False,
    limit: int | None = None,
    dims: int | None = None,
) -> "ffjax.Embeddings":
    """Loads embeddings, from standard input if the file is `-`."""
    with working(f"Loading {shown(file)}"), translated("load", shown(file)):
        source = input_of(file)
        return ffjax.load(source, format=format, mmap=mmap, lossy=lossy, limit=limit, dims=dims)


def save(
    emb: "ffjax.Embeddings", file: str, format: Format | None, *, unshare_rows: bool = False
) -> None:
    """Saves embeddings, to standard output if the file is `-`; says what the format drops."""
    name = shown(file, output=True)
    with working(f"Writing {name}"), translated("save", name):
        from ffjax.formats.save import save_what_fits

        dropped = save_what_fits(emb, output_of(file), format, unshare_rows=unshare_rows)
    say_dropped(name, dropped)


def write_output(file: str, data: bytes) -> None:
    """Writes a file at once, or standard output for `-`."""
    if file == "-":
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        return
    from ffjax._internal.atomic_write import open_output

    with open_output(file) as stream:
        stream.write(data)


def say_dropped(name: str, dropped: tuple[str, ...]) -> None:
    """Says what the format of a file cannot hold."""
    if dropped:
        say(f"{name}: dropped {' and '.join(dropped)}: the format cannot hold this.")


def input_of(file: str) -> str | int:
    """A path, or a descriptor of standard input for `-`."""
    return os.dup(sys.stdin.fileno()) if file == "-" else file


def output_of(file: str) -> str | int:
    """A path, or a descriptor of standard output for `-`."""
    return os.dup(sys.stdout.fileno()) if file == "-" else file


def shown(file: str, output: bool = False) -> str:
    """What messages call a file."""
    name = "standard output" if output else "standard input"
    return name if file == "-" else file


def check_finalfusion(output: str, content: str) -> None:
    """Checks the output of a command that writes finalfusion files only."""
    from ffjax.formats.save import promised_format

    promised = None if output == "-" else promised_format(output)
    if promised not in (None, "finalfusion"):
        name = os.path.splitext(output)[0].removesuffix(".fifu") + ".fifu"
        hint = " Compress the file afterwards." if promised == "compressed" else ""
        raise BadInput(
            f"{output}: expected a finalfusion file, such as {name}, since no other format "
            f"holds {content}, got the name of a {promised} file.{hint}"
        )
    check_target(output, "finalfusion")


def check_target(file: str, format: Format | None) -> None:
    """Checks before anything is read that an output can be written, and has a format."""
    if file == "-":
        if format is None:
            raise BadInput("expected a format for standard output, got none. Give one with --to.")
        return
    from ffjax.formats.save import format_of

    check_writable(file)
    with translated("save", file):
        format_of(file, format, fasttext=True)


def check_writable(file: str | None) -> None:
    """Checks that a file can be written, as far as possible before anything is read."""
    if file not in (None, "-"):
        from ffjax._internal.atomic_write import output_folder

        output_folder(file)


def check_distinct(output: str, *inputs: str | None) -> None:
    """Checks that a file to write is not one that the command reads or writes as well."""
    for file in inputs:
        if file is None or "-" in (file, output):
            continue
        same_path = os.path.realpath(file) == os.path.realpath(output)
        exist = os.path.exists(file) and os.path.exists(output)
        if same_path or (exist and os.path.samefile(file, output)):
            raise BadInput(f"expected different files, got {file} twice.")
