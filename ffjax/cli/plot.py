"""`ffjax plot`: the neighbourhood of words as a picture."""

import os
from io import BytesIO
from typing import Annotated, Literal, get_args

from typer import Argument, Exit, Option

from ffjax.cli.exit_status import UNANSWERED, BadInput, say
from ffjax.cli.files import check_output, load, write_output
from ffjax.cli.options import MetricOption, Restrict, Search, Source
from ffjax.cli.plot_layout import Point, draw
from ffjax.cli.progress import working
from ffjax.cli.similar import Outcome, check_words, neighbours

MAX_LABELS = 500  # more overlap, and take minutes to place
Picture = Literal["png", "svg"]


def plot(
    source: Source,
    words: Annotated[list[str], Argument(metavar="WORD...", help="Words to draw.")],
    output: Annotated[
        str, Option("--output", "-o", metavar="FILE", help="Picture; - for standard output.")
    ],
    k: Annotated[int, Option("-k", min=0, help="Number of neighbours of each word.")] = 10,
    metric: MetricOption = "cosine",
    restrict: Restrict = None,
    to: Annotated[
        Picture | None, Option("--to", "-t", help="Format (by default from the name).")
    ] = None,
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
    picture_format = to or os.path.splitext(output)[1].lower().lstrip(".")
    if picture_format not in get_args(Picture):
        expected = "a picture whose name ends with .png or .svg"
        raise BadInput(f"expected {expected}, got {output}. Give the format with --to.")
    check_output(output, source.file)
    emb = load(source)
    check_words(emb, source)
    words = list(dict.fromkeys(words))
    picture = BytesIO()
    with working("Drawing"):
        points, problems = _points(words, neighbours(emb, words, Search(None, k, metric, restrict)))
        for word, problem in problems.items():
            say(f"cannot draw {word}: {problem}")
        if not points:
            raise BadInput("expected a word with a vector, got none.")
        if len(points) > MAX_LABELS:
            got = f"{len(points):,}. Lower -k."
            raise BadInput(f"expected at most {MAX_LABELS} words in a picture, got {got}")
        vectors, _ = emb.embedding_batch([point.word for point in points])
        title = _title([word for word in words if word not in problems], k)
        draw(points, vectors, picture, picture_format, title)
    write_output(output, picture.getvalue())
    if problems:
        raise Exit(UNANSWERED)


def _points(words: list[str], outcomes: list[Outcome]) -> tuple[list[Point], dict[str, str]]:
    """The words to draw, each once, and why others cannot be drawn."""
    points, problems = [], {}
    best: dict[str, tuple[float, int]] = {}  # of each neighbour, its nearest word
    for group, (answers, problem) in enumerate(outcomes):
        if answers is None:
            problems[words[group]] = problem
            continue
        points.append(Point(words[group], group, is_query=True))
        for answer in answers:
            word, score = answer["word"], answer["similarity"]
            if word not in words and (word not in best or score > best[word][0]):
                best[word] = score, group
    return points + [Point(word, group, False) for word, (_, group) in best.items()], problems


def _title(words: list[str], k: int) -> str:
    names = ", ".join(words[:4]) + (", ..." if len(words) > 4 else "")
    whose = "its" if len(words) == 1 else "their"
    nearest = "nearest word" if k == 1 else f"{k} nearest words"
    return f"{names} and {whose} {nearest}" if k else names
