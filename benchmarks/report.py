"""One table of results, for the terminal and for docs/benchmarks.md."""

import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness import Result

BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
HEADER = (
    "row",
    "work",
    "compared with",
    "ours",
    "peer",
    "ratio",
    "target",
    "met",
    "first call",
    "of bandwidth",
    "note",
)
_NUMERIC = {"ours", "peer", "ratio", "first call", "of bandwidth"}


def seconds(value: float | None) -> str:
    """Three digits with the unit that fits."""
    return _scaled(value, ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")))


def size(value: float | None) -> str:
    """Bytes in decimal units."""
    return _scaled(value, ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B")))


def _scaled(value: float | None, units: Sequence[tuple[float, str]]) -> str:
    if value is None:
        return ""
    scale, name = next((unit for unit in units if abs(value) >= unit[0]), units[-1])
    scaled = value / scale
    return f"{scaled:,.0f} {name}" if abs(scaled) >= 100 else f"{scaled:.3g} {name}"


def cells(result: Result) -> tuple[str, ...]:
    """The cells of one line, in the order of `HEADER`."""
    if result.kind == "time":
        show = seconds
    elif result.kind == "memory":
        show = size
    else:
        show = _figure
    note = result.note
    if result.kind in ("skipped", "failed"):
        note = f"{result.kind}: {note}"
    elif result.unit:
        note = "; ".join(filter(None, (result.unit, note)))
    return (
        result.name,
        result.work,
        result.beside,
        show(result.ours),
        show(result.peer),
        "" if result.ratio is None else f"{result.ratio:.3g}",
        result.target,
        {None: "", True: "yes", False: "NO"}[result.met],
        seconds(result.first),
        "" if result.of_bandwidth is None else f"{result.of_bandwidth:.0%}",
        note,
    )


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def line(values: Sequence[str]) -> str:
    """A line of a Markdown table."""
    return (
        "| " + " | ".join(re.sub(r"\s+", " ", value).replace("|", "\\|") for value in values) + " |"
    )


def table(lines: Sequence[str]) -> str:
    """The lines under the header."""
    rule = ["---:" if name in _NUMERIC else "---" for name in HEADER]
    return "\n".join([line(HEADER), line(rule), *lines])


def split_at_markers(path: Path) -> tuple[str, str, str]:
    """The text before, between and after the markers of a Markdown file.

    Raises:
        ValueError: if there is no such file, or a marker is missing.
    """
    text = path.read_text(encoding="utf8") if path.is_file() else ""
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(
            f"`--markdown`: expected a file with `{BEGIN}` and `{END}` once each, got {path.name}."
        )
    head, rest = text.split(BEGIN)
    old, tail = rest.split(END)
    return head, old, tail


def update(path: Path, results: Sequence[Result], machine: str, names: Sequence[str]) -> None:
    """Updates the table between the markers of a Markdown file, with a section for each machine.

    Registered rows that were not run keep their line; skipped and failed rows never replace one.

    Args:
        path: the Markdown file, with both markers.
        results: of this run.
        machine: the line that describes it.
        names: all registered rows, in the order of the table.

    Raises:
        ValueError: if a marker is missing.
    """
    head, old, tail = split_at_markers(path)
    sections = _sections(old)
    lines = sections.setdefault(machine, {})
    for result in results:
        if result.kind not in ("skipped", "failed"):
            lines[result.name] = line(cells(result))
    tables = []
    for title, by_name in sections.items():
        ordered = [by_name[name] for name in names if name in by_name]
        if ordered:
            tables.append(f"### {title}\n\n{table(ordered)}\n")
    path.write_text(f"{head}{BEGIN}\n\n" + "\n".join(tables) + f"\n{END}{tail}", encoding="utf8")


def _sections(text: str) -> dict[str, dict[str, str]]:
    sections: dict[str, dict[str, str]] = {}
    title = ""
    for text_line in text.splitlines():
        if text_line.startswith("### "):
            title = text_line[4:].strip()
        elif text_line.startswith("| ") and title:
            name = text_line.split("|")[1].strip()
            if name != HEADER[0] and not name.startswith("---"):
                sections.setdefault(title, {})[name] = text_line
    return sections
