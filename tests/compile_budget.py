"""Counts what each test file compiles and fails the run if a file exceeds its budget.

Compiling is most of what the suite costs, and it grows unnoticed: a `jax.jit` inside a test, one
more shape, one more parameter. The number of programs does not depend on the machine or on a
compilation cache; the seconds do.
"""

from collections import defaultdict
from collections.abc import Iterator

import jax.monitoring
import pytest

EVENT = "/jax/core/compile/backend_compile_duration"
PROGRAMS = 150
SECONDS = 60.0  # generous: two workers and a slow machine double what a quiet one measures
# Files whose subject is compiled programs. Prefer to share programs over adding an entry.
MORE_PROGRAMS: dict[str, int] = {}

Compiled = dict[str, tuple[int, float]]


class CompileBudget:
    """The pytest plugin: one in each xdist worker, and one in the process that reports."""

    def __init__(self) -> None:
        """Nothing is compiled yet."""
        self.compiled: dict[str, tuple[int, float]] = defaultdict(lambda: (0, 0.0))
        self.test_seconds: dict[str, float] = defaultdict(float)
        self.file = ""

    def listen(self, event: str, duration_secs: float, **kwargs: str | int) -> None:
        """Adds one program to the file whose test is running."""
        if event == EVENT:
            self.add({self.file: (1, duration_secs)})

    def add(self, compiled: Compiled) -> None:
        """Adds programs and seconds by file."""
        for file, (programs, seconds) in compiled.items():
            total_programs, total_seconds = self.compiled[file]
            self.compiled[file] = total_programs + programs, total_seconds + seconds

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Names the file that what is compiled now belongs to."""
        self.file = item.nodeid.split("::")[0]
        try:
            return (yield)
        finally:
            self.file = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Sums the duration of tests by file."""
        self.test_seconds[report.nodeid.split("::")[0]] += report.duration

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object) -> None:
        """Collects what an xdist worker has compiled."""
        self.add(getattr(node, "workeroutput", {}).get("compiled", {}))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """An xdist worker sends its figures; otherwise a file over budget fails the run."""
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output["compiled"] = dict(self.compiled)
        elif self.over_budget() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def over_budget(self) -> list[str]:
        """A sentence for each file that compiles too much."""
        errors = []
        for file, (programs, seconds) in sorted(self.compiled.items()):
            if programs > (budget := MORE_PROGRAMS.get(file, PROGRAMS)):
                errors.append(f"{file} compiles {programs} programs, its budget is {budget}")
            if seconds > SECONDS:
                errors.append(f"{file} compiles for {seconds:.0f} s, its budget is {SECONDS:.0f} s")
        return errors

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Prints the ten files that compile longest, and those over budget."""
        if not self.compiled:
            return
        largest = sorted(self.compiled.items(), key=lambda entry: -entry[1][1])[:10]
        programs, seconds = map(sum, zip(*self.compiled.values(), strict=True))
        terminalreporter.section(f"{programs} programs compiled in {seconds:.0f} s")
        terminalreporter.write_line("programs  compile s  test s  file")
        for file, (programs, seconds) in largest:
            figures = f"{programs:8} {seconds:10.1f} {self.test_seconds[file]:7.1f}"
            terminalreporter.write_line(f"{figures}  {file or '(outside tests)'}")
        for error in self.over_budget():
            terminalreporter.write_line(f"ERROR: {error} (tests/compile_budget.py)", red=True)


def register(config: pytest.Config) -> None:
    """Switches the counting on."""
    budget = CompileBudget()
    jax.monitoring.register_event_duration_secs_listener(budget.listen)
    config.pluginmanager.register(budget, "compile-budget")
