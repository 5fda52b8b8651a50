"""Search of 8-bit rows and narrow floats: the answers of the numbers that they stand for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

import ffjax
from ffjax.functional.search.api import search_on_device
from ffjax.kernels.top_k.rows import RowFilter
from ffjax.kernels.top_k.search import Plan
from ffjax.kernels.top_k.tiling import CPU
from tests.builders import storage
from tests.functional.search.reference import agree, normals, reference


def narrow(kind: str, rows: int, dims: int) -> ffjax.Storage:
    """Random rows, each of which occurs twice."""
    half = np.random.default_rng(0).standard_normal((rows // 2, dims)).astype(np.float32)
    twice = ffjax.NdArray(np.concatenate([half, half]))
    if kind == "float16":
        return ffjax.NdArray(twice.matrix.astype(jnp.float16))
    vocab = ffjax.SimpleVocab([str(i) for i in range(len(twice))])
    return ffjax.quantize(ffjax.Embeddings(twice, vocab), kind).embeddings.storage


CASES = [
    ("int8", "dot", 1),
    ("int8", "cosine", 70),
    ("bfloat16", "dot", 70),
    ("bfloat16", "cosine", 1),
    ("float16", "dot", 3),
    ("float16", "cosine", 1),
    ("int8", "euclidean", 3),
    ("bfloat16", "angular", 3),
]
MORE = [
    pytest.param(kind, metric, batch, marks=pytest.mark.exhaustive)
    for kind in ("int8", "bfloat16", "float16")
    for metric in ("dot", "cosine", "euclidean", "angular")
    for batch in (1, 3, 70)
    if (kind, metric, batch) not in CASES
]


@pytest.mark.parametrize(("kind", "metric", "batch"), [*CASES, *MORE])
def test_answers_and_ties_are_those_of_the_numbers_they_stand_for(kind, metric, batch):
    stored = narrow(kind, 2000, 7)
    queries = normals(1, batch, 7)
    found = ffjax.top_k(stored, queries, 50, metric=metric)
    agree(found, reference(np.asarray(stored), queries, 50, metric=metric), rtol=1e-6, atol=1e-6)
    rows = np.asarray(found.rows).reshape(batch, 25, 2)
    # Of equal rows the first comes first.
    np.testing.assert_array_equal(rows[:, :, 0] + 1000, rows[:, :, 1])


@pytest.mark.parametrize(
    ("kind", "metric", "batch"),
    [
        ("int8", "dot", 1),
        ("int8", "cosine", 64),
        ("bfloat16", "dot", 64),
        ("bfloat16", "cosine", 1),
        ("float16", "cosine", 64),
        pytest.param("int8", "cosine", 1, marks=pytest.mark.exhaustive),
        pytest.param("int8", "dot", 64, marks=pytest.mark.exhaustive),
        pytest.param("bfloat16", "dot", 1, marks=pytest.mark.exhaustive),
        pytest.param("bfloat16", "cosine", 64, marks=pytest.mark.exhaustive),
        pytest.param("float16", "dot", 1, marks=pytest.mark.exhaustive),
        pytest.param("float16", "dot", 64, marks=pytest.mark.exhaustive),
        pytest.param("float16", "cosine", 1, marks=pytest.mark.exhaustive),
    ],
)
def test_no_copy_of_the_rows_is_made(kind, metric, batch):
    rows, dims = 200_000, 64
    stored = {
        "int8": ffjax.Int8Array(jnp.zeros((rows, dims), jnp.int8), jnp.ones(rows)),
        "bfloat16": ffjax.NdArray(jnp.zeros((rows, dims), jnp.bfloat16)),
        "float16": ffjax.NdArray(jnp.zeros((rows, dims), jnp.float16)),
    }[kind]
    args = stored, jnp.ones((batch, dims)), RowFilter(), rows, Plan(10, metric, CPU)
    lowered = search_on_device.lower(*args)
    assert lowered.compile().memory_analysis().temp_size_in_bytes < rows * dims * 4 // 4


@pytest.mark.devices
@pytest.mark.parametrize("kind", ["pq", "opq", "pq_norms", "int8"])
def test_inside_vmap_and_shard_map(kind):
    store, mesh = storage(200, kind=kind), Mesh(np.array(jax.devices()[:8]), ("queries",))
    queries = jnp.asarray(np.random.default_rng(1).standard_normal((8, 5, 6)), jnp.float32)
    ids = jnp.asarray(np.random.default_rng(2).integers(0, 200, (8, 5)), jnp.int32)

    def work(store, queries, ids):
        return (
            ffjax.top_k(store, queries, 4, metric="cosine").scores,
            store.gather(ids),
            store.gather_sum(ids),
        )

    rows = np.asarray(store)
    scores, _ = reference(rows, queries.reshape(-1, 6), 4, metric="cosine")
    sums = np.stack([rows[line].sum(0) for line in np.asarray(ids)])
    expected = scores.reshape(8, 5, 4), rows[np.asarray(ids)], sums
    by_queries = PartitionSpec("queries")
    everywhere = PartitionSpec()
    divided = jax.shard_map(
        work, mesh=mesh, in_specs=(everywhere, by_queries, by_queries), out_specs=by_queries
    )
    for found in (
        jax.jit(jax.vmap(work, in_axes=(None, 0, 0)))(store, queries, ids),
        jax.jit(divided)(store, queries, ids),
    ):
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)
    several = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), store)
    both = jax.jit(jax.vmap(work, in_axes=(0, None, None)))(several, queries, ids)
    for ours, theirs in zip(both, expected, strict=True):
        np.testing.assert_allclose(ours[1], theirs, atol=1e-5)
