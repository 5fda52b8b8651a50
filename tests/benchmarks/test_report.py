"""The table of the benchmarks."""

import dataclasses

import pytest

from benchmarks.harness import Result
from benchmarks.report import BEGIN, END, cells, line, seconds, size, update

TIME = Result(
    "a",
    3,
    "load | it",
    "gensim",
    "time",
    "≥ 10",
    0.5,
    6.0,
    12.0,
    True,
    first=1.25,
    of_bandwidth=0.405,
)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (0.0, "0 ns"),
        (2.5e-9, "2.5 ns"),
        (3.456e-6, "3.46 µs"),
        (0.25, "250 ms"),
        (1234.5, "1,234 s"),
    ],
)
def test_seconds(value, shown):
    assert seconds(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0 B"), (999, "999 B"), (1_500_000, "1.5 MB"), (3.33e9, "3.33 GB")]
)
def test_size(value, shown):
    assert size(value) == shown


def test_cells_of_each_kind():
    assert cells(TIME) == (
        "a", "load | it", "gensim", "500 ms", "6 s", "12", "≥ 10", "yes", "1.25 s", "40%", "",
    )  # fmt: skip
    memory = Result(
        "b",
        3,
        "w",
        "-",
        "memory",
        "≤ 1.25",
        5e6,
        None,
        1.3,
        False,
        unit="peak, of the file",
        note="n",
    )
    assert cells(memory)[3:] == ("5 MB", "", "1.3", "≤ 1.25", "NO", "", "", "peak, of the file; n")
    figure = Result("c", 6, "w", "faiss", "figure", "", 0.12345, 0.2, 0.617)
    assert cells(figure)[3:8] == ("0.1235", "0.2", "0.617", "", "")
    assert (
        cells(Result("d", 6, "w", "faiss", "skipped", note="no faiss"))[-1] == "skipped: no faiss"
    )


def test_a_line_of_markdown_has_no_stray_bars_or_breaks():
    assert line(["a|b", "c\nd"]) == "| a\\|b | c d |"


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "benchmarks.md"
    path.write_text(f"# Title\n{BEGIN}\n{END}\nthe end\n", encoding="utf8")
    return path


def lines(path, machine):
    """The names of the rows in the section of a machine."""
    section = path.read_text(encoding="utf8").split(f"### {machine}\n")[1].split("###")[0]
    return [text.split("|")[1].strip() for text in section.splitlines() if text.startswith("| ")][
        2:
    ]


def test_update_orders_rows_keeps_those_not_run_and_drops_those_unregistered(page):
    b = dataclasses.replace(TIME, name="b")
    update(page, [b, dataclasses.replace(TIME, name="gone")], "two cores", ["a", "b", "gone"])
    update(page, [TIME], "two cores", ["a", "b"])
    assert lines(page, "two cores") == ["a", "b"]
    text = page.read_text(encoding="utf8")
    assert text.startswith("# Title\n") and text.endswith("\nthe end\n")
    update(page, [TIME], "two cores", ["a", "b"])
    assert page.read_text(encoding="utf8") == text


def test_update_replaces_a_line_but_not_by_a_failure(page):
    update(page, [TIME], "two cores", ["a"])
    update(page, [Result("a", 3, "w", "gensim", "failed", note="crashed")], "two cores", ["a"])
    assert "| 12 |" in page.read_text(encoding="utf8")
    update(page, [dataclasses.replace(TIME, ratio=13.0)], "two cores", ["a"])
    assert "| 13 |" in page.read_text(encoding="utf8") and "| 12 |" not in page.read_text(
        encoding="utf8"
    )


def test_each_machine_has_its_own_table(page):
    update(page, [TIME], "two cores", ["a", "b"])
    update(page, [dataclasses.replace(TIME, name="b")], "a GPU", ["a", "b"])
    assert lines(page, "two cores") == ["a"] and lines(page, "a GPU") == ["b"]


def test_update_needs_both_markers(page):
    page.write_text(BEGIN, encoding="utf8")
    with pytest.raises(ValueError, match="expected a file with .* once each, got benchmarks.md"):
        update(page, [TIME], "two cores", ["a"])
