"""`ffjax evaluate`: benchmarks of embeddings."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ffjax.cli.files import load
from ffjax.cli.messages import translated
from ffjax.cli.options import EmbeddingsFile, InputFormat, Json, Lossy, MethodOption
from ffjax.cli.output import console, tabbed, to_json
from ffjax.cli.progress import working

if TYPE_CHECKING:
    from ffjax import Embeddings

ANALOGY_COLUMNS = ("section", "right", "asked", "accuracy", "skipped")
SIMILARITY_COLUMNS = ("pearson", "spearman", "pairs", "skipped")


def evaluate(
    embeddings: EmbeddingsFile,
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Files of analogies or of word pairs.")
    ],
    restrict: Annotated[
        int,
        typer.Option(
            "--restrict", "-r", metavar="N", min=0, help="Use only the first N words; 0 for all."
        ),
    ] = 300_000,
    case_sensitive: Annotated[
        bool, typer.Option("--case-sensitive", help="Distinguish upper and lower case.")
    ] = False,
    count_unknown: Annotated[
        bool,
        typer.Option(
            "--count-unknown",
            help="Skip an analogy only if its answer is unknown; count others as wrong.",
        ),
    ] = False,
    method: MethodOption = "3cosadd",
    format: InputFormat = None,
    lossy: Lossy = False,
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

    kinds = [holds_analogies(file) for file in files]  # a missing file fails before the long work
    emb = load(embeddings, format, lossy=lossy)
    options: dict[str, Any] = {"restrict": restrict or None, "fold_case": not case_sensitive}
    skip = "answer" if count_unknown else "any"
    for file, is_analogies in zip(files, kinds, strict=True):
        with translated("evaluate", file):
            if is_analogies:
                rows = _analogies(emb, file, skip=skip, method=method, **options)
            else:
                rows = [_similarity(emb, file, options)]
        _show(file, ANALOGY_COLUMNS if is_analogies else SIMILARITY_COLUMNS, rows, json)


def _analogies(embeddings: "Embeddings", file: str, **options: Any) -> list[tuple[Any, ...]]:
    from ffjax.evaluate import analogies

    with working(f"Answering {file}", unit="questions") as bar:
        result = analogies(embeddings, file, progress=bar.update, **options)
    return [
        (section.name, section.n_correct, section.n_asked, section.accuracy, section.n_skipped)
        for section in (*result.sections, result.total)
    ]


def _similarity(embeddings: "Embeddings", file: str, options: dict[str, Any]) -> tuple[Any, ...]:
    from ffjax.evaluate import similarity

    result = similarity(embeddings, file, **options)
    return result.pearson, result.spearman, len(result.pairs), result.n_skipped


def _show(file: str, names: Sequence[str], rows: Sequence[tuple[Any, ...]], as_json: bool) -> None:
    if as_json:
        for row in rows:
            print(to_json({"file": file, **dict(zip(names, row, strict=True))}))
    elif sys.stdout.isatty():
        _table(file, names, rows)
    else:
        for row in rows:
            cells = [f"{value:.4f}" if isinstance(value, float) else value for value in row]
            print(tabbed(file, *cells))


def _table(file: str, names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), title_justify="left", header_style="dim")
    table.title = Text(file, "bold")
    is_analogies = names[0] == "section"
    for name in names:
        if name == "section":
            table.add_column(name, style="cyan")
        else:
            table.add_column(name, justify="right")
    for row in rows:
        cells = [Text(_cell(value, is_analogies)) for value in row]
        table.add_row(*cells, style="bold" if row[0] == "total" else None)
    console().print(table)


def _cell(value: Any, is_share: bool) -> str:
    if isinstance(value, float):
        return f"{100 * value:.1f} %" if is_share else f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
