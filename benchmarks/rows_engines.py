"""Text of Arrow arrays, as engines hand it to `TextStage`, and Ray Data beside one process."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import ffjax
from benchmarks.files import peer, real
from benchmarks.harness import Figure, Pair, row

_N_LINES = 100_000
_MILLION, _FILES, _BATCH = 1_000_000, 8, 16384
# The recipe of `docs/engines.md`, whose workers note when they are ready and when they compute. The
# driver adds up the CPU time of all processes that it has begun, from when both workers are ready.
_IN_RAY = """
import os, sys, time
from glob import glob
from threading import Thread
import pyarrow.parquet as pq
import ray
from ffjax import TextStage

spent = {}  # of processes that have ended, too

def cpu_seconds():
    parents, ticks = {os.getpid(): 0}, {}
    for path in glob("/proc/[0-9]*/stat"):
        try:
            with open(path) as file:
                fields = file.read().rpartition(") ")[2].split()
        except OSError:
            continue
        number = int(path.split("/")[2])
        parents[number] = int(fields[1])
        ticks[number] = sum(map(int, fields[11:13]))
    def is_ours(number):
        while number and number != os.getpid():
            number = parents.get(number, 0)
        return number
    spent.update((number, n) for number, n in ticks.items() if is_ours(number))
    return sum(spent.values()) / os.sysconf("SC_CLK_TCK")

def watch():
    while True:
        seconds = cpu_seconds()
        if not at_begin and len(glob(f"{folder}/*.log")) == 2:
            at_begin.append(seconds)
        time.sleep(0.1)

folder = sys.argv[1]

class NotedStage(TextStage):
    def __init__(self, path):
        super().__init__(path)
        self.log = f"{folder}/{os.getpid()}.log"
        super().__call__(pq.read_table(f"{folder}/lines/0.parquet").slice(0, 16384))
        self.note("ready", time.time())

    def __call__(self, batch):
        start = time.time()
        batch = super().__call__(batch)
        self.note(batch.num_rows, start)
        return batch

    def note(self, what, start):
        with open(self.log, "a") as log:
            print(what, start, file=log)

at_begin = []
Thread(target=watch, daemon=True).start()
ray.init(num_cpus=4)
ray.data.read_parquet(f"{folder}/lines").repartition(16).map_batches(
    NotedStage,
    fn_constructor_args=(f"{folder}/demo.fifu",),
    batch_format="pyarrow",
    batch_size=16384,
    compute=ray.data.ActorPoolStrategy(size=2),
).write_parquet(f"{folder}/vectors")
print(time.time(), cpu_seconds() - at_begin[0])
"""


@row(
    issue=17,
    work="vectors of 100,000 lines in an Arrow array, demo embeddings",
    beside="the same lines as bytes",
    at_least=0.95,
)
def text_in_arrow() -> Pair:
    with real("corpus.txt").open("rb") as file:
        lines = [file.readline().rstrip(b"\n").decode("utf8", "replace") for _ in range(_N_LINES)]
    emb, array, text = ffjax.demo(), pa.array(lines), "\n".join([*lines, ""]).encode()

    def check(ours: tuple, theirs: tuple) -> None:
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)

    return Pair(lambda: ffjax.embed_text(emb, array), lambda: ffjax.embed_text(emb, text), check)


@row(
    issue=17,
    work="1,000,000 lines of Parquet to vectors in Parquet, Ray Data with two workers",
    beside="one process on all cores",
    at_least=0.8,
)
def text_in_ray() -> Figure:
    peer("ray")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_lines(folder / "lines")
        ffjax.demo().write(folder / "demo.fifu")
        alone, in_ray = _alone(folder), _in_ray(folder)
    share = in_ray.per_cpu_second / alone.per_cpu_second
    note = "lines a second from when both workers have compiled until all is written; "
    note += f"lines for each second of CPU time, all of Ray's counted: {share:.2f} of one process'"
    return Figure(ours=in_ray.per_second, peer=alone.per_second, unit="lines/s", note=note)


class Speed(NamedTuple):
    """How many lines were embedded in a second, and for a second of CPU time.

    A busy machine gives several processes more of its time than one, whatever they do with it; the
    second number does not depend on that.
    """

    per_second: float
    per_cpu_second: float


def _write_lines(folder: Path) -> None:
    folder.mkdir()
    with real("corpus.txt").open("rb") as file:
        lines = [file.readline().rstrip(b"\n").decode("utf8", "replace") for _ in range(_MILLION)]
    size = _MILLION // _FILES
    for i in range(_FILES):
        pq.write_table(pa.table({"text": lines[i * size :][:size]}), folder / f"{i}.parquet")


def _alone(folder: Path) -> Speed:
    """One process, which has compiled before."""
    stage, target = ffjax.TextStage(folder / "demo.fifu"), folder / "alone"
    target.mkdir()
    paths = sorted((folder / "lines").iterdir())
    stage(pq.read_table(paths[0]).slice(0, _BATCH))
    start, start_cpu = time.perf_counter(), time.process_time()
    for path in paths:
        pq.write_table(stage(pq.read_table(path)), target / path.name)
    n_lines, cpu_seconds = _MILLION, time.process_time() - start_cpu
    return Speed(n_lines / (time.perf_counter() - start), n_lines / cpu_seconds)


def _in_ray(folder: Path) -> Speed:
    """Ray, from when the second worker is ready until all is written."""
    environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", _IN_RAY, str(folder)]
    options = {"stdout": subprocess.PIPE, "text": True, "cwd": Path(__file__).parent.parent}
    output = subprocess.run(command, env=environment, check=True, **options).stdout
    end, cpu_seconds = map(float, output.splitlines()[-1].split())
    notes = [line.split() for log in folder.glob("*.log") for line in log.read_text().splitlines()]
    begin = max(float(start) for what, start in notes if what == "ready")
    batches = [(int(what), float(start)) for what, start in notes if what != "ready"]
    n_lines = sum(n for n, start in batches if start >= begin)
    return Speed(n_lines / (end - begin), n_lines / cpu_seconds)
