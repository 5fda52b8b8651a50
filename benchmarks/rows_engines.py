"""Text of Arrow arrays, as engines hand it to `TextStage`, and Ray Data beside one process."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import ffjax
from benchmarks.files import peer, real
from benchmarks.harness import Figure, Pair, row

_N_LINES = 100_000
_MILLION, _FILES, _BATCH = 1_000_000, 8, 16384
# The recipe of `docs/engines.md`, whose workers note when they are ready and when they compute.
_IN_RAY = """
import os, sys, time
import pyarrow.parquet as pq
import ray
from ffjax import TextStage

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

ray.init(num_cpus=4)
ray.data.read_parquet(f"{folder}/lines").map_batches(
    NotedStage,
    fn_constructor_args=(f"{folder}/demo.fifu",),
    batch_format="pyarrow",
    batch_size=16384,
    concurrency=2,
).write_parquet(f"{folder}/vectors")
print(time.time())
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
    note = "lines a second once the workers have started: both have compiled and wait for batches"
    return Figure(ours=in_ray, peer=alone, unit="lines/s", note=note)


def _write_lines(folder: Path) -> None:
    folder.mkdir()
    with real("corpus.txt").open("rb") as file:
        lines = [file.readline().rstrip(b"\n").decode("utf8", "replace") for _ in range(_MILLION)]
    size = _MILLION // _FILES
    for i in range(_FILES):
        pq.write_table(pa.table({"text": lines[i * size :][:size]}), folder / f"{i}.parquet")


def _alone(folder: Path) -> float:
    """Lines a second of one process, which has compiled before."""
    stage, target = ffjax.TextStage(folder / "demo.fifu"), folder / "alone"
    target.mkdir()
    paths = sorted((folder / "lines").iterdir())
    stage(pq.read_table(paths[0]).slice(0, _BATCH))
    start = time.perf_counter()
    for path in paths:
        pq.write_table(stage(pq.read_table(path)), target / path.name)
    return _MILLION / (time.perf_counter() - start)


def _in_ray(folder: Path) -> float:
    """Lines a second in Ray, from when the second worker is ready until all is written."""
    environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", _IN_RAY, str(folder)]
    options = {"stdout": subprocess.PIPE, "text": True, "cwd": Path(__file__).parent.parent}
    output = subprocess.run(command, env=environment, check=True, **options).stdout
    end = float(output.split()[-1])
    notes = [line.split() for log in folder.glob("*.log") for line in log.read_text().splitlines()]
    begin = max(float(start) for what, start in notes if what == "ready")
    batches = [(int(what), float(start)) for what, start in notes if what != "ready"]
    return sum(n for n, start in batches if start >= begin) / (end - begin)
