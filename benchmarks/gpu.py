"""How near compiled code comes to what one device can do: `python -m benchmarks.gpu`.

The roofline is the time that the bytes take at the bandwidth of a copy, or the products at the rate
of a large matrix product, whichever is longer; both rates are measured first. The table, a row as
soon as it is measured, shows the share of it that each function reaches. What does not fit the
device's memory gets no times. It takes some minutes and 16 GB; `--small` tries everything with a
thousandth of the numbers.
"""

import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import ffjax
from benchmarks.machine import bandwidth

_REPEAT = 5
_DIMS, _QUERY_DIMS = 300, 128
_LABELS, _CLASS_DIMS = 176, 16


class Work(NamedTuple):
    """A call to time, and the bytes and products that it cannot do without."""

    name: str
    call: Callable[[], Any]
    n_bytes: float
    flops: float = 0.0


class Timed(NamedTuple):
    """A row of the table; times are in seconds."""

    name: str
    seconds: float  # NaN if memory was too small
    roofline: float


def seconds(call: Callable[[], Any]) -> float:
    """The least time of several calls, after one that compiles."""
    jax.block_until_ready(call())
    times = []
    for _ in range(_REPEAT):
        start = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - start)
    return min(times)


def flop_rate(n: int, dtype: Any) -> float:
    """Floating-point operations a second of the product of two square matrices."""
    a = jnp.ones((n, n), dtype)
    product = jax.jit(lambda a: jnp.matmul(a, a, precision="highest"))
    return 2 * n**3 / seconds(lambda: product(a))


def searches(scale: int) -> Iterator[Work]:
    """Search beside its product: many queries over narrow rows, and one query."""
    for n_rows, dims, batch, dtype in (
        (10_000_000, _QUERY_DIMS, 4096, jnp.bfloat16),
        (1 << 20, _DIMS, 1, jnp.float32),
    ):
        n_rows, batch = max(64, n_rows // scale), max(1, batch // scale)
        rows = _normals(n_rows, dims, dtype)
        queries = _normals(batch, dims, dtype)
        name = f"{batch:,} queries x {n_rows:,} x {dims} {rows.dtype}"
        # The product is divided so that its scores fit.
        size = max(1, min(batch, (1 << 31) // n_rows))
        product = jax.jit(_largest_products)
        blocks = [queries[first : first + size] for first in range(0, batch, size)]
        cost = {"n_bytes": rows.nbytes, "flops": 2.0 * n_rows * dims * batch}
        storage = ffjax.NdArray(rows)

        multiply = partial(_each, product, rows, blocks)
        yield Work(f"product: {name}", multiply, **cost)
        yield Work(f"top_k: {name}", partial(ffjax.top_k, storage, queries, 10), **cost)


def sums(scale: int) -> Iterator[Work]:
    """Sums of the rows of unknown words, and of the words of lines, short and long."""
    n_rows, n_words, slots = 2_000_000 // scale, 50_000 // scale, 28
    storage = ffjax.NdArray(_normals(n_rows, _DIMS, jnp.float32))
    ids = jax.random.randint(jax.random.key(1), (n_words, slots), 0, n_rows)
    gather_sum = jax.jit(lambda storage, ids: storage.gather_sum(ids))
    n_bytes = 4 * _DIMS * n_words * (slots + 1)
    name = f"gather_sum: {n_words:,} words of {slots} rows"
    yield Work(name, partial(gather_sum, storage, ids), n_bytes)
    vectors = _normals(1_000_000 // scale, _DIMS, jnp.float32)
    pool = jax.jit(ffjax.pool, static_argnums=2)
    for words in (10, 1000):
        n_lines = -(-len(vectors) // words)
        lines = jnp.arange(len(vectors), dtype=jnp.int32) // words
        name = f"pool: {len(vectors):,} words, {words:,} a line"
        call = partial(pool, vectors, lines, n_lines)
        yield Work(name, call, vectors.nbytes + 4 * _DIMS * n_lines)


def classification(scale: int) -> Iterator[Work]:
    """Lines of ten words to labels; what is counted is the rows of words and n-grams."""
    n_words, n_lines, per_line = 100_000 // scale, 100_000 // scale, 10
    words = [f"word{number}" for number in range(n_words)]
    indexer = ffjax.FastTextIndexer(2_000_000 // scale, 3, 4)
    rows, ngrams = (_storage(n, _CLASS_DIMS) for n in (n_words, indexer.upper_bound))
    table = ffjax.StringTable.from_strings(words)
    labels = [f"__label__{number}" for number in range(_LABELS)]
    output = _storage(_LABELS, _CLASS_DIMS)
    counts = np.ones(n_words, np.int64)
    training = ffjax.TrainingState(counts, labels=labels, output=output)
    storage = ffjax.ComposedArray(rows, table, ngrams, indexer)
    vocab = ffjax.FastTextVocab(words, indexer)
    model = ffjax.Classifier(ffjax.Embeddings(storage, vocab, training=training))
    numbers = np.random.default_rng(0).integers(0, n_words, (n_lines, per_line))
    text = "\n".join(" ".join(words[i] for i in line) for line in numbers).encode()
    n_ngrams = 18  # of `<word12345>`, of 3 and 4 bytes
    n_bytes = len(text) + 4 * _CLASS_DIMS * n_lines * per_line * (1 + n_ngrams)
    name = f"classify: {n_lines:,} lines of {per_line} words"
    yield Work(name, partial(ffjax.classify, model, text), n_bytes)


def measure(scale: int = 1) -> Iterator[Timed]:
    """All works, timed one after the other."""
    rate = bandwidth((1 << 30) // scale)
    flops = {dtype: flop_rate(8192 // min(scale, 64), dtype) for dtype in ("bfloat16", "float32")}
    for works in (searches, sums, classification):
        for work in works(scale):
            products = flops["bfloat16" if "bfloat16" in work.name else "float32"]
            roofline = max(work.n_bytes / rate, work.flops / products)
            try:
                yield Timed(work.name, seconds(work.call), roofline)
            except jax.errors.JaxRuntimeError as error:
                if "RESOURCE_EXHAUSTED" not in str(error):
                    raise
                yield Timed(work.name, math.nan, roofline)


def table(results: Iterable[Timed]) -> Iterator[str]:
    """The lines of the table in Markdown."""
    yield from ("| work | ms | roofline, ms | share |", "| --- | ---: | ---: | ---: |")
    for name, time_taken, roofline in results:
        times = f"{time_taken * 1e3:,.2f} | {roofline * 1e3:,.2f}"
        yield f"| {name} | {times} | {roofline / time_taken:.0%} |"


def _each(product: Callable[..., Array], rows: Array, blocks: list[Array]) -> list[Array]:
    return [product(rows, block) for block in blocks]


def _largest_products(rows: Array, queries: Array) -> Array:
    return jnp.matmul(rows, queries.T, precision="highest").max(0)


def _normals(n_rows: int, dims: int, dtype: Any) -> Array:
    return jax.random.normal(jax.random.key(n_rows), (n_rows, dims), dtype)


def _storage(n_rows: int, dims: int) -> ffjax.NdArray:
    return ffjax.NdArray(_normals(n_rows, dims, jnp.float32))


if __name__ == "__main__":
    print(jax.devices()[0].device_kind)
    for line in table(measure(1000 if "--small" in sys.argv else 1)):
        print(line, flush=True)
