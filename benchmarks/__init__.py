"""Benchmarks against other libraries: `python -m benchmarks` runs every row and prints one table.

A row is a function in a module `rows_<topic>.py`, registered by `@row(...)`. It prepares the work
and returns one of

- `Pair`: two callables, timed in turn in one process; the ratio is how many times as fast ours is;
- `Memory`: the memory that a callable adds to the process, each side in its own process; the ratio
  is to a number of bytes;
- `Figure`: two numbers, such as errors or recalls; the ratio is ours to the peer's.

Every row runs in a new process, so that no row inherits memory, threads or warm caches. Rows get
peers with `peer("faiss")` and files with `real("glove.100d.txt")` (both in `benchmarks.files`); if
one is missing, the row is skipped with a message.

`python -m benchmarks.structure` measures the package itself.
"""
