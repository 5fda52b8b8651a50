"""`ffjax plot`: the neighbourhood of words as a picture."""

import os
import warnings
from collections.abc import Sequence
from io import BytesIO
from typing import Any, Literal, NamedTuple, get_args

from typer import Argument, Exit, Option

from ffjax._internal.extras import needs_extra
from ffjax.cli.files import check_output, load_words, write_output
from ffjax.cli.messages import UNANSWERED, BadInput, say, translated
from ffjax.cli.options import MetricOption, Restrict, Source
from ffjax.cli.output import working
from ffjax.cli.query import Outcome, neighbours

MAX_LABELS = 500  # more overlap, and take minutes to place
Picture = Literal["png", "svg"]
# Wong, "Points of view: Color blindness", Nature Methods 8 (2011); without yellow, which is too
# light for text.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# Fonts for scripts that the first one lacks, if they are installed.
NOTO = [f"Noto {name}" for name in ("Sans CJK JP", "Sans CJK SC", "Sans Devanagari", "Emoji")]
FONTS = ["DejaVu Sans", *NOTO]
MAX_INCHES, INCHES_OF_FEW, INCHES_PER_WORD = 10.0, 5.5, 0.15
LABEL_STEPS = 300
LABEL_OFFSET = (0, 12)  # pixels between a dot and the first place of its label
AROUND = [(0, 0), (8, 0), (-8, 0), (0, 8), (0, -8)]  # pixels from a dot that labels avoid
DARK, LIGHT = "#333333", "#999999"


class Point(NamedTuple):
    """A word in the picture: a query, or a neighbour of the query `group`."""

    word: str
    group: int
    is_query: bool

    @property
    def color(self) -> str:
        """The color of its group."""
        return COLORS[self.group % len(COLORS)]


def plot(
    source: Source,
    words: list[str] = Argument(..., metavar="WORD...", help="Words to draw."),
    output: str = Option(..., "-o", metavar="FILE", help="Picture; - for standard output."),
    k: int = Option(10, "-k", min=0, help="Number of neighbours of each word."),
    metric: MetricOption = "cosine",
    restrict: Restrict = None,
    to: Picture | None = Option(None, "-t", help="Format (by default from the name)."),
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
        if output == "-":
            raise BadInput("On standard output, give the format with --to.")
        expected = "expected a picture whose name ends with .png or .svg"
        raise BadInput(f"{expected}, got {output}. Give the format with --to.")
    check_output(output, source.file)
    emb = load_words(source)
    words = list(dict.fromkeys(words))
    picture = BytesIO()
    with working("Drawing"):
        points, problems = _points(words, neighbours(emb, words, k, metric, restrict))
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
        if problem:
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


def draw(points: Sequence[Point], vectors: Any, file: Any, format: str, title: str) -> None:
    """Draws points at the two principal components of their vectors, scaled to unit length."""
    from ffjax.kernels.normalize import to_unit
    from ffjax.transforms.projection import principal_plane

    with translated("plot", "matplotlib"), needs_extra("plot", "`ffjax plot`"):
        import matplotlib as mpl
        from adjustText import adjust_text
        from matplotlib import font_manager
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine

    positions, shares = principal_plane(to_unit(vectors.astype("float32")))
    installed = {font.name for font in font_manager.fontManager.ttflist}
    settings: dict[Any, Any] = {
        "font.family": [name for name in FONTS if name in installed],
        "svg.fonttype": "none",  # text stays text, for search and for the viewer's fonts
        "svg.hashsalt": "ffjax",
    }
    with mpl.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # drawn as a box
        width = min(MAX_INCHES, INCHES_OF_FEW + INCHES_PER_WORD * len(points))
        layout = ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.15)
        figure = Figure(figsize=(width, 0.75 * width), layout=layout)
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        heading = axes.set_title(title, loc="left", fontsize=13, color=DARK, pad=12)
        heading.set(fontweight="bold", parse_math=False)
        small = {"color": LIGHT, "fontsize": 9}
        axes.set_xlabel(f"first principal component, {shares[0]:.0%} of the variance", **small)
        axes.set_ylabel(f"second, {shares[1]:.0%}", **small)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.margins(0.12, 0.08)
        axes.update_datalim(positions)
        axes.autoscale_view()
        canvas.draw()  # fixes the layout, so that positions on the page are known
        labels = _draw_points(axes, points, positions)
        avoided = (axes.transData.transform(positions)[:, None] + AROUND).reshape(-1, 2)
        avoided, (x, y) = axes.transData.inverted().transform(avoided).T, positions.T
        # A number of steps, not seconds, so that pictures are reproducible.
        options = {"iter_lim": LABEL_STEPS, "expand": (1.15, 1.5), "force_static": (0.4, 0.7)}
        options |= {"prevent_crossings": False, "min_arrow_len": 18, "avoid_self": False}
        options["arrowprops"] = {"arrowstyle": "-", "color": LIGHT, "lw": 0.5, "zorder": 2}
        adjust_text(labels, *avoided, ax=axes, target_x=x, target_y=y, **options)
        metadata = {"Date": None} if format == "svg" else {"Software": None}
        figure.savefig(file, format=format, dpi=150, facecolor="white", metadata=metadata)


def _draw_points(axes: Any, points: Sequence[Point], positions: Any) -> list[Any]:
    """Draws each word as a dot, and neighbours with a line to their query; returns the labels."""
    labels = []
    placed = list(zip(points, positions, strict=True))
    centers = {point.group: position for point, position in placed if point.is_query}
    for point, (x, y) in placed:
        size, style = 26, {"fontsize": 9, "color": DARK}
        if point.is_query:
            size, style = 90, {"fontsize": 11.5, "color": point.color, "fontweight": "bold"}
        else:
            center = centers[point.group]
            ends = [center[0], x], [center[1], y]
            axes.plot(*ends, color=point.color, alpha=0.22, linewidth=0.9, zorder=1)
        axes.scatter(x, y, s=size, color=point.color, edgecolors="white", lw=0.8, zorder=3)
        start = axes.transData.inverted().transform(axes.transData.transform((x, y)) + LABEL_OFFSET)
        label = axes.text(*start, point.word, ha="center", va="center", zorder=4, **style)
        label.set_parse_math(False)  # a dollar sign is one
        labels.append(label)
    return labels
