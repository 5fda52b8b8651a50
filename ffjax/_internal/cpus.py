"""How many CPUs this process may use."""

import os


def n_cpus() -> int:
    """The CPUs of the machine, or those that this process is confined to."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
