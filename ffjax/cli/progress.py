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
        what: what the command is doing, such as "Loading words.fifu".
        total: the number of steps, `None` if unknown.
        unit: what a step is, in the plural, `None` to show no numbers.
        progress: the `rich.progress.Progress` that shows the bar, `None` to show nothing.
    """

    def __init__(
        self, what: str, total: int | None, unit: str | None, progress: Any = None
    ) -> None:
        self._unit, self._progress = unit, progress
        self._task = None if progress is None else progress.add_task(what, count="")
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
        if self._progress is not None:
            count = f"{steps:,}" if total is None else f"{steps:,} of {total:,}"
            fields = {} if self._unit is None else {"count": f"{count} {self._unit}"}
            self._progress.update(
                self._task, description=what, completed=steps, total=total, **fields
            )


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
        yield Bar(what, total, unit)
        return
    with _delayed_progress() as progress:
        yield Bar(what, total, unit, progress)


def _delayed_progress() -> Any:
    """A transient progress display that is empty until it has run for `DELAY` seconds."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    class Delayed(Progress):
        begin = time.monotonic()

        def get_renderables(self):
            if time.monotonic() - self.begin >= DELAY:
                yield from super().get_renderables()

    # Lines on standard error go above the bar; standard output may be a pipe and is left alone.
    return Delayed(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[count]}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
    )
