"""`ffjax evaluate`: benchmarks of embeddings."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

from typer import Argument, Option

import ffjax
from ffjax._internal.json_lines import to_json
from ffjax.cli.files import load, task
from ffjax.cli.messages import translated
from ffjax.cli.options import Json, MethodOption, Source
from ffjax.cli.output import console, plain_table, short, tabbed

ANALOGY_COLUMNS = ("section", "right", "asked", "accuracy", "skipped")
SIMILARITY_COLUMNS = ("pearson", "spearman", "pairs", "skipped")

Rows = list[tuple[Any, ...]]


def evaluate(
    source: Source,
    files: Annotated[
        list[str], Argument(metavar="FILE...", help="Files of analogies or of word pairs.")
    ],
    restrict: Annotated[
        int, Option("--restrict", "-r", min=0, help="Use only the first N words; 0 for all.")
    ] = 300_000,
    case_sensitive: Annotated[
        bool, Option("--case-sensitive", help="Distinguish upper and lower case.")
    ] = False,
    count_unknown: Annotated[
        bool, Option("--count-unknown", help="Skip an analogy only if its answer is unknown.")
    ] = False,
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
      ffjax evaluate words.fifu questions-words.txt -r 0 --case-sensitive --count-unknown
    """
    from ffjax.evaluate.datasets import holds_analogies

    kinds = []
    for file in files:  # a missing file fails before the long work
        with translated("evaluate", file):
            kinds.append(holds_analogies(file))
    emb = load(source)
    options: Any = {"restrict": restrict or None, "fold_case": not case_sensitive}
    skip = "answer" if count_unknown else "any"
    for file, is_analogies in zip(files, kinds, strict=True):
        with task("Answering", file, "evaluate", unit="questions") as bar:
            if is_analogies:
                names, progress = ANALOGY_COLUMNS, bar.update
                result = ffjax.evaluate.analogies(
                    emb, file, skip=skip, method=method, progress=progress, **options
                )
                sections = (*result.sections, result.total)
                rows = [(s.name, s.n_correct, s.n_asked, s.accuracy, s.n_skipped) for s in sections]
            else:
                names, pairs = SIMILARITY_COLUMNS, ffjax.evaluate.similarity(emb, file, **options)
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


def _table(file: str, names: Sequence[str], rows: Rows) -> None:
    table = plain_table(header_style="dim", title=file, title_style="bold")
    for name in names:
        style, justify = ("cyan", "left") if name == "section" else (None, "right")
        table.add_column(name, style=style, justify=justify)
    for row in rows:
        cells = [_cell(value, is_share="accuracy" in names) for value in row]
        table.add_row(*cells, style="bold" if row[0] == "total" else None)
    console().print(table)


def _cell(value: Any, is_share: bool) -> str:
    if isinstance(value, float):
        return f"{100 * value:.1f} %" if is_share else f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) else value
