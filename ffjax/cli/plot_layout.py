"""A picture of words: vectors in two dimensions, as points with labels that avoid each other."""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

from ffjax.cli.exit_status import BadInput

# Wong, "Points of view: Color blindness", Nature Methods 8 (2011); without yellow, which is too
# light for text.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# Fonts for scripts that the first one lacks, if they are installed.
NOTO = [f"Noto {name}" for name in ("Sans CJK JP", "Sans CJK SC", "Sans Devanagari", "Emoji")]
FONTS = ["DejaVu Sans", *NOTO]
MAX_INCHES, INCHES_OF_FEW, INCHES_PER_WORD = 10.0, 5.5, 0.15
LABEL_STEPS = 300
LABEL_OFFSET = (18, 12)  # pixels between a dot and the first place of its label
NEARBY = 60  # pixels
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


def draw(points: Sequence[Point], vectors: Any, file: Any, format: str, title: str) -> None:
    """Draws points at the two principal components of their vectors, scaled to unit length."""
    from ffjax.kernels.normalize import to_unit
    from ffjax.transforms.projection.plane import principal_plane

    try:
        import adjustText  # noqa: F401
        import matplotlib as mpl
        from matplotlib import font_manager
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ImportError as error:
        install = "Install them with `pip install 'ffjax[plot]'`."
        raise BadInput(f"`ffjax plot` needs matplotlib and adjustText. {install}") from error

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
        axes.set_title(title, loc="left", fontsize=13, fontweight="bold", color=DARK, pad=12)
        small = {"color": LIGHT, "fontsize": 9}
        axes.set_xlabel(f"first principal component, {shares[0]:.0%} of the variance", **small)
        axes.set_ylabel(f"second, {shares[1]:.0%}", **small)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.margins(0.12, 0.08)
        _draw_points(axes, points, positions)
        canvas.draw()  # fixes the layout, so that positions on the page are known
        _draw_labels(axes, points, positions)
        metadata = {"Date": None} if format == "svg" else {"Software": None}
        figure.savefig(file, format=format, dpi=150, facecolor="white", metadata=metadata)


def _draw_points(axes: Any, points: Sequence[Point], positions: Any) -> None:
    """Draws each word as a dot, and neighbours with a line to their query."""
    placed = list(zip(points, positions, strict=True))
    centers = {point.group: position for point, position in placed if point.is_query}
    for point, position in placed:
        if not point.is_query:
            ends = zip(centers[point.group], position, strict=True)
            axes.plot(*ends, color=point.color, alpha=0.22, linewidth=0.9, zorder=1)
        size = 90 if point.is_query else 26
        axes.scatter(*position, s=size, color=point.color, edgecolors="white", lw=0.8, zorder=3)


def _draw_labels(axes: Any, points: Sequence[Point], positions: Any) -> None:
    """Puts a label beside each dot, away from other labels, and ties distant ones to their dot."""
    from adjustText import adjust_text

    pixels = axes.transData.transform(positions)
    starts = axes.transData.inverted().transform(pixels + LABEL_OFFSET * _outward(pixels))
    texts = []
    for point, start in zip(points, starts, strict=True):
        word = point.word.replace("$", r"\$")
        text = axes.text(*start, word, fontsize=9, color=DARK, ha="center", va="center")
        text.set_zorder(4)
        if point.is_query:
            text.set(fontsize=11.5, fontweight="bold", color=point.color)
        texts.append(text)
    line = {"arrowstyle": "-", "color": LIGHT, "lw": 0.5, "zorder": 2}
    # A number of steps, not seconds, so that pictures are reproducible.
    options = {"iter_lim": LABEL_STEPS, "expand": (1.1, 1.3), "force_static": (0.4, 0.7)}
    options |= {"prevent_crossings": False, "min_arrow_len": 18, "arrowprops": line}
    x, y = _rims(axes, points, pixels).T
    adjust_text(texts, x, y, ax=axes, target_x=positions[:, 0], target_y=positions[:, 1], **options)


def _outward(pixels: Any) -> Any:
    """Unit vectors away from nearby dots, downwards without any, shape `[n, 2]`."""
    import numpy as np

    away = pixels[:, None] - pixels
    nearness = np.exp(-(away**2).sum(-1) / (2 * NEARBY**2))
    directions = (nearness[:, :, None] * away).sum(1) - (0, 1e-3)
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


def _rims(axes: Any, points: Sequence[Point], pixels: Any) -> Any:
    """Points around each dot, so that labels avoid all of it, shape `[n, 2]`."""
    import numpy as np

    angles = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    radii = np.array([9 if point.is_query else 6 for point in points])[:, None, None]
    rims = pixels[:, None] + radii * circle
    return axes.transData.inverted().transform(rims.reshape(-1, 2))
