"""ffjax beside its peers: `python -m benchmarks` runs every row and prints one table.

A row is a function in a module `rows_<topic>.py`, registered by `@row(...)`. It prepares the work and returns one of

- `Pair`: two callables, timed in turn in one process; the ratio is how many times as fast ours is;
- `Memory`: what one callable adds to the process, each side in a process of its own; the ratio is to a number of bytes;
- `Figure`: two numbers, an error or a recall; the ratio is ours to the peer's.

Every row runs in a fresh process, so that no row inherits another's memory, threads or warm caches.
Rows get peers through `peer("faiss")` and files through `real("glove.100d.txt")` (both in `benchmarks.files`): what is
absent skips the row and says why.
"""
