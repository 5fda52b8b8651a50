"""How many CPUs this process may use, and work that they share."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


def n_cpus() -> int:
    """The CPUs of the machine, or those that this process is confined to."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def for_each(task: Callable[[int], object], numbers: range) -> None:
    """Calls a task for each number, in this thread and in others as far as CPUs are idle."""
    remaining = iter(numbers)

    def work() -> None:
        for number in remaining:
            task(number)

    n_helpers = min(n_cpus(), len(numbers)) - 1
    jobs = [_threads.submit(work) for _ in range(n_helpers)]
    work()
    for job in jobs:
        # On a busy machine this thread may be done before another has begun.
        if not job.cancel():
            job.result()


def _start_over() -> None:
    """Gives this process threads of its own: a fork has none, whatever its executor believes."""
    global _threads
    # Starting threads anew for each search takes milliseconds on a busy machine.
    _threads = ThreadPoolExecutor(n_cpus(), thread_name_prefix="ffjax")


_start_over()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_over)
