"""Progress of long work: a bar on standard error, only on a terminal and only after two seconds."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, Timer
from typing import Any

DELAY = 2.0


class Bar:
    """A progress bar that shows itself when the work has taken a while.

    Args:
        what: what is being done, such as "Loading words.fifu".
        total: how many steps there are, `None` if nobody knows.
        unit: what a step is, in the plural, to be shown with their number.
    """

    def __init__(self, what: str, total: int | None = None, unit: str | None = None) -> None:
        self.what, self.total, self.unit, self.done = what, total, unit, 0
        self._lock = Lock()
        self._over = False
        self._shown: tuple[Any, Any] | None = None
        self._timer = Timer(DELAY, self._show)
        self._timer.daemon = True

    def start(self) -> None:
        """Starts to wait for the moment to show the bar."""
        self._timer.start()

    def advance(self, steps: int = 1) -> None:
        """Says that so many steps more are done."""
        with self._lock:
            self.done += steps
            if self._shown is not None:
                progress, task = self._shown
                progress.update(task, completed=self.done, total=self.total)

    def at(self, what: str, done: int, total: int | None) -> None:
        """Says what is being done now, how much of it is done, and how much there is, if that is known."""
        with self._lock:
            self.what, self.done, self.total = what, done, total
            if self._shown is not None:
                progress, task = self._shown
                progress.update(task, description=what, completed=done, total=total)

    def stop(self) -> None:
        """Takes the bar away."""
        self._timer.cancel()
        with self._lock:
            self._over = True
            if self._shown is not None:
                self._shown[0].stop()

    def _show(self) -> None:
        # rich takes a while to import, so only work that is slow anyway pays for it.
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = [TextColumn("{task.description}", markup=False), BarColumn()]
        if self.unit is not None:
            number = "{task.completed:,}" if self.total is None else "{task.completed:,} of {task.total:,}"
            columns.append(TextColumn(f"{number} {self.unit}"))
        # Lines on standard error go above the bar; standard output is left alone, it may be a pipe.
        progress = Progress(
            *columns,
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=True,
        )
        with self._lock:
            if self._over:
                return
            task = progress.add_task(self.what, total=self.total, completed=self.done)
            progress.start()
            self._shown = progress, task


@contextmanager
def working(what: str, total: int | None = None, *, unit: str | None = None, quiet: bool = False) -> Iterator[Bar]:
    """Shows a bar while the block runs, if that takes more than two seconds and standard error is a terminal.

    Args:
        what: what is being done.
        total: how many steps there are, `None` if nobody knows; say `advance` for each.
        unit: what a step is, in the plural, to be shown with their number.
        quiet: whether to show nothing, because the block itself writes on the terminal.

    Examples:
        >>> with working("Counting", total=3) as bar:
        ...     for _ in range(3):
        ...         bar.advance()
        >>> bar.done
        3
    """
    bar = Bar(what, total, unit)
    if quiet or not sys.stderr.isatty():
        yield bar
        return
    bar.start()
    try:
        yield bar
    finally:
        bar.stop()
