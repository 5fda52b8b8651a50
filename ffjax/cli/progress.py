"""Progress of long work: a bar on standard error, on terminals only, and only after two seconds."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

DELAY = 2.0


class Bar:
    """A bar of a `rich.progress.Progress`, or a count of steps without one; no unit, no numbers."""

    def __init__(self, what: str, total: int | None, unit: str | None, progress: Any) -> None:
        self._unit, self._progress = unit, progress
        if progress is not None:
            progress.add_task(what, total=total, count="")
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
            count = f"{count} {self._unit}" if self._unit else ""
            (task,) = self._progress.tasks
            task.total = total  # `update` takes `None` for "as before"; without a total bars pulse
            self._progress.update(task.id, description=what, completed=steps, count=count)


@contextmanager
def working(
    what: str, total: int | None = None, *, unit: str | None = None, quiet: bool = False
) -> Iterator[Bar]:
    """Shows a bar while the block runs, if it runs for two seconds and stderr is a terminal."""
    if quiet or not sys.stderr.isatty():
        yield Bar(what, total, unit, None)
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
