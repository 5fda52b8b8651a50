"""`ffjax evaluate`: benchmarks of embeddings."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ffjax.cli.exit_status import BadInput
from ffjax.cli.files import load
from ffjax.cli.options import EmbeddingsFile, InputFormat, Json, Lossy, Method, MethodOption
from ffjax.cli.output import tabbed, to_json
from ffjax.cli.progress import working

if TYPE_CHECKING:
    from ffjax import Embeddings


def evaluate(
    embeddings: EmbeddingsFile,
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="Files of analogies or of pairs of words.", show_default=False),
    ],
    restrict: Annotated[
        int, typer.Option("--restrict", "-r", metavar="N", min=0, help="Only the first N words are known; 0 for all.")
    ] = 300_000,
    case_sensitive: Annotated[bool, typer.Option("--case-sensitive", help="Words in another case are others.")] = False,
    all_answerable: Annotated[
        bool,
        typer.Option(
            "--count-unknown", help="Skip an analogy only if its answer is unknown; other unknown words are errors."
        ),
    ] = False,
    method: MethodOption = Method.cosadd,
    format: InputFormat = None,
    lossy: Lossy = False,
    json: Json = False,
) -> None:
    """Answer the questions of benchmarks and count what is right.

    A file of analogies has lines ": SECTION" and lines of four words, as
    Google's questions-words.txt. A file of pairs has lines of two words and
    their similarity as people judge it, separated by tabs, as WordSim-353.
    Both are done as gensim does them: questions with unknown words are
    skipped and counted, and case is ignored.

    In a pipe each line is FILE, SECTION, RIGHT, ASKED, ACCURACY and SKIPPED
    for analogies, and FILE, PEARSON, SPEARMAN, PAIRS and SKIPPED for pairs.

    Examples:
      ffjax evaluate glove.fifu questions-words.txt
      ffjax evaluate glove.fifu wordsim353.tsv simlex999.txt --json
      ffjax evaluate words.fifu questions-words.txt -r 0 --case-sensitive --count-unknown
    """
    from ffjax.evaluate.datasets import holds_analogies

    kinds = [holds_analogies(file) for file in files]  # files that are not there are found before the long work
    emb = load(embeddings, format, lossy=lossy)
    options = {"restrict": restrict or None, "fold_case": not case_sensitive}
    for file, is_analogies in zip(files, kinds, strict=True):
        try:
            if is_analogies:
                skip = "answer" if all_answerable else "any"
                rows = _analogies(emb, file, {**options, "skip": skip, "method": method.value})
                _show(file, ("section", "right", "asked", "accuracy", "skipped"), rows, json)
            else:
                _show(file, ("pearson", "spearman", "pairs", "skipped"), [_pairs(emb, file, options)], json)
        except ValueError as error:
            raise BadInput(str(error)) from error


def _analogies(embeddings: "Embeddings", file: str, options: dict[str, Any]) -> list[tuple[Any, ...]]:
    from ffjax.evaluate import analogies

    with working(f"Asking {file}", unit="questions") as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.advance(done - bar.done)

        result = analogies(embeddings, file, progress=progress, **options)
    return [(s.name, s.n_correct, s.n_asked, s.accuracy, s.n_skipped) for s in (*result.sections, result.total)]


def _pairs(embeddings: "Embeddings", file: str, options: dict[str, Any]) -> tuple[Any, ...]:
    from ffjax.evaluate import similarity

    result = similarity(embeddings, file, **options)
    return result.pearson, result.spearman, len(result.pairs), result.n_skipped


def _show(file: str, names: Sequence[str], rows: Sequence[tuple[Any, ...]], as_json: bool) -> None:
    if as_json:
        for row in rows:
            print(to_json({"file": file, **dict(zip(names, row, strict=True))}))
    elif not sys.stdout.isatty():
        for row in rows:
            print(tabbed(file, *(f"{value:.4f}" if isinstance(value, float) else value for value in row)))
    else:
        _table(file, names, rows)


def _table(file: str, names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), title=Text(file, "bold"), title_justify="left", header_style="dim")
    for name in names:
        left = name == "section"
        table.add_column(name, justify="left" if left else "right", style="cyan" if left else None)
    for row in rows:
        share = names[0] == "section"
        cells = [_cell(value, share) for value in row]
        table.add_row(*map(Text, cells), style="bold" if row[0] == "total" else None)
    Console(highlight=False).print(table)


def _cell(value: Any, share: bool) -> str:
    if isinstance(value, float):
        return f"{100 * value:.1f} %" if share else f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
