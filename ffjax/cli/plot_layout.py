"""A picture of words: their vectors in two dimensions, as points with labels that keep out of each other's way."""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

# Wong, "Points of view: Color blindness", Nature Methods 8 (2011); without yellow, which is too light for text.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# Fonts for scripts that the first one lacks, where they are installed.
FONTS = ("DejaVu Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans Devanagari", "Noto Emoji")
_SIZE = (10, 7.5)
_INK, _FAINT = "#333333", "#999999"


class Point(NamedTuple):
    """A word in the picture.

    Attributes:
        word: its label.
        group: which of the words that were asked for it belongs to.
        asked: whether it is that word.
    """

    word: str
    group: int
    asked: bool


def flat(vectors: Any) -> tuple[Any, Any]:
    """The two principal components of vectors, and their shares of the variance.

    Args:
        vectors: shape `[n, dims]`.

    Returns:
        `(places, shares)`: float64 of shape `[n, 2]` and `[2]`; zeros where there are fewer than two components. Each
        component points where its largest entry is positive, so that a picture looks the same every time.

    Examples:
        >>> import numpy as np
        >>> places, shares = flat(np.array([[0.0, 0.0, 1.0], [2.0, 0.0, 1.0], [4.0, 0.0, 1.0]]))
        >>> places[:, 0].round(6).tolist(), shares.round(6).tolist()
        ([-2.0, 0.0, 2.0], [1.0, 0.0])
    """
    import numpy as np

    centred = np.asarray(vectors, np.float64)
    centred = centred - centred.mean(0)
    left, sizes, right = np.linalg.svd(centred, full_matrices=False)
    signs = np.sign(right[np.arange(len(right)), np.abs(right).argmax(1)])
    components = np.zeros((len(centred), 2))
    shares = np.zeros(2)
    n = min(2, len(sizes))
    components[:, :n] = (left * sizes * signs)[:, :n]
    if (sizes > 0).any():
        shares[:n] = (sizes**2 / (sizes**2).sum())[:n]
    return components, shares


def draw(points: Sequence[Point], vectors: Any, file: Any, format: str, title: str) -> None:
    """Draws points where the two principal components of their vectors lie.

    Args:
        points: the words.
        vectors: their vectors, shape `[n, dims]`.
        file: a path or a binary stream.
        format: `"png"` or `"svg"`.
        title: what stands above.

    Raises:
        ImportError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib import font_manager
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("`ffjax plot` draws with matplotlib. Install it with `pip install 'ffjax[plot]'`.") from error

    places, shares = flat(vectors)
    installed = {font.name for font in font_manager.fontManager.ttflist}
    settings: dict[Any, Any] = {
        "font.family": [name for name in FONTS if name in installed],
        "svg.fonttype": "none",  # text stays text: it can be searched, and a viewer has fonts for other scripts
        "svg.hashsalt": "ffjax",
    }
    with mpl.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # a box stands for it
        figure = Figure(figsize=_SIZE, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        axes.set_title(title, loc="left", fontsize=13, fontweight="bold", color=_INK, pad=12)
        axes.set_xlabel(f"first principal component, {shares[0]:.0%} of the variance", color=_FAINT, fontsize=9)
        axes.set_ylabel(f"second, {shares[1]:.0%}", color=_FAINT, fontsize=9)
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.margins(0.12, 0.08)
        centres = {point.group: place for point, place in zip(points, places, strict=True) if point.asked}
        for point, place in zip(points, places, strict=True):
            color = COLORS[point.group % len(COLORS)]
            if not point.asked and point.group in centres:
                ends = zip(centres[point.group], place, strict=True)
                axes.plot(*ends, color=color, alpha=0.22, linewidth=0.9, zorder=1)
            size = 90 if point.asked else 26
            axes.scatter(*place, s=size, color=color, edgecolors="white", linewidths=0.8, zorder=3)
        canvas.draw()  # lays the axes out, so that places on the page are known
        _label(axes, canvas.get_renderer(), points, places)
        metadata = {"Date": None} if format == "svg" else {"Software": None}
        figure.savefig(file, format=format, dpi=150, facecolor="white", metadata=metadata)


def _label(axes: Any, renderer: Any, points: Sequence[Point], places: Any) -> None:
    """Puts each label where it covers as little as possible of other labels and of points, those asked for first."""
    import numpy as np

    at = axes.transData.transform(places)
    dot = 5 * renderer.points_to_pixels(1)
    boxes = [(x - dot, y - dot, x + dot, y + dot) for x, y in at.tolist()]
    page = axes.get_window_extent(renderer)
    angles = np.deg2rad([0, 180, 90, 270, 45, 135, 315, 225, 22, 158, 338, 202])
    for i in sorted(range(len(points)), key=lambda i: not points[i].asked):
        point, (x, y) = points[i], at[i]
        text = axes.text(
            0,
            0,
            point.word.replace("$", r"\$"),
            fontsize=11.5 if point.asked else 9,
            fontweight="bold" if point.asked else "normal",
            color=COLORS[point.group % len(COLORS)] if point.asked else _INK,
            ha="center",
            va="center",
            zorder=4,
        )
        extent = text.get_window_extent(renderer)
        width, height = extent.width + 4, extent.height + 2
        best, least = (x, y), float("inf")
        for ring in range(4):
            for angle in angles:
                away = dot * (1.3 + 1.5 * ring)
                cx = x + np.cos(angle) * (away + width / 2)
                cy = y + np.sin(angle) * (away + height / 2)
                box = (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)
                covered = sum(_overlap(box, other) for j, other in enumerate(boxes) if j != i)
                outside = width * height - _overlap(box, (page.x0, page.y0, page.x1, page.y1))
                cost = covered + 2 * outside + 0.02 * width * height * ring
                if cost < least:
                    best, least = (cx, cy), cost
            if least < 0.05 * width * height:
                break
        cx, cy = best
        boxes.append((cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2))
        text.set_position(axes.transData.inverted().transform((cx, cy)))
        # A label that had to go far is tied to its point.
        if abs(cy - y) > height + 2 * dot or abs(cx - x) > width / 2 + 3 * dot:
            ends = axes.transData.inverted().transform([(x, y), (cx, cy)])
            axes.plot(*ends.T, color=_FAINT, linewidth=0.5, zorder=2)


def _overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """The area that two boxes share."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
