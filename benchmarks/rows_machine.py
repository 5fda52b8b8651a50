"""The machine itself: what the other rows' shares of the bandwidth are shares of."""

from benchmarks.harness import Figure, row
from benchmarks.machine import bandwidth


@row(issue=4, work="copy of 256 MiB by all cores, read and written together", beside="nothing")
def memory_bandwidth() -> Figure:
    return Figure(ours=bandwidth() / 1e9, unit="GB/s")
