"""`ffjax info`, `metadata` and `evaluate`: what files hold, and how good it is."""

import os
import sys
from pathlib import Path
from typing import Any

from typer import Argument, Exit, Option

import ffjax
from ffjax._internal.json_lines import to_json
from ffjax.cli import files
from ffjax.cli.messages import UNANSWERED, BadInput, say, translated
from ffjax.cli.options import OUTPUT_HELP, Json, MethodOption, Source
from ffjax.cli.output import console, facts, plain_table, short, tabbed


def info(source: Source, json: Json = False) -> None:
    """Show what a file of embeddings or a fastText classifier holds.

    Only the heads of a file and of its chunks are read. Text without a line of
    dimensions is scanned for its words, and repeated_words is the number of
    lines whose word occurred before. Finalfusion files with single chunks,
    such as a vocabulary, are shown too.

    In a pipe each line is a name and a value, separated by a tab.

    Examples:
      ffjax info words.fifu
      ffjax info words.fifu --json | jq .words
      ffjax info cc.de.300.bin
    """
    from ffjax.formats.describe import describe

    file = source.file
    with files.task("Reading", file, "load"):
        values = describe(files.input_of(file), source.format, **files.reading_options(source))
    if "vocabulary" in values:
        values["vocabulary"] = values["vocabulary"].replace("`words=`", "--input-words")
    facts({"file": files.shown(file), "bytes": files.size_of(file), **values}, json)


def metadata(
    source: Source,
    output: str | None = Argument(None, metavar="OUTPUT", help=OUTPUT_HELP),
    replace: str | None = Option(None, metavar="TOML", help="New metadata; - for standard input."),
    json: Json = False,
) -> None:
    """Show the metadata of embeddings, or write a copy with other metadata.

    Metadata is a TOML document, printed exactly as it is in the file. If there
    is none, the exit status is 1. The copy is a finalfusion file and may
    replace the original.

    Examples:
      ffjax metadata words.fifu
      ffjax metadata words.fifu --json | jq .source
      ffjax metadata words.fifu --replace new.toml copy.fifu
    """
    if (output is None) != (replace is None):
        raise BadInput("expected both --replace TOML and OUTPUT, or neither, got one of them.")
    if output is not None and replace is not None:
        if source.file == replace == "-":
            raise BadInput("expected EMBEDDINGS or --replace on standard input, got both.")
        files.check_distinct(output, replace)
        target = files.finalfusion_target(output, "metadata unchanged")
        is_stdin = replace == "-"
        text = sys.stdin.read() if is_stdin else Path(replace).read_text("utf-8", "surrogateescape")
        emb = files.load(source, mmap=True)
        try:
            document = ffjax.Metadata.from_toml(text)
        except ValueError as error:
            expected = "expected TOML, got a syntax error"
            name = files.shown(replace)
            raise BadInput(f"{name}: {expected}: {error.__cause__ or error}") from error
        files.save(emb.replace(metadata=document), target)
        return
    document = files.load(source, mmap=True).metadata
    if document is None:
        say(f"{files.shown(source.file)}: no metadata.")
        raise Exit(UNANSWERED)
    text = to_json(dict(document)) if json else document.toml
    print(text, end="" if text.endswith("\n") else "\n")


def evaluate(
    source: Source,
    paths: list[str] = Argument(metavar="FILE...", help="Files of analogies or of word pairs."),
    restrict: int = Option(300_000, "-r", min=0, help="Use only the first N words; 0 for all."),
    case_sensitive: bool = Option(False, help="Distinguish upper and lower case."),
    count_unknown: bool = Option(False, help="Skip an analogy only if its answer is unknown."),
    method: MethodOption = "3cosadd",
    json: Json = False,
) -> None:
    """Answer the questions of benchmarks and report the accuracy.

    A file of analogies has lines ": SECTION" and lines of four words, like
    Google's questions-words.txt. A file of pairs has lines of two words and
    their similarity as judged by people, separated by tabs, like WordSim-353.
    The results are those of gensim: questions with unknown words are skipped
    and counted, and case is ignored.

    In a pipe each line is FILE, SECTION, RIGHT, ASKED, ACCURACY and SKIPPED
    for analogies, and FILE, PEARSON, SPEARMAN, PAIRS and SKIPPED for pairs.

    Examples:
      ffjax evaluate glove.fifu questions-words.txt
      ffjax evaluate glove.fifu wordsim353.tsv simlex999.txt --json
      ffjax evaluate words.fifu questions-words.txt -r 0 --count-unknown
    """
    from ffjax.evaluate.datasets import holds_analogies

    kinds = []
    for file in paths:  # a missing file fails before the long work
        with translated("evaluate", file):
            kinds.append(holds_analogies(file))
    emb = files.load(source)
    options: Any = {"restrict": restrict or None, "fold_case": not case_sensitive}
    asking: Any = {"skip": "answer" if count_unknown else "any", "method": method, **options}
    for file, is_analogies in zip(paths, kinds, strict=True):
        with files.task("Answering", file, "evaluate", unit="questions") as bar:
            rows: list[tuple[Any, ...]]
            if is_analogies:
                names = ("section", "right", "asked", "accuracy", "skipped")
                result = ffjax.evaluate.analogies(emb, file, progress=bar.update, **asking)
                sections = (*result.sections, result.total)
                rows = [(s.name, s.n_correct, s.n_asked, s.accuracy, s.n_skipped) for s in sections]
            else:
                names = ("pearson", "spearman", "pairs", "skipped")
                pairs = ffjax.evaluate.similarity(emb, file, **options)
                rows = [(pairs.pearson, pairs.spearman, len(pairs.pairs), pairs.n_skipped)]
        if json:
            for row in rows:
                values = [short(x) if isinstance(x, float) else x for x in row]
                print(to_json({"file": file, **dict(zip(names, values, strict=True))}))
        elif sys.stdout.isatty():
            _table(os.path.basename(file), names, rows)
        else:
            for row in rows:
                print(tabbed(file, *(f"{x:.4f}" if isinstance(x, float) else x for x in row)))


def _table(file: str, names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    table = plain_table(header_style="dim", title=file, title_style="bold")
    for name in names:
        style, justify = ("cyan", "left") if name == "section" else (None, "right")
        table.add_column(name, style=style, justify=justify)
    for row in rows:
        cells = [f"{x:,}" if isinstance(x, int) else x for x in row]
        cells = [f"{x:.4f}" if isinstance(x, float) else x for x in cells]
        if "accuracy" in names:
            column = names.index("accuracy")
            cells[column] = f"{100 * row[column]:.1f} %"
        table.add_row(*cells, style="bold" if row[0] == "total" else None)
    console().print(table)
