"""How many CPUs this process may use, and work that they share."""

import math
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
U = TypeVar("U")

_VARIABLE = "FFJAX_NUM_THREADS"
_MAX_IN_ORDER = 4  # threads of `in_order`, whose items are made by one
_AHEAD = 2  # items that wait for each thread
_CGROUPS, _MEMBERSHIPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def n_cpus() -> int:
    """How many threads share work: the CPUs that this process may use.

    Containers and job schedulers confine a process to some CPUs, or to a share of their time. The
    environment variable `FFJAX_NUM_THREADS` overrides both.
    """
    if choice := os.environ.get(_VARIABLE):
        if not choice.isdecimal() or int(choice) < 1:
            expected = "expected a whole number of at least 1"
            raise ValueError(f"the environment variable {_VARIABLE}: {expected}, got {choice!r}.")
        return int(choice)
    n = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        n = len(os.sched_getaffinity(0))
    return int(min(n, _quota(_CGROUPS, _MEMBERSHIPS)))


@cache
def _quota(root: Path, memberships: Path) -> float:
    """The CPUs whose time the control groups of this process may take, rounded up; Linux."""
    limits = [math.inf]
    with suppress(OSError):
        for line in memberships.read_text().splitlines():
            _, controllers, group = line.split(":", 2)
            if controllers and "cpu" not in controllers.split(","):
                continue
            base = root / "cpu" if controllers else root  # the first or the second version
            folder = base / group.lstrip("/")
            above = [parent for parent in folder.parents if parent.is_relative_to(base)]
            limits += map(_limit, [folder, *above])  # the limits of all groups above count
    return min(limits)


def _limit(group: Path) -> float:
    """The limit of one control group, infinite if it has none."""
    with suppress(OSError, ValueError):
        if (both := group / "cpu.max").exists():
            quota, period = both.read_text().split()
        else:
            names = "cpu.cfs_quota_us", "cpu.cfs_period_us"
            quota, period = ((group / name).read_text() for name in names)
        if float(quota) > 0:
            return float(math.ceil(float(quota) / float(period)))
    return math.inf


def in_order(
    work: Callable[[T], U], items: Iterable[T], *, spare: int = 0
) -> Generator[U, None, None]:
    """`map` on a few threads, in order; the caller's thread makes items and has `spare` CPUs."""
    n_threads = min(_MAX_IN_ORDER, n_cpus())
    if n_threads == 1:
        yield from map(work, items)
        return
    n_threads = max(1, n_threads - spare)
    waiting: deque[Future[U]] = deque()
    with ThreadPoolExecutor(n_threads, thread_name_prefix="ffjax") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > n_threads * _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def map_blocks(function: Callable[[T], U], blocks: Sequence[T]) -> list[U]:
    """The results for all blocks, in this thread and in others as far as CPUs are idle.

    The others stay for the next call: what a thread has freed is kept for it by the allocator, so
    that new threads would let the memory of a long-running process grow.
    """
    results: list[Any] = [None] * len(blocks)
    remaining = iter(range(len(blocks)))

    def work() -> None:
        for number in remaining:
            results[number] = function(blocks[number])

    n_helpers = min(n_cpus(), len(blocks)) - 1
    jobs = [_threads.submit(work) for _ in range(n_helpers)]
    try:
        work()
    finally:
        # After an error no thread begins another block, and none is at work when this returns.
        deque(remaining, maxlen=0)
        # On a busy machine this thread may be done before another has begun.
        begun = [job for job in jobs if not job.cancel()]
        wait(begun)
    for job in begun:
        job.result()
    return results


def _start_over() -> None:
    """Gives this process threads of its own: a fork has none, whatever its executor believes."""
    global _threads
    # Starting threads anew for each search takes milliseconds on a busy machine.
    _threads = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="ffjax")


_start_over()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_over)
