"""Several processes under `jax.distributed`, each with its rows of one mapped file."""

import socket
import subprocess
import sys
from pathlib import Path

import numpy as np

import ffjax
from benchmarks.files import derived
from benchmarks.harness import Figure, row

_ROWS, _DIMS = 1 << 20, 300
# What is measured is how much the high-water mark of resident memory rises above the memory of a
# process that has imported JAX and joined the other. It counts the pages of the map too.
_WORKER = """
import sys
import jax, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
port, number, path = sys.argv[1:]
jax.config.update("jax_num_cpu_devices", 1)
jax.distributed.initialize(f"localhost:{port}", 2, int(number))
import ffjax
jax.numpy.zeros(1).block_until_ready()
def memory(name):
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return int(status[name].split()[0]) * 1024
before = memory("VmRSS")
place = NamedSharding(Mesh(jax.devices(), ("rows",)), PartitionSpec("rows"))
emb = ffjax.load(path, mmap=True, sharding=place)
assert [shard.data.shape[0] for shard in emb.storage.matrix.addressable_shards] == [1 << 19]
queries = np.array(emb.storage.read(np.array([5, 1_000_000])))
assert np.asarray(ffjax.top_k(emb, queries, 10).rows)[:, 0].tolist() == [5, 1_000_000]
print(memory("VmHWM") - before, memory("VmHWM"))
"""


def _million() -> Path:
    def write(path: Path) -> None:
        rows = np.empty((_ROWS, _DIMS), np.float32)
        np.random.default_rng(0).standard_normal(out=rows, dtype=np.float32)
        words = ffjax.SimpleVocab([f"w{i}" for i in range(_ROWS)])
        ffjax.from_vectors(words.words, rows).write(path)

    return derived("million.300d.fifu", write)


@row(
    issue=17,
    work="2 processes, 1,048,576 x 300 mapped and divided, one search: memory of each",
    beside="half of the matrix and 300 MB",
    at_most=1,
)
def memory_of_two_processes() -> Figure:
    path, command = _million(), [sys.executable, "-c", _WORKER]
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = str(probe.getsockname()[1])
    options = {"stdout": subprocess.PIPE, "text": True, "cwd": Path(__file__).parent.parent}
    arguments = ([*command, port, str(number), str(path)] for number in range(2))
    processes = [subprocess.Popen(line, **options) for line in arguments]
    outputs = [process.communicate(timeout=600)[0].splitlines()[-1] for process in processes]
    growth, peak = max([int(number) / 1e6 for number in line.split()] for line in outputs)
    note = f"with Python and JAX {peak:.0f} MB"
    bound = (_ROWS * _DIMS * 4 / 2 + 300e6) / 1e6
    return Figure(ours=growth, peer=bound, unit="MB", note=note)
