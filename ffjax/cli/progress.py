"""Progress of long work: a bar on standard error, on terminals only, and only after two seconds."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

DELAY = 2.0


class Bar:
    """A progress bar, or a count of steps without one.

    Args:
        progress: what shows the bar, a `rich.progress.Progress`, or `None` to show nothing.
        what: what the command is doing, such as "Loading words.fifu".
        total: the number of steps, `None` if unknown.
    """

    def __init__(self, progress: Any, what: str, total: int | None) -> None:
        self.what, self.total, self.steps = what, total, 0
        self._progress = progress
        self._task = None if progress is None else progress.add_task(what, total=total)

    def advance(self, steps: int = 1) -> None:
        """Adds steps."""
        self.update(self.steps + steps, self.total)

    def update(self, steps: int, total: int | None) -> None:
        """Sets how many steps are complete, and how many there are."""
        self.show(self.what, steps, total)

    def show(self, what: str, steps: int, total: int | None) -> None:
        """Sets what the command is doing, too."""
        self.what, self.steps, self.total = what, steps, total
        if self._progress is not None:
            self._progress.update(self._task, description=what, completed=steps, total=total)


@contextmanager
def working(
    what: str, total: int | None = None, *, unit: str | None = None, quiet: bool = False
) -> Iterator[Bar]:
    """Shows a bar while the block runs, if it runs for two seconds and stderr is a terminal.

    Args:
        what: what the command is doing.
        total: the number of steps, `None` if unknown.
        unit: what a step is, in the plural, shown with their number.
        quiet: whether to show nothing, because the block itself writes to the terminal.

    Examples:
        >>> with working("Counting", total=3) as bar:
        ...     for _ in range(3):
        ...         bar.advance()
        >>> bar.steps
        3
    """
    if quiet or not sys.stderr.isatty():
        yield Bar(None, what, total)
        return
    with _delayed_progress(unit) as progress:
        yield Bar(progress, what, total)


def _delayed_progress(unit: str | None) -> Any:
    """A transient progress display that is empty until it has run for `DELAY` seconds."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    class Delayed(Progress):
        begin = time.monotonic()

        def get_renderables(self):
            if time.monotonic() - self.begin >= DELAY:
                yield from super().get_renderables()

    class Count(TextColumn):
        def render(self, task):
            total = "" if task.total is None else f" of {task.total:,.0f}"
            return super().render(task).append(f"{task.completed:,.0f}{total} {unit}")

    columns = [TextColumn("{task.description}", markup=False), BarColumn()]
    if unit is not None:
        columns.append(Count(""))
    # Lines on standard error go above the bar; standard output may be a pipe and is left alone.
    return Delayed(
        *columns,
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
    )
