"""`ffjax plot`: pictures of words."""

import re
import sys

import numpy as np
import pytest

from ffjax.cli.plot import COLORS
from ffjax.transforms.projection import principal_plane

adjustText = pytest.importorskip("adjustText")


def texts(path):
    return re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text(encoding="utf-8"))


def test_principal_components_are_those_of_the_covariance():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((30, 8)) * np.arange(1, 9)
    positions, shares = principal_plane(x)
    variances, axes = np.linalg.eigh(np.cov(x.T))
    np.testing.assert_allclose(positions.var(0, ddof=1), variances[::-1][:2])
    np.testing.assert_allclose(shares, variances[::-1][:2] / variances.sum())
    np.testing.assert_allclose(np.abs(positions), np.abs((x - x.mean(0)) @ axes[:, ::-1][:, :2]))
    np.testing.assert_allclose(principal_plane(x[::-1])[0], positions[::-1])


@pytest.mark.parametrize("n", [1, 2])
def test_few_vectors(n):
    positions, shares = principal_plane(np.eye(n, 5))
    assert positions.shape == (n, 2) and np.isfinite(positions).all()
    np.testing.assert_allclose(shares, [n - 1, 0], atol=1e-12)


def test_a_picture_shows_words_and_neighbours(ff, demo_file, tmp_path):
    path = tmp_path / "words.svg"
    result = ff("plot", demo_file, "berlin", "tea", "-k", 4, "-o", path)
    assert (result.status, result.out, result.err) == (0, "", "")
    near = [
        row[1]
        for row in ff("similar", demo_file, "berlin", "tea", "-k", 4, "--metric", "cosine").rows
    ]
    shown = texts(path)
    assert {"berlin", "tea", *near, "berlin, tea and their 4 nearest words"} <= set(shown)
    assert len(shown) == len({"berlin", "tea", *near}) + 3  # and the names of the axes
    picture = path.read_text(encoding="utf-8").lower()
    assert COLORS[0].lower() in picture and COLORS[1].lower() in picture
    assert ff("plot", demo_file, "berlin", "tea", "-k", 4, "-o", tmp_path / "again.svg").status == 0
    assert (tmp_path / "again.svg").read_bytes() == path.read_bytes()


def test_labels_do_not_overlap(ff, demo_file, tmp_path):
    path = tmp_path / "words.svg"
    ff("plot", demo_file, "berlin", "coffee", "jazz", "-k", 8, "-o", path)
    labels = re.findall(
        r"font-size: 9px[^>]*rotate\(-0 ([\d.]+) ([\d.]+)\)", path.read_text(encoding="utf-8")
    )
    columns, heights = zip(*(map(float, position) for position in labels), strict=True)
    assert len(heights) >= 20
    apart = [
        max(abs(heights[i] - heights[j]) / 9, abs(columns[i] - columns[j]) / 30)
        for i in range(len(heights))
        for j in range(i)
    ]
    assert min(apart) > 0.5


def test_labels_cover_no_dots(ff, demo_file, tmp_path, monkeypatch):
    adjust_text, covered = adjustText.adjust_text, []

    def spied(labels, *args, ax, **options):
        adjust_text(labels, *args, ax=ax, **options)
        dots = ax.transData.transform([dot.get_offsets()[0] for dot in ax.collections])
        boxes = [label.get_window_extent() for label in labels]
        covered.append(sum(box.contains(*dot) for box in boxes for dot in dots))

    monkeypatch.setattr(adjustText, "adjust_text", spied)
    for words in (["tea", "berlin", "music"], ["dog", "war", "blue", "jazz"]):
        assert ff("plot", demo_file, *words, "-k", 8, "-o", tmp_path / "words.png").status == 0
    assert covered == [0, 0]


def test_a_png_on_standard_output(pipe, demo_file):
    status, picture, _ = pipe("plot", demo_file, "king", "-k", "3", "-o", "-", "--to", "png")
    assert status == 0 and picture.startswith(b"\x89PNG\r\n")


def test_scripts_without_a_font_and_dollar_signs(ff, small, tmp_path):
    path = tmp_path / "words.svg"
    result = ff("plot", small["buckets"], "咖啡", "кофе", "$x$", "a$$", "-k", 9, "-o", path)
    assert (result.status, result.err) == (0, "")
    assert {"$x$", "a$$", "咖啡, кофе, $x$, a$$ and their 9 nearest words"} <= set(texts(path))


def test_no_neighbours_and_unknown_words(ff, demo_file, tmp_path):
    path = tmp_path / "words.svg"
    result = ff("plot", demo_file, "berlin", "12345", "-k", 0, "-o", path)
    assert (
        result.status == 1
        and result.err == "ffjax: cannot draw 12345: an unknown word without known n-grams.\n"
    )
    assert "berlin" in texts(path)


def test_bad_input(ff, demo_file, tmp_path, monkeypatch):
    result = ff("plot", demo_file, "berlin", "-o", tmp_path / "words.pdf")
    assert (
        result.status == 2 and "expected a picture whose name ends with .png or .svg" in result.err
    )
    result = ff("plot", demo_file, "12345", "-o", tmp_path / "words.png")
    assert result.status == 2 and "expected a word with a vector, got none" in result.err
    result = ff("plot", demo_file, "berlin", "-o", tmp_path / "words.png", "-k", 30_000)
    assert (
        result.status == 2
        and "expected at most 500 words in a picture, got 30,001. Lower -k." in result.err
    )
    result = ff("plot", demo_file, "berlin", "-o", tmp_path / "none" / "words.png")
    assert result.status == 2 and "expected a file in an existing folder" in result.err
    assert not list(tmp_path.iterdir())
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = ff("plot", demo_file, "berlin", "-o", tmp_path / "words.png")
    assert result.status == 2 and "pip install 'ffjax[plot]'" in result.err
