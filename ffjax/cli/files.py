"""Embeddings in and out: the files that arguments name, with a bar while they take long."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import ffjax
from ffjax.cli.exit_status import BadInput, say
from ffjax.cli.messages import translated
from ffjax.cli.options import Source, Target
from ffjax.cli.progress import Bar, working

DEMO = "demo"


@contextmanager
def task(
    doing: str, file: str, function: str, total: int | None = None, *, unit: str | None = None
) -> Iterator[Bar]:
    """Shows a bar while a function of the library works on a file, and translates its errors."""
    name = shown(file)
    with working(f"{doing} {os.path.basename(name)}", total, unit=unit) as bar:
        with translated(function, name):
            yield bar


def rewrite(
    source: Source,
    target: Target,
    change: Callable[["ffjax.Embeddings", Bar], "ffjax.Embeddings"],
    doing: str,
    *,
    function: str = "",
    unit: str | None = None,
    limit: int | None = None,
    unshare_rows: bool = False,
) -> "ffjax.Embeddings":
    """Loads, changes and saves embeddings, says what is dropped, and returns those it loaded."""
    check_target(target)
    loaded = load(source, mmap=True, limit=limit)
    with task(doing, source.file, function, unit=unit) as bar:
        changed = change(loaded, bar)
    if loaded.training is not None and changed.training is None:
        say("dropped the training data (counts, labels, output matrix) of the full vocabulary.")
    if loaded.metadata is not None and changed.metadata is None:
        say("dropped the metadata, which no longer describes the embeddings.")
    save(changed, target, unshare_rows=unshare_rows)
    return loaded


def load(source: Source, *, mmap: bool = False, limit: int | None = None) -> "ffjax.Embeddings":
    """Loads embeddings."""
    with task("Loading", source.file, "load"):
        keep_programs()
        options = reading_options(source) | {"format": source.format, "mmap": mmap, "limit": limit}
        return ffjax.load(input_of(source.file), **options)


def load_model(source: Source) -> Any:
    """Loads embeddings, or a static model."""
    if source.file == "-" or source.format not in (None, "model2vec"):
        return load(source)
    from ffjax.formats.hub import local_path
    from ffjax.formats.io.streams import open_stream
    from ffjax.formats.model2vec.layout import is_static_model

    with translated("load", source.file):
        path = local_path(path_of(source.file))
        with open_stream(path, source.member, is_static_model) as stream:
            is_model = stream.folder is not None
    if not is_model:
        return load(source)
    with task("Loading", source.file, "load_static_model"):
        return ffjax.load_static_model(path, dims=source.input_dims, member=source.member)


def reading_options(source: Source) -> dict[str, Any]:
    """What `load`, `convert` and `describe` take besides the file and its format."""
    options = {"lossy": source.lossy, "dims": source.input_dims, "member": source.member}
    return options | {"words": source.input_words, "vectors": source.input_vectors}


def save(emb: "ffjax.Embeddings", target: Target, *, unshare_rows: bool = False) -> None:
    """Saves embeddings, and says what the format drops."""
    name = shown(target.output, output=True)
    with working(f"Writing {os.path.basename(name)}"), translated("save", name):
        from ffjax.formats.save import save_what_fits

        file = output_of(target.output)
        dropped = save_what_fits(emb, file, target.to, unshare_rows=unshare_rows)
    say_dropped(name, dropped, target.to)


def keep_programs() -> None:
    """Keeps compiled programs in the user's cache folder, if that is possible."""
    with suppress(OSError):
        ffjax.cache_programs()


def write_output(file: str, data: bytes) -> None:
    """Writes a file at once, or standard output for `-`."""
    from ffjax._internal.atomic_write import open_output

    sys.stdout.flush()
    with open_output(output_of(file)) as stream:
        stream.write(data)


def say_dropped(name: str, dropped: tuple[str, ...], format: str | None = None) -> None:
    """Says what the format of a file cannot hold."""
    if dropped:
        hint = ""
        if format == "spacy" and "n-grams" in dropped:
            hint = " To keep n-grams, let spaCy read another file with `ffjax.Vectors.v1`."
        say(f"{name}: dropped {' and '.join(dropped)}: the format cannot hold them.{hint}")


def path_of(file: str) -> str:
    """A path; `demo` names the embeddings inside the package, unless there is such a file."""
    if file != DEMO or os.path.exists(file):
        return file
    return os.path.join(os.path.dirname(ffjax.__file__), "data", "demo.fifu")


def size_of(file: str) -> int | None:
    """The size of a regular file."""
    path = path_of(file)
    return os.path.getsize(path) if file != "-" and os.path.isfile(path) else None


def input_of(file: str) -> str | int:
    """A path, or a descriptor of standard input for `-`."""
    return os.dup(sys.stdin.fileno()) if file == "-" else path_of(file)


def output_of(file: str) -> str | int:
    """A path, or a descriptor of standard output for `-`."""
    return os.dup(sys.stdout.fileno()) if file == "-" else file


def text_source(file: str) -> Any:
    """The path of a text, which exists, or standard input for `-`."""
    if file == "-":
        return sys.stdin.buffer
    os.stat(file)  # an error before embeddings are loaded
    return file


def shown(file: str, output: bool = False) -> str:
    """What messages call a file."""
    name = "standard output" if output else "standard input"
    return name if file == "-" else file


def finalfusion_target(output: str, content: str) -> Target:
    """The output of a command that writes finalfusion files only."""
    from ffjax.formats.save import promised_format

    promised = None if output == "-" else promised_format(output)
    if promised not in (None, "finalfusion"):
        name = os.path.splitext(output)[0].removesuffix(".fifu") + ".fifu"
        hint = " Compress the file afterwards." if promised == "compressed" else ""
        raise BadInput(
            f"{output}: expected a finalfusion file, such as {name}, since no other format "
            f"holds {content}, got the name of a {promised} file.{hint}"
        )
    target = Target(output, "finalfusion")
    check_target(target)
    return target


def check_target(target: Target) -> str:
    """Checks before anything is read that an output can be written; the format it will have."""
    if target.output == "-":
        if target.to is None:
            raise BadInput("expected a format for standard output, got none. Give one with --to.")
        return target.to
    from ffjax.formats.save import format_of, target_folder

    with translated("save", target.output):
        target_folder(target.output, target.to)
        return format_of(target.output, target.to, fasttext=True)


def check_output(output: str, *inputs: str, ending: str | None = None) -> None:
    """Checks before anything is read that a file can be written and is not an input.

    A name with another ending than that of the format is an error; a name without one is not.
    """
    check_distinct(output, *inputs)
    if output != "-":
        from ffjax._internal.atomic_write import output_folder

        with translated("save", output):
            output_folder(output)
    if ending is not None and os.path.splitext(output)[1].lower() not in ("", ending):
        raise BadInput(f"expected a name that ends with {ending}, got {output}.")


def check_distinct(output: str, *inputs: str | None) -> None:
    """Checks that a file to write is not one that the command reads or writes as well."""
    for file in inputs:
        if file is None or "-" in (file, output):
            continue
        same_path = os.path.realpath(file) == os.path.realpath(output)
        exist = os.path.exists(file) and os.path.exists(output)
        if same_path or (exist and os.path.samefile(file, output)):
            raise BadInput(f"expected different files, got {file} twice.")
