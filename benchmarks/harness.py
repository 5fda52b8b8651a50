"""Rows, and how they are measured."""

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from benchmarks.machine import bandwidth, peak_and_resident, write_to_memory

MIN_SAMPLE = 0.01  # seconds; shorter calls are repeated within one sample
BUDGET = 120.0  # seconds of samples per row; slow rows get fewer samples, but at least three
_LAST_ITEMS = 16


@dataclass(frozen=True)
class Pair:
    """Two ways to do the same work, to be timed.

    Args:
        ours: does the work once and returns its result.
        peer: the same work by the peer.
        check: called with both results before any timing; raises if the answers differ.
        bytes_moved: bytes that the work has to move through memory, to compare with the bandwidth.
        note: a note for the table, such as the configuration of the peer.
        memory: bytes to write to and free before each sample, see `compare`.
        once: whether to call the peer only once, because it takes minutes.
    """

    ours: Callable[[], Any]
    peer: Callable[[], Any]
    check: Callable[[Any, Any], None] | None = None
    bytes_moved: int | None = None
    note: str = ""
    memory: int = 1 << 29
    once: bool = False


def same_neighbours(ours: Any, theirs: Any) -> None:
    """The same scores up to rounding; rows may differ where scores nearly tie."""
    scores, rows = theirs
    np.testing.assert_allclose(ours.scores, scores, atol=1e-5)
    assert (np.asarray(ours.rows) == rows).mean() > 0.99


@dataclass(frozen=True)
class Memory:
    """Work whose memory is measured against a number of bytes, each side in its own process.

    Args:
        ours: does the work once and returns what must stay alive.
        reference: denominator of the ratio: the size of a file, of a chunk, or a fixed allowance.
        of: what the reference is, for the table.
        peer: the same work by the peer.
        measure: `"peak"` for the highest resident set during the work, `"resident"` for the one
            after it; both above that of the process before.
        note: a note for the table.
    """

    ours: Callable[[], Any]
    reference: int
    of: str
    peer: Callable[[], Any] | None = None
    measure: str = "peak"
    note: str = ""


@dataclass(frozen=True)
class Figure:
    """Numbers that are not times: errors, recalls, sizes.

    Args:
        ours: our number.
        peer: the peer's, or another number to compare with; `None` compares ours with the bound.
        unit: for the table.
        note: a line for the table.
    """

    ours: float
    peer: float | None = None
    unit: str = ""
    note: str = ""


@dataclass(frozen=True)
class Row:
    """A registered row: the work, the peer, and the target."""

    name: str
    issue: int
    work: str
    beside: str
    prepare: Callable[[], Pair | Memory | Figure]
    at_least: float | None = None
    at_most: float | None = None
    repeat: int | None = None

    def target(self) -> str:
        """The target as shown in the table."""
        if self.at_least is not None:
            return f"≥ {self.at_least:g}"
        return "" if self.at_most is None else f"≤ {self.at_most:g}"

    def met(self, ratio: float) -> bool | None:
        """Whether the ratio meets the target; `None` without one."""
        if self.at_least is not None:
            return ratio >= self.at_least
        return None if self.at_most is None else ratio <= self.at_most


@dataclass(frozen=True)
class Result:
    """The result of one row. Times are in seconds, memory in bytes."""

    name: str
    issue: int
    work: str
    beside: str
    kind: str  # "time", "memory", "figure"; "skipped" and "failed" say why in `note`
    target: str = ""
    ours: float | None = None
    peer: float | None = None
    ratio: float | None = None
    met: bool | None = None
    first: float | None = None  # our first call: tracing and compiling included
    spread: float | None = None  # interquartile range of ours over its median
    samples: int = 0
    of_bandwidth: float | None = None
    more_sides: bool = False  # the peer's side of a `Memory` row is still to be measured
    unit: str = ""
    note: str = ""

    @classmethod
    def of(cls, row: Row, kind: str = "skipped", note: str = "") -> "Result":
        """A result without figures."""
        return cls(row.name, row.issue, row.work, row.beside, kind, row.target(), note=note)


ROWS: dict[str, Row] = {}


def row(
    *,
    issue: int,
    work: str,
    beside: str,
    at_least: float | None = None,
    at_most: float | None = None,
    repeat: int | None = None,
) -> Callable[[Callable[[], Pair | Memory | Figure]], Callable[[], Pair | Memory | Figure]]:
    """Registers a row under the name of the function.

    For a `Pair`, `at_least=10` asks for a tenth of the peer's time and `at_most=1.3` for at most
    1.3 times the peer's time. For `Memory` and `Figure` they bound the ratio of ours to the
    reference or to the peer.

    Args:
        issue: the issue that asks for the figure.
        work: the work, and on what data.
        beside: the peer.
        at_least: lower bound of the ratio.
        at_most: upper bound of the ratio.
        repeat: samples of each side; overrides the command line.

    Raises:
        ValueError: if both bounds are given, or the name is taken.
    """
    if at_least is not None and at_most is not None:
        raise ValueError(
            f"`at_least`, `at_most`: expected one of them, got {at_least} and {at_most}."
        )

    def register(
        prepare: Callable[[], Pair | Memory | Figure],
    ) -> Callable[[], Pair | Memory | Figure]:
        name = prepare.__name__.replace("_", "-")
        if name in ROWS:
            raise ValueError(
                f"`row`: expected a new name, got `{name}` twice. Rename the function."
            )
        ROWS[name] = Row(name, issue, work, beside, prepare, at_least, at_most, repeat)
        return prepare

    return register


def measure(row: Row, repeat: int, side: str = "ours") -> Result:
    """Prepares a row and measures it in this process; only one side of a `Memory` row."""
    work = row.prepare()
    result = replace(Result.of(row), note=work.note)
    if isinstance(work, Figure):
        ratio = work.ours if work.peer is None else _over(work.ours, work.peer)
        met = row.met(ratio)
        shown = None if work.peer is None and met is None else ratio  # a number alone is no ratio
        return replace(
            result,
            kind="figure",
            ours=work.ours,
            peer=work.peer,
            ratio=shown,
            met=met,
            unit=work.unit,
        )
    if isinstance(work, Memory):
        call = work.ours if side == "ours" else work.peer
        if call is None:
            raise ValueError(
                f"`{side}`: expected a side that `{row.name}` has. Give `Memory` a `peer`."
            )
        n_bytes = peak_and_resident(call)[0 if work.measure == "peak" else 1]
        ratio = _over(n_bytes, work.reference)
        unit = f"{work.measure}, of {work.of}"
        more_sides = side == "ours" and work.peer is not None
        return replace(
            result,
            kind="memory",
            ours=n_bytes,
            ratio=ratio,
            met=row.met(ratio),
            unit=unit,
            more_sides=more_sides,
        )
    times = compare(work, row.repeat or repeat)
    ratio = (
        _over(times.ours, times.peer) if row.at_most is not None else _over(times.peer, times.ours)
    )
    return replace(
        result,
        kind="time",
        ours=times.ours,
        peer=times.peer,
        ratio=ratio,
        met=row.met(ratio),
        first=times.first,
        spread=times.spread,
        samples=times.samples,
        of_bandwidth=None
        if work.bytes_moved is None
        else work.bytes_moved / times.ours / bandwidth(),
    )


def _over(a: float, b: float) -> float:
    return a / b if b else (1.0 if not a else float("inf"))


@dataclass(frozen=True)
class Times:
    """Medians of both sides and our first call in seconds, and the relative interquartile range."""

    ours: float
    peer: float
    first: float
    spread: float
    samples: int


def finish(result: Any) -> None:
    """Waits for the arrays of a result, of long lists only the last, which are computed last.

    `jax.block_until_ready` would look at each of a hundred thousand strings, and that would count.
    """
    if isinstance(result, list | tuple):
        for item in result[-_LAST_ITEMS:]:
            finish(item)
    else:
        jax.block_until_ready(result)


def compare(pair: Pair, repeat: int, clock: Callable[[], float] = time.perf_counter) -> Times:
    """Times both sides in turn, alternating who goes first, after one warm-up call of each.

    A virtual machine returns memory that was free for a second to its host, and pays for it again
    when it is written to (0.2 s for 120 MB where this was measured). That is more than many calls
    take, and whichever side runs after a slow one would pay for it. So before each sample memory is
    written to.

    Args:
        pair: the two sides.
        repeat: samples of each side; three at least.
        clock: gives seconds.
    """

    def timed(call: Callable[[], Any], number: int = 1) -> tuple[float, Any]:
        gc.collect()
        write_to_memory(pair.memory)
        result = None
        start = clock()
        for _ in range(number):
            result = call()
            finish(result)
        return (clock() - start) / number, result

    first, ours = timed(pair.ours)
    peer_first, peer = timed(pair.peer)
    if pair.check is not None:
        pair.check(ours, peer)
    del ours, peer  # neither side is timed while the other's result holds memory
    if pair.once:
        return Times(timed(pair.ours)[0], peer_first, first, 0.0, 1)
    calls = (pair.ours, pair.peer)
    once = [timed(call)[0] for call in calls]
    number = [max(1, min(100_000, round(MIN_SAMPLE / max(seconds, 1e-9)))) for seconds in once]
    round_trip = sum(n * seconds for n, seconds in zip(number, once, strict=True))
    repeat = max(3, min(repeat, int(BUDGET / max(round_trip, 1e-9))))
    samples: tuple[list[float], list[float]] = ([], [])
    for i in range(repeat):
        for side in (0, 1) if i % 2 == 0 else (1, 0):
            samples[side].append(timed(calls[side], number[side])[0])
    median = statistics.median(samples[0])
    low, _, high = statistics.quantiles(samples[0], n=4, method="inclusive")
    return Times(median, statistics.median(samples[1]), first, _over(high - low, median), repeat)
