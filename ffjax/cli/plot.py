"""`ffjax plot`: the neighbourhood of some words as a picture."""

import os
import sys
from enum import StrEnum
from io import BytesIO
from typing import TYPE_CHECKING, Annotated

import typer

from ffjax.cli.exit_status import UNANSWERED, BadInput, say
from ffjax.cli.files import check_distinct, check_writable, load, shown
from ffjax.cli.options import InputFormat, Lossy, Metric, MetricOption, Restrict
from ffjax.cli.plot_layout import Point, draw
from ffjax.cli.progress import working
from ffjax.cli.search import Search, check_words
from ffjax.cli.similar import neighbours

if TYPE_CHECKING:
    from ffjax import Embeddings


_MOST = 500  # more labels than that lie on each other, and take minutes to place


class Picture(StrEnum):
    """The formats of pictures."""

    png = "png"
    svg = "svg"


def plot(
    embeddings: Annotated[
        str,
        typer.Argument(metavar="EMBEDDINGS", help="File with embeddings; - for standard input.", show_default=False),
    ],
    words: Annotated[list[str], typer.Argument(metavar="WORD...", help="Words to draw.", show_default=False)],
    output: Annotated[str, typer.Option("--output", "-o", metavar="FILE", help="Picture; - for standard output.")],
    k: Annotated[int, typer.Option("-k", min=0, help="How many neighbours of each word.")] = 10,
    metric: MetricOption = Metric.cosine,
    restrict: Restrict = None,
    to: Annotated[Picture | None, typer.Option("--to", "-t", help="PNG or SVG; taken from the file's name.")] = None,
    format: InputFormat = None,
    lossy: Lossy = False,
) -> None:
    """Draw words and their neighbours.

    Vectors of unit length are projected on their two principal components:
    the plane in which they differ most. Each word that was asked for has a
    colour, and lines lead to its neighbours. A word without a vector gets a
    line on standard error, and the exit status is 1.

    Needs matplotlib: pip install 'ffjax[plot]'.

    Examples:
      ffjax plot words.fifu berlin coffee jazz -o words.png
      ffjax plot words.fifu king queen -k 20 -o royal.svg --restrict 20000
      ffjax plot words.fifu tea -o - --to svg > tea.svg
    """
    chosen = _format(output, to)
    check_distinct(output, embeddings)
    check_writable(output)
    emb = load(embeddings, format, lossy=lossy)
    with working("Drawing"):
        import numpy as np

        asked = list(dict.fromkeys(words))
        check_words(emb, shown(embeddings))
        points, unknown = _points(emb, asked, Search(k, metric.value, restrict))
        for word, problem in unknown.items():
            say(f"no place for {word}: {problem}")
        if not points:
            raise BadInput("expected a word with a vector, got none.")
        if len(points) > _MOST:
            raise BadInput(f"expected at most {_MOST:,} words in a picture, got {len(points):,}. Lower -k.")
        vectors = emb.embedding_batch([point.word for point in points])[0].astype(np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit = vectors / np.where(lengths > 0, lengths, 1)
        picture = BytesIO()
        known = [word for word in asked if word not in unknown]
        try:
            draw(points, unit, picture, chosen, _title(known, k))
        except ImportError as error:
            raise BadInput(str(error)) from error
    if output == "-":
        sys.stdout.buffer.write(picture.getvalue())
    else:
        from ffjax._internal.atomic_write import open_output

        with open_output(output) as file:
            file.write(picture.getvalue())
    if unknown:
        raise typer.Exit(UNANSWERED)


def _format(output: str, to: Picture | None) -> str:
    ending = os.path.splitext(output)[1].lower().lstrip(".")
    if to is not None:
        return to.value
    if ending not in list(Picture):
        raise BadInput(f"expected a picture whose name ends with .png or .svg, got {output}. Say which with --to.")
    return ending


def _points(embeddings: "Embeddings", asked: list[str], how: Search) -> tuple[list[Point], dict[str, str]]:
    """The words to draw, each once, and why others that were asked for have no place."""
    found = neighbours(embeddings, asked, how)
    unknown = {word: problem for word, (near, problem) in zip(asked, found, strict=True) if near is None}
    groups: dict[str, tuple[int, float]] = {}
    for group, (near, _) in enumerate(found):
        for word, score in near or []:
            if word not in asked and (word not in groups or score > groups[word][1]):
                groups[word] = (group, score)
    points = [Point(word, group, True) for group, word in enumerate(asked) if word not in unknown]
    return points + [Point(word, group, False) for word, (group, _) in groups.items()], unknown


def _title(words: list[str], k: int) -> str:
    shown = ", ".join(words[:4]) + (", ..." if len(words) > 4 else "")
    return f"{shown} and {'the nearest word' if k == 1 else f'the {k} nearest words'}" if k else shown
