"""`ffjax plot`: the neighbourhood of words as a picture."""

import os
from io import BytesIO
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer

from ffjax.cli.exit_status import UNANSWERED, BadInput, say
from ffjax.cli.files import check_distinct, check_writable, load, shown, write_output
from ffjax.cli.options import EmbeddingsFile, InputFormat, Lossy, MetricOption, Restrict
from ffjax.cli.plot_layout import Point, draw
from ffjax.cli.progress import working
from ffjax.cli.search import Search, check_words, neighbours

if TYPE_CHECKING:
    from ffjax import Embeddings

MAX_LABELS = 500  # more overlap, and take minutes to place


Picture = Literal["png", "svg"]


def plot(
    embeddings: EmbeddingsFile,
    words: Annotated[list[str], typer.Argument(metavar="WORD...", help="Words to draw.")],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Picture; - for standard output.")
    ],
    k: Annotated[int, typer.Option("-k", min=0, help="Number of neighbours of each word.")] = 10,
    metric: MetricOption = "cosine",
    restrict: Restrict = None,
    to: Annotated[
        Picture | None, typer.Option("--to", "-t", help="PNG or SVG; by default from the name.")
    ] = None,
    format: InputFormat = None,
    lossy: Lossy = False,
) -> None:
    """Draw words and their neighbours.

    Projects the vectors, at unit length, onto their two principal components.
    Each word has its own colour and lines to its neighbours. A word without a
    vector is reported on standard error, and the exit status is 1.

    Needs matplotlib: pip install 'ffjax[plot]'.

    Examples:
      ffjax plot words.fifu berlin coffee jazz -o words.png
      ffjax plot words.fifu king queen -k 20 -o royal.svg --restrict 20000
      ffjax plot words.fifu tea -o - --to svg > tea.svg
    """
    picture_format = _format(output, to)
    check_distinct(output, embeddings)
    check_writable(output)
    emb = load(embeddings, format, lossy=lossy)
    check_words(emb, shown(embeddings))
    words = list(dict.fromkeys(words))
    picture = BytesIO()
    with working("Drawing"):
        points, problems = _points(emb, words, Search(k, metric, restrict))
        for word, problem in problems.items():
            say(f"cannot draw {word}: {problem}")
        if not points:
            raise BadInput("expected a word with a vector, got none.")
        if len(points) > MAX_LABELS:
            limit = f"at most {MAX_LABELS} words in a picture"
            raise BadInput(f"expected {limit}, got {len(points):,}. Lower -k.")
        vectors, _ = emb.embedding_batch([point.word for point in points])
        title = _title([word for word in words if word not in problems], k)
        try:
            draw(points, vectors, picture, picture_format, title)
        except ImportError as error:
            raise BadInput(str(error)) from error
    write_output(output, picture.getvalue())
    if problems:
        raise typer.Exit(UNANSWERED)


def _format(output: str, to: Picture | None) -> str:
    if to is not None:
        return to
    ending = os.path.splitext(output)[1].lower().lstrip(".")
    if ending not in get_args(Picture):
        raise BadInput(
            f"expected a picture whose name ends with .png or .svg, got {output}. "
            "Give the format with --to."
        )
    return ending


def _points(
    embeddings: "Embeddings", words: list[str], search: Search
) -> tuple[list[Point], dict[str, str]]:
    """The words to draw, each once, and why others cannot be drawn."""
    points, problems = [], {}
    best: dict[str, tuple[float, int]] = {}  # of each neighbour, its nearest word
    for group, (answers, problem) in enumerate(neighbours(embeddings, words, search)):
        if answers is None:
            problems[words[group]] = problem
            continue
        points.append(Point(words[group], group, is_query=True))
        for word, score in answers:
            if word not in words and (word not in best or score > best[word][0]):
                best[word] = score, group
    return points + [Point(word, group, False) for word, (_, group) in best.items()], problems


def _title(words: list[str], k: int) -> str:
    names = ", ".join(words[:4]) + (", ..." if len(words) > 4 else "")
    if not k:
        return names
    return f"{names} and {'the nearest word' if k == 1 else f'the {k} nearest words'}"
