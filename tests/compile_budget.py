"""Counts what each test file compiles and fails the run if a file exceeds its budget.

Compiling is most of what the suite costs, and it grows unnoticed: a `jax.jit` inside a test, one
more shape, one more parameter. The number of programs does not depend on the machine, only on what
JAX still has in its caches from earlier files of the same process. The seconds do, so they are
compared with the CPU time of the file too, which a busy machine does not stretch.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import astuple, dataclass

import jax.monitoring
import pytest

EVENT = "/jax/core/compile/backend_compile_duration"
PROGRAMS = 200
SECONDS = 90.0  # generous: a slow or busy machine needs several times what a fast one does
# Files whose subject is compiled programs. Prefer to share programs over adding an entry.
MORE_PROGRAMS: dict[str, int] = {
    "tests/storage/test_contract.py": 300,  # ten storages, each with programs of its own
    "tests/test_without_jit.py": 500,  # each operation is a program
}


@dataclass
class Cost:
    """What one test file costs."""

    programs: int = 0
    compile_seconds: float = 0.0
    cpu_seconds: float = 0.0

    def add(self, other: "Cost") -> None:
        """Adds the cost in another worker."""
        self.programs += other.programs
        self.compile_seconds += other.compile_seconds
        self.cpu_seconds += other.cpu_seconds


class CompileBudget:
    """The pytest plugin: one in each xdist worker, and one in the process that reports."""

    def __init__(self) -> None:
        """Nothing is compiled yet."""
        self.costs: dict[str, Cost] = defaultdict(Cost)
        self.file = "(outside tests)"

    def listen(self, event: str, duration_secs: float, **kwargs: str | int) -> None:
        """Adds one program to the file whose test is running."""
        if event == EVENT:
            self.costs[self.file].add(Cost(1, duration_secs))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Names the file that everything compiled during this test belongs to."""
        outside, self.file = self.file, item.nodeid.split("::")[0]
        start = time.process_time()
        try:
            return (yield)
        finally:
            self.costs[self.file].cpu_seconds += time.process_time() - start
            self.file = outside

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object) -> None:
        """Collects the costs in an xdist worker."""
        for file, cost in getattr(node, "workeroutput", {}).get("costs", {}).items():
            self.costs[file].add(Cost(*cost))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """An xdist worker sends its costs; otherwise a file over budget fails the run."""
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output["costs"] = {file: astuple(cost) for file, cost in self.costs.items()}
        elif self.over_budget() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def over_budget(self) -> list[str]:
        """A sentence for each file that compiles too much."""
        errors = []
        for file, cost in sorted(self.costs.items()):
            budget = MORE_PROGRAMS.get(file, PROGRAMS)
            if cost.programs > budget:
                errors.append(f"{file} compiles {cost.programs} programs, its budget is {budget}")
            seconds = min(cost.compile_seconds, cost.cpu_seconds)
            if seconds > SECONDS:
                errors.append(f"{file} compiles for {seconds:.0f} s, its budget is {SECONDS:.0f} s")
        return errors

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Prints the ten files that cost most, and those over budget."""
        total = Cost()
        for cost in self.costs.values():
            total.add(cost)
        if total.programs == 0:
            return
        terminalreporter.section(
            f"{total.programs} programs compiled in {total.compile_seconds:.0f} s, "
            f"tests took {total.cpu_seconds:.0f} s of CPU"
        )
        terminalreporter.write_line("programs  compile s  CPU s  file")
        largest = sorted(self.costs.items(), key=lambda entry: -entry[1].cpu_seconds)[:10]
        for file, cost in largest:
            terminalreporter.write_line(
                f"{cost.programs:8} {cost.compile_seconds:10.1f} {cost.cpu_seconds:6.1f}  {file}"
            )
        for error in self.over_budget():
            terminalreporter.write_line(f"ERROR: {error} (tests/compile_budget.py)", red=True)


def register(config: pytest.Config) -> None:
    """Switches the counting on, except for the exhaustive cases, which no budget bounds."""
    if config.option.markexpr == "exhaustive":
        return
    budget = CompileBudget()
    jax.monitoring.register_event_duration_secs_listener(budget.listen)
    config.pluginmanager.register(budget, "compile-budget")
