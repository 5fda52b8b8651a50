"""Output: answers on standard output, and the progress of long work on standard error.

Answers are tables on a terminal, tab-separated lines in a pipe, or JSON lines. A bar shows on
terminals only, and only after two seconds.
"""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ffjax._internal.json_lines import to_json
from ffjax.cli.messages import say, visible

# Such as a word or the number and text of a line, and last the similarity.
Answer = dict[str, Any]

DELAY = 2.0  # seconds
_ESCAPES = str.maketrans({"\t": "\\t", "\n": "\\n", "\r": "\\r"})
_BAR_WIDTH = 20
# Why a query has no answer although all its words have vectors.
_NO_CANDIDATE = "there is no other word with a finite vector to choose from."


def show_answers(query: Sequence[str], answers: Sequence[Answer], problem: str, json: bool) -> None:
    """Prints the answers to one query, or on standard error why nothing was found."""
    if not answers:
        sys.stdout.flush()
        words = " ".join(word or repr(word) for word in query)
        say(f"no answer for {words}: {problem or _NO_CANDIDATE}")
    if json:
        name = query[0] if len(query) == 1 else query
        print(to_json({"query": name, "results": answers or None}))
    elif answers and sys.stdout.isatty():
        title = "{} is to {} as {} is to" if len(query) == 3 else "{}"
        console().print(answer_table(answers, visible(title.format(*query))))
    else:
        for answer in answers:
            print(tabbed(*query, *answer.values()))


def facts(values: Mapping[str, Any], json: bool) -> None:
    """Prints names and values: an aligned table, tab-separated lines, or one JSON object."""
    if json:
        print(to_json(values))
        return
    is_terminal = sys.stdout.isatty()
    rows = []
    for name, value in values.items():
        if isinstance(value, bool):
            value = "yes" if value else "no"
        elif isinstance(value, list | tuple):
            value = ", ".join(map(str, value))
        elif isinstance(value, int) and is_terminal:
            value = f"{value:,}"
        if value is not None:
            rows.append((name, str(value)))
    if not is_terminal:
        for row in rows:
            print(tabbed(*row))
        return
    table = plain_table(show_header=False)
    table.add_column(style="bold cyan")
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*map(visible, row))
    console().print(table)


def tabbed(*fields: Any) -> str:
    r"""A line of tab-separated fields, in which a tab or line break becomes `\t`, `\n` or `\r`."""
    return "\t".join(str(field).translate(_ESCAPES) for field in fields)


def number(value: Any) -> float:
    """A float32 as the shortest decimal number that rounds to it."""
    import numpy as np

    return float(str(np.float32(value)))


def short(value: float) -> float:
    """A number with six digits, which is more than anybody reads."""
    return float(f"{value:.6g}")


def console() -> Any:
    """Standard output as a terminal, to which text is text: no markup, no `:tea:`."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


def plain_table(**options: Any) -> Any:
    """A table without lines."""
    from rich.table import Table

    return Table(box=None, padding=(0, 2, 0, 0), title_justify="left", **options)


def answer_table(answers: Sequence[Answer], title: str | None = None) -> Any:
    """Answers and their similarities with bars, for a terminal."""
    from rich.bar import Bar

    table = plain_table(show_header=False, title=title, title_style="bold")
    table.add_column(justify="right", style="dim")
    table.add_column(style="cyan", overflow="fold")
    table.add_column(justify="right")
    table.add_column(min_width=_BAR_WIDTH)
    for rank, answer in enumerate(answers, start=1):
        *_, text, score = answer.values()
        bar = Bar(1.0, 0.0, min(max(score, 0.0), 1.0), width=_BAR_WIDTH)
        table.add_row(str(answer.get("line", rank)), visible(text), f"{score:.4f}", bar)
    return table


class Progress:
    """What the command is doing, and the steps of it; shown if there is a `rich` display."""

    def __init__(self, what: str, total: int | None, unit: str | None, display: Any) -> None:
        self._unit, self._display = unit, display
        if display is not None:
            display.add_task(what, total=total, count="")
        self.show(what, 0, total)

    def advance(self, steps: int = 1) -> None:
        """Adds steps."""
        self.update(self.steps + steps, self.total)

    def update(self, steps: int, total: int | None) -> None:
        """Sets how many steps are complete, and how many there are."""
        self.show(self.what, steps, total)

    def show(self, what: str, steps: int, total: int | None) -> None:
        """Sets what the command is doing, too."""
        self.what, self.steps, self.total = what, steps, total
        if self._display is not None:
            count = f"{steps:,}" if total is None else f"{steps:,} of {total:,}"
            count = f"{count} {self._unit}" if self._unit else ""
            (task,) = self._display.tasks
            task.total = total  # `update` takes `None` for "as before"; without a total bars pulse
            self._display.update(task.id, description=what, completed=steps, count=count)


@contextmanager
def working(
    what: str, total: int | None = None, *, unit: str | None = None, quiet: bool = False
) -> Iterator[Progress]:
    """Shows a bar while the block runs, if it runs for `DELAY` seconds on a terminal."""
    if quiet or not sys.stderr.isatty():
        yield Progress(what, total, unit, None)
        return
    from rich import progress
    from rich.console import Console

    class Delayed(progress.Progress):
        begin = time.monotonic()

        def get_renderables(self):
            if time.monotonic() - self.begin >= DELAY:
                yield from super().get_renderables()

    columns = (
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.TextColumn("{task.fields[count]}"),
        progress.TimeElapsedColumn(),
    )
    # Lines on standard error go above the bar; standard output may be a pipe and is left alone.
    options: Any = {"transient": True, "redirect_stdout": False}
    with Delayed(*columns, console=Console(stderr=True), **options) as display:
        yield Progress(what, total, unit, display)
