"""The search as a program: types of numbers, other transformations, memory."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax

from ffjax.kernels.top_k.rows import RowFilter
from ffjax.kernels.top_k.tiling import ACCELERATOR, CPU
from tests.functional.search.reference import agree, integers, normals, reference
from tests.kernels.top_k.searches import TINY, search

ALL_TILINGS = {"tiny": TINY, "cpu": CPU, "accelerator": ACCELERATOR}
BFLOAT16, FLOAT16, FLOAT32 = jnp.bfloat16, jnp.float16, jnp.float32

# Types

NARROW = [
    ("tiny", BFLOAT16, BFLOAT16, 1),
    ("tiny", FLOAT16, FLOAT32, 5),
    ("cpu", BFLOAT16, FLOAT32, 1),
    ("cpu", FLOAT16, FLOAT16, 5),
    ("accelerator", BFLOAT16, BFLOAT16, 5),
    ("accelerator", FLOAT16, FLOAT32, 1),
]
MORE_NARROW = [
    (tiling, dtype, queries, batch)
    for tiling in ALL_TILINGS
    for dtype in (BFLOAT16, FLOAT16)
    for queries in (dtype, FLOAT32)
    for batch in (1, 5)
    if (tiling, dtype, queries, batch) not in NARROW
]


@pytest.mark.parametrize(
    ("tiling", "dtype", "queries_dtype", "batch"),
    [*NARROW, *(pytest.param(*values, marks=pytest.mark.exhaustive) for values in MORE_NARROW)],
)
def test_narrow_floats_add_up_in_float32(tiling, dtype, queries_dtype, batch):
    """4,000 ones add up to 4,000: in bfloat16 they would stop at 256, in float16 they round."""
    matrix = np.ones((70, 4001), np.float32)
    matrix[:, 4000] = np.arange(70) % 7
    matrix, queries = matrix.astype(dtype), np.ones((batch, 4001), queries_dtype)
    expected = reference(matrix.astype(np.float32), queries.astype(np.float32), 12)
    agree(search(matrix, queries, k=12, tiling=ALL_TILINGS[tiling]), expected)


def test_float32_queries_are_not_narrowed():
    matrix, queries = jnp.asarray(integers(0, 1003, 8), jnp.bfloat16), normals(1, 7, 8)
    expected = reference(matrix.astype(jnp.float32), queries, 9)
    agree(search(matrix, queries), expected, atol=1e-5)


# Inside other transformations


def test_vmap_over_queries_and_over_matrices():
    matrices, queries = integers(0, 4, 1003, 8), integers(1, 4, 7, 8)
    each = jax.vmap(search)(matrices, queries)
    shared = jax.vmap(search, in_axes=(None, 0))(matrices[0], queries)
    for i in range(4):
        agree([x[i] for x in each], reference(matrices[i], queries[i], 9))
        agree([x[i] for x in shared], reference(matrices[0], queries[i], 9))


def test_vmap_over_ranges():
    matrix, query = integers(0, 1003, 8), integers(1, 1, 8)
    starts = np.array([0, 10, 777], np.int32)
    found = jax.vmap(lambda start: search(matrix, query, RowFilter(start, start + 100)))(starts)
    for i, start in enumerate(starts):
        mask = (np.arange(1003) >= start) & (np.arange(1003) < start + 100)
        agree([x[i] for x in found], reference(matrix, query, 9, allowed=mask))


@pytest.mark.devices
@pytest.mark.parametrize("ranged", [False, True])
def test_inside_shard_map_each_device_finds_its_own(ranged):
    devices = jax.devices()
    mesh = jax.sharding.Mesh(np.asarray(devices), ("rows",))
    rows, spec = 1100, jax.sharding.PartitionSpec("rows")
    matrix, queries = integers(0, rows * len(devices), 6), integers(1, 5, 6)

    @partial(
        jax.shard_map,
        mesh=mesh,
        in_specs=(spec, jax.sharding.PartitionSpec()),
        out_specs=(spec, spec),
    )
    def local(shard, queries):
        start = lax.axis_index("rows") * rows
        stop = rows - 100 * jnp.int32(start == 0) if ranged else None
        scores, best = search(shard, queries, RowFilter(stop=stop))
        return scores[None], best[None]

    scores, best = jax.device_get(jax.jit(local)(matrix, queries))
    for i, shard in enumerate(np.split(matrix, len(devices))):
        allowed = np.arange(rows - 100 * (ranged and i == 0))
        agree((scores[i], best[i]), reference(shard, queries, 9, allowed=allowed))


def test_gradients_flow_to_queries_and_to_the_rows_that_were_found():
    matrix, queries = jnp.asarray(normals(0, 1003, 8)), jnp.asarray(normals(1, 7, 8))
    _, rows = search(matrix, queries)
    gradient = jax.grad(lambda m, q: search(m, q)[0].sum(), argnums=(0, 1))
    to_matrix, to_queries = gradient(matrix, queries)
    np.testing.assert_allclose(to_queries, matrix[rows].sum(1), atol=1e-5)
    expected = np.zeros((1003, 8), np.float32)
    np.add.at(expected, np.asarray(rows), np.asarray(queries)[:, None])
    np.testing.assert_allclose(to_matrix, expected, atol=1e-5)


def test_one_program_serves_all_values():
    traces = 0

    @jax.jit
    def search_once(matrix, queries, start):
        nonlocal traces
        traces += 1
        return search(matrix, queries, RowFilter(start))

    for seed in range(3):
        search_once(integers(seed, 100, 4), integers(seed, 5, 4), jnp.int32(seed))
    assert traces == 1


def test_a_program_for_several_platforms_has_the_tiling_of_each():
    matrix, queries = integers(0, 1003, 8), integers(1, 7, 8)
    anywhere = jax.jit(partial(search, tiling=None))
    exported = export.export(anywhere, platforms=("cpu", "cuda"))(matrix, queries)
    assert exported.platforms == ("cpu", "cuda")
    agree(exported.call(matrix, queries), reference(matrix, queries, 9))


# The largest temporary buffer, where the matrix has 13 or 26 MB and the scores have 410 MB.
@pytest.mark.parametrize(
    ("dtype", "batch", "max_bytes"),
    [
        (FLOAT32, 1, 6e6),
        (FLOAT32, 512, 24e6),
        (BFLOAT16, 1, 6e6),
        (FLOAT16, 512, 24e6),
        pytest.param(BFLOAT16, 512, 24e6, marks=pytest.mark.exhaustive),
        pytest.param(FLOAT16, 1, 6e6, marks=pytest.mark.exhaustive),
    ],
)
def test_neither_all_scores_nor_a_second_matrix_exist(dtype, batch, max_bytes):
    matrix = jax.ShapeDtypeStruct((200_000, 32), dtype)
    queries = jax.ShapeDtypeStruct((batch, 32), jnp.float32)
    lowered = search.lower(matrix, queries, k=10, metric="cosine", n_rows=199_999)
    assert lowered.compile().memory_analysis().temp_size_in_bytes < max_bytes
