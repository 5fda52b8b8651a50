"""Top-k as a program: types of numbers, inside other transformations, its memory, and parts that are merged."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from ffjax.kernels.top_k.metrics import merge_top_k, top_k
from ffjax.kernels.top_k.row_source import ACCELERATOR, CPU
from tests.functional.search.reference import agree, integers, normals, reference
from tests.kernels.top_k.plans import TINY, with_plan

# Types


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("queries_too", [False, True])
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("plan", [TINY, CPU, ACCELERATOR], ids=["tiny", "cpu", "accelerator"])
def test_narrow_floats_add_up_in_float32(plan, dtype, queries_too, batch):
    """4,000 ones add up to 4,000: in bfloat16 they would stop at 256, in float16 they would round."""
    matrix = np.ones((70, 4001), np.float32)
    matrix[:, 4000] = np.arange(70) % 7
    matrix = jnp.asarray(matrix, dtype)
    queries = jnp.ones((batch, 4001), dtype if queries_too else jnp.float32)
    found = with_plan(plan, matrix, queries, 12)
    agree(found, reference(matrix.astype(jnp.float32), queries.astype(jnp.float32), 12))


def test_float32_queries_are_not_narrowed():
    matrix = jnp.asarray(integers(0, 500, 8), jnp.bfloat16)
    queries = normals(1, 9, 8)
    agree(top_k(matrix, queries, 5), reference(matrix.astype(jnp.float32), queries, 5), atol=1e-5)


# Inside other transformations


def test_vmap_over_queries_and_over_matrices():
    matrices, queries = integers(0, 4, 1500, 6), integers(1, 4, 3, 6)
    each = jax.vmap(partial(top_k, k=7))(matrices, queries)
    shared = jax.vmap(partial(top_k, k=7), in_axes=(None, 0))(matrices[0], queries)
    for i in range(4):
        agree([x[i] for x in each], reference(matrices[i], queries[i], 7))
        agree([x[i] for x in shared], reference(matrices[0], queries[i], 7))


def test_vmap_over_ranges():
    matrix, query = integers(0, 1500, 6), integers(1, 1, 6)
    starts = np.array([0, 10, 777], np.int32)
    found = jax.vmap(lambda start: top_k(matrix, query, 7, start=start, stop=start + 100))(starts)
    for i, start in enumerate(starts):
        mask = (np.arange(1500) >= start) & (np.arange(1500) < start + 100)
        agree([x[i] for x in found], reference(matrix, query, 7, allowed=mask))


@pytest.mark.devices
@pytest.mark.parametrize("ranged", [False, True])
def test_inside_shard_map_each_device_finds_its_own(ranged):
    devices = jax.devices()
    mesh = jax.sharding.Mesh(np.asarray(devices), ("rows",))
    rows, spec = 1100, jax.sharding.PartitionSpec("rows")
    matrix, queries = integers(0, rows * len(devices), 6), integers(1, 5, 6)

    @partial(jax.shard_map, mesh=mesh, in_specs=(spec, jax.sharding.PartitionSpec()), out_specs=(spec, spec))
    def local(part, queries):
        start = lax.axis_index("rows") * rows
        limits = {"stop": rows - 100 * jnp.int32(start == 0)} if ranged else {}
        scores, found = top_k(part, queries, 9, **limits)
        return scores[None], jnp.where(found < 0, -1, found + start)[None]

    found = jax.jit(local)(matrix, queries)
    scores, found = (x.transpose(1, 0, 2).reshape(5, -1) for x in jax.device_get(found))
    mask = np.ones(len(matrix), bool)
    mask[rows - 100 : rows] = not ranged
    agree(merge_top_k(scores, found, 9), reference(matrix, queries, 9, allowed=mask))


def test_gradients_flow_to_queries_and_to_the_rows_that_were_found():
    matrix, queries = jnp.asarray(normals(0, 900, 6)), jnp.asarray(normals(1, 4, 6))
    _, rows = top_k(matrix, queries, 3)
    to_matrix, to_queries = jax.grad(lambda m, q: top_k(m, q, 3)[0].sum(), argnums=(0, 1))(matrix, queries)
    np.testing.assert_allclose(to_queries, matrix[rows].sum(1), atol=1e-6)
    expected = np.zeros((900, 6), np.float32)
    np.add.at(expected, np.asarray(rows), np.asarray(queries)[:, None])
    np.testing.assert_allclose(to_matrix, expected, atol=1e-6)


def test_one_program_serves_all_values():
    traces = 0

    @jax.jit
    def search_once(matrix, queries, start):
        nonlocal traces
        traces += 1
        return top_k(matrix, queries, 3, start=start)

    for seed in range(3):
        search_once(integers(seed, 100, 4), integers(seed, 5, 4), jnp.int32(seed))
    assert traces == 1


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_neither_all_scores_nor_a_second_matrix_exist(dtype):
    """What the program allocates beside its arguments, where the matrix has 13 or 26 MB and the scores 410 MB."""
    matrix = jax.ShapeDtypeStruct((200_000, 32), dtype)
    for batch, most in ((1, 6e6), (512, 24e6)):
        queries = jax.ShapeDtypeStruct((batch, 32), jnp.float32)
        compiled = jax.jit(partial(top_k, k=10, metric="cosine", n_rows=199_999)).lower(matrix, queries).compile()
        assert compiled.memory_analysis().temp_size_in_bytes < most


# Merging


def test_parts_merge_to_the_whole():
    matrix, queries = integers(0, 3000, 6), integers(1, 20, 6)
    parts = [top_k(matrix[i : i + 700], queries, 9) for i in range(0, 3000, 700)]
    rows = [jnp.where(part[1] < 0, -1, part[1] + 700 * i) for i, part in enumerate(parts)]
    scores = jnp.concatenate([part[0] for part in parts], axis=1)
    agree(merge_top_k(scores, jnp.concatenate(rows, axis=1), 9), reference(matrix, queries, 9))


def test_merging_too_few_fills_up():
    scores, rows = merge_top_k(np.array([[1, -np.inf]], np.float32), np.array([[4, -1]], np.int32), 3)
    assert rows.tolist() == [[4, -1, -1]]
    assert scores.tolist() == [[1, -np.inf, -np.inf]]
