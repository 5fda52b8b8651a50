"""Embeddings, texts and queries in and out: the files that arguments name."""

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from typing import Any, TextIO

import ffjax
from ffjax._internal.atomic_write import open_output, output_folder
from ffjax._internal.extras import require_arrow
from ffjax._internal.text_check import check_text
from ffjax.cli.messages import BadInput, say, translated
from ffjax.cli.options import Source, Target
from ffjax.cli.output import Progress, working

DEMO = "demo"
# Queries answered by one call of a compiled program: several blocks of the search.
BATCH = 1024
_SEPARATORS = " \t\r\n"
_UNITS = {"prune": "words", "reduce_dims": "rows"}  # of progress

Query = tuple[str, ...]


@contextmanager
def task(
    doing: str, file: str, function: str, total: int | None = None, **options: Any
) -> Iterator[Progress]:
    """Shows a bar while a function of the library works on a file, and translates its errors."""
    name = shown(file)
    with working(f"{doing} {os.path.basename(name)}", total, **options) as bar:
        with translated(function, name):
            yield bar


def rewrite(
    source: Source,
    target: Target,
    change: Callable[["ffjax.Embeddings", Progress], "ffjax.Embeddings"],
    doing: str,
    *,
    function: str = "",
    limit: int | None = None,
    unshare_rows: bool = False,
) -> "ffjax.Embeddings":
    """Loads, changes and saves embeddings, says what is dropped, and returns those it loaded."""
    check_target(target)
    loaded = load(source, mmap=True, limit=limit)
    with task(doing, source.file, function, unit=_UNITS.get(function)) as bar:
        changed = change(loaded, bar)
    if loaded.training is not None and changed.training is None:
        say("dropped the training data (counts, labels, output matrix) of the full vocabulary.")
    if loaded.metadata is not None and changed.metadata is None:
        say("dropped the metadata, which no longer describes the embeddings.")
    save(changed, target, unshare_rows=unshare_rows)
    return loaded


def load(source: Source, **options: Any) -> "ffjax.Embeddings":
    """Loads embeddings, with more options of `ffjax.load`."""
    options |= reading_options(source)
    with task("Loading", source.file, "load") as bar:
        keep_programs()
        options["progress"] = lambda _, *steps: bar.update(*steps)
        return ffjax.load(input_of(source.file), format=source.format, **options)


def load_words(source: Source) -> "ffjax.Embeddings":
    """Loads embeddings, which have words to answer with."""
    emb = load(source)
    if not len(emb.vocab):
        got = "expected words to choose from, got embeddings without words"
        raise BadInput(f"{shown(source.file)}: {got}. `ffjax embed` embeds text with them.")
    return emb


def load_model(source: Source) -> Any:
    """Loads embeddings or a static model."""
    if source.file == "-" or source.format not in (None, "model2vec"):
        return load(source)
    from ffjax.formats.hub import local_path
    from ffjax.formats.io.streams import open_stream
    from ffjax.formats.model2vec.layout import is_static_model

    with translated("load", source.file):
        path = local_path(path_of(source.file))
        with open_stream(path, source.member, is_static_model) as stream:
            if stream.folder is None:
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
    sys.stdout.flush()
    with open_output(output_of(file)) as stream:
        stream.write(data)


def say_dropped(name: str, dropped: tuple[str, ...], format: str | None = None) -> None:
    """Says what the format of a file cannot hold."""
    if dropped:
        hint = ""
        if format == "spacy" and "n-grams" in dropped:
            hint = " To keep n-grams, let spaCy read another file with `ffjax.Vectors.v1`."
        *first, last = dropped
        names = f"{', '.join(first)} and {last}" if first else last
        say(f"{name}: dropped {names}: the format cannot hold them.{hint}")


def path_of(file: str) -> str:
    """A path; `demo` names the embeddings inside the package, unless there is such a file."""
    if file != DEMO or os.path.exists(file):
        return file
    return os.path.join(os.path.dirname(ffjax.__file__), "data", "demo.fifu")


def size_of(file: str) -> int | None:
    """The size of a regular file."""
    path = path_of(file)
    return os.path.getsize(path) if file != "-" and os.path.isfile(path) else None


def parquet_rows(file: str) -> int | None:
    """The number of rows of a Parquet file, `None` of one that cannot be read."""
    with suppress(ImportError, OSError, ValueError):
        return require_arrow("Parquet")[1].read_metadata(file).num_rows


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


def looks_like_json(file: str) -> bool:
    """Whether a text begins with a JSON object; `False` for pipes with names, readable once."""
    if file != "-" and not os.path.isfile(file):
        return False
    with nullcontext(sys.stdin.buffer) if file == "-" else open(file, "rb") as stream:
        return stream.peek(1)[:80].lstrip().startswith(b'{"')  # type: ignore[attr-defined]


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
    if output == "-":
        if ending is not None:
            raise BadInput(f"expected a {ending} file, got standard output. Name one with -o.")
        return
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


def queries(
    words: Sequence[str] | None, file: str | None, size: int, *other_inputs: str
) -> Iterator[list[Query]]:
    """Batches of queries of `size` words each, from arguments, a file opened now, or stdin."""
    words = words or []
    if words and file is not None:
        raise BadInput(f"expected words or --input, got both. Drop --input {file} or the words.")
    if words and words != ["-"]:
        if len(words) % size:
            got = " ".join(words)
            raise BadInput(f"expected {size} words per query, got {len(words)}: {got}.")
        return iter([[*zip(*[iter(words)] * size, strict=True)]])
    file = file or "-"
    if file == "-" and "-" in other_inputs:
        raise BadInput(
            "expected queries as words or with --input, since standard input holds the embeddings."
        )
    stream = open_text(file)
    if stream.isatty():
        say(f"reading {'a word' if size == 1 else f'{size} words'} per line; end with Ctrl-D.")
    return _batches(stream, size, shown(file))


def open_text(file: str) -> TextIO:
    """Opens a text file for reading; standard input for `-`."""
    if file == "-":
        return sys.stdin
    # Bytes that are not UTF-8 pass through: words of some models contain them.
    with ExitStack() as stack:
        stream = stack.enter_context(open(file, encoding="utf-8", errors="surrogateescape"))
        check_text(stream.buffer.peek(), file)  # type: ignore[attr-defined]
        stack.pop_all()
    return stream


def lines(stream: TextIO) -> Iterator[tuple[int, str]]:
    """The numbers and texts of a file's lines, without empty ones.

    Spaces, tabs and a CR around a text are dropped, and a byte order mark before the first one.
    Other white space, such as a no-break space, belongs to words.
    """
    with nullcontext() if stream is sys.stdin else stream:
        for number, line in enumerate(stream, start=1):
            if number == 1 and line[1:2] not in _SEPARATORS:
                line = line.removeprefix("\ufeff")
            if text := line.strip(_SEPARATORS):
                yield number, text


def _batches(stream: TextIO, size: int, name: str) -> Iterator[list[Query]]:
    batch: list[Query] = []
    # On a terminal each line is answered before the next.
    most = 1 if stream.isatty() else BATCH
    for number, text in lines(stream):
        words = [text] if size == 1 else re.split("\t" if "\t" in text else " +", text)
        if len(words) != size:
            yield batch  # queries before a bad line are answered first
            got = f"{len(words)}: {text}"
            raise BadInput(f"{name}: line {number}: expected {size} words, got {got}")
        batch.append(tuple(words))
        if len(batch) == most:
            yield batch
            batch = []
    yield batch
