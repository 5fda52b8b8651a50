"""Top-k beside a NumPy reference: stable argsort of exact scores, so that equal scores come in the order of the rows.

Where ties matter the vectors are small integers: their products are exact in float32 in any order of summation.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from ffjax.ops.block_top_k import search
from ffjax.ops.sources import ACCELERATOR, CPU, Restriction, of_matrix
from ffjax.ops.top_k import METRICS, merge_top_k, top_k

TINY = CPU._replace(chunk=1 << 10, queries=5, gathered=1 << 10)  # many chunks, many blocks of queries, many gathers


def integers(seed, *shape, largest=2):
    return np.random.default_rng(seed).integers(-largest, largest + 1, shape).astype(np.float32)


def normals(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def reference(matrix, queries, k, *, metric="dot", exclude=None, mask=None):
    matrix, queries = (np.asarray(x, np.float64) for x in (matrix, queries))
    scores = queries @ matrix.T
    if metric != "dot":
        with np.errstate(invalid="ignore"):
            scores = scores / (np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(matrix, axis=1)[None])
        scores = np.clip(np.nan_to_num(scores), -1, 1)
    if mask is not None:
        scores[:, ~mask] = -np.inf
    for row, left_out in enumerate([] if exclude is None else exclude):
        scores[row, left_out[left_out >= 0]] = -np.inf
    rows = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.take_along_axis(scores, rows, axis=1)
    rows = np.where(best == -np.inf, -1, rows)
    missing = ((0, 0), (0, k - rows.shape[1]))
    best, rows = np.pad(best, missing, constant_values=-np.inf), np.pad(rows, missing, constant_values=-1)
    if metric == "angular":
        best = np.where(best == -np.inf, best, 1 - np.arccos(np.clip(best, -1, 1)) / np.pi)
    if metric == "euclidean":
        best = np.where(best == -np.inf, best, 1 - np.sqrt(2 - 2 * np.clip(best, -1, 1)) / 2)
    return best, rows


def agree(found, expected, *, scores=1e-5):
    assert found[0].dtype == jnp.float32
    assert found[1].dtype == jnp.int32
    assert found[1].tolist() == expected[1].tolist()
    np.testing.assert_allclose(found[0], expected[0], rtol=0, atol=scores)


def with_plan(plan, matrix, queries, k, **restriction):
    of = jax.jit(lambda matrix, queries: search(of_matrix(matrix), queries, k, Restriction(**restriction), plan))
    return of(jnp.asarray(matrix), jnp.asarray(queries))


@partial(jax.jit, static_argnums=0)
def search_range(plan, matrix, queries, start, stop):
    return search(of_matrix(matrix), queries, 9, Restriction(start=start, stop=stop), plan)


# The answer


@pytest.mark.parametrize(("batch", "dims"), [(1, 7), (2, 1), (9, 32)])
def test_eager_and_compiled_agree_with_numpy(batch, dims):
    matrix, queries = integers(0, 3001, dims), integers(1, batch, dims)
    expected = reference(matrix, queries, 10)
    agree(top_k(matrix, queries, 10), expected, scores=0)
    with jax.disable_jit():
        agree(with_plan(CPU, matrix, queries, 10), expected, scores=0)
    agree(jax.jit(top_k, static_argnums=2)(matrix, queries, 10), expected, scores=0)


@pytest.mark.parametrize("rows", [1, 2, 5, 31, 32, 33, 64, 65, 127, 129, 1000, 1023, 1024, 1025, 4097])
@pytest.mark.parametrize("plan", [TINY, CPU], ids=["tiny", "cpu"])
def test_around_the_ends_of_blocks_and_chunks(rows, plan):
    matrix, queries = integers(rows, rows, 6), integers(rows + 1, 7, 6)
    agree(with_plan(plan, matrix, queries, 4), reference(matrix, queries, 4), scores=0)


@pytest.mark.parametrize("k", [1, 2, 10, 57, 100, 299, 300, 301, 1000])
def test_any_k_up_to_the_rows_and_beyond(k):
    matrix, queries = integers(k, 300, 5), integers(k + 1, 6, 5)
    found = with_plan(TINY, matrix, queries, k)
    assert found[0].shape == found[1].shape == (6, k)
    agree(found, reference(matrix, queries, k), scores=0)


def test_many_answers_of_many_rows():
    """1,000 answers take smaller blocks, and groups of blocks above them."""
    matrix, queries = integers(0, 40_000, 8, largest=9), integers(1, 3, 8, largest=9)
    agree(top_k(matrix, queries, 1000), reference(matrix, queries, 1000), scores=0)


@pytest.mark.parametrize("batch", [1, 256, 257, 600])
def test_any_batch(batch):
    matrix, queries = integers(0, 2000, 9), integers(1, batch, 9)
    agree(top_k(matrix, queries, 5), reference(matrix, queries, 5), scores=0)


def test_an_empty_batch_no_answers_and_no_rows():
    matrix = jnp.ones((4, 3))
    for found, shape in (
        (top_k(matrix, jnp.ones((0, 3)), 2), (0, 2)),
        (top_k(matrix, jnp.ones((5, 3)), 0), (5, 0)),
        (top_k(matrix[:0], jnp.ones((5, 3)), 2), (5, 2)),
        (top_k(matrix, jnp.ones((5, 3)), 2, n_rows=0), (5, 2)),
    ):
        assert found[0].shape == found[1].shape == shape
        assert (found[0] == -jnp.inf).all()
        assert (found[1] == -1).all()


def test_real_numbers_agree_up_to_rounding():
    matrix, queries = normals(0, 20_000, 100), normals(1, 40, 100)
    scores, rows = top_k(matrix, queries, 10)
    expected, _ = reference(matrix, queries, 10)
    np.testing.assert_allclose(scores, expected, atol=1e-4)  # 100 products of about 1, in float32
    np.testing.assert_allclose(np.einsum("bd,bkd->bk", queries, matrix[rows]), scores, atol=1e-4)
    assert all(len(set(found)) == 10 for found in rows.tolist())


# Ties


@pytest.mark.parametrize(("batch", "dims"), [(1, 50), (1, 300), (3, 50), (40, 3), (40, 50), (40, 300)])
def test_equal_rows_tie_wherever_they_lie(batch, dims):
    """All rows are one row that no float32 sum holds exactly: whatever is summed how, the first rows must win."""
    matrix, queries = np.repeat(normals(0, 1, dims), 5003, axis=0), normals(1, batch, dims)
    for metric in ("dot", "cosine"):
        scores, rows = top_k(matrix, queries, 12, metric=metric)
        assert rows.tolist() == [list(range(12))] * batch
        assert (scores == scores[:, :1]).all()


def test_duplicates_of_rows_come_in_order():
    matrix = np.tile(normals(0, 700, 20), (4, 1))
    _, rows = top_k(matrix, normals(1, 30, 20), 8)
    copies = np.asarray(rows).reshape(30, 2, 4)
    assert (copies[:, :, 0] < 700).all()
    assert (np.diff(copies, axis=2) == 700).all()


def test_zero_and_negative_zero_tie():
    matrix = np.zeros((400, 2), np.float32)
    matrix[::3] = -0.0
    matrix[5] = [0, 7]
    _, rows = top_k(matrix, np.array([[1, 0], [-1, 0], [-0.0, -0.0]], np.float32), 6)
    assert rows.tolist() == [[0, 1, 2, 3, 4, 5]] * 3


# Metrics


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("metric", METRICS)
def test_metrics(metric, given):
    matrix, queries = normals(0, 500, 16), normals(1, 12, 16)
    matrix[[3, 77]] = 0
    queries[4] = 0
    with np.errstate(divide="ignore"):
        inverse = np.nan_to_num(1 / np.linalg.norm(matrix, axis=1), posinf=0).astype(np.float32)
    norms = {"inverse_norms": inverse} if given and metric != "dot" else {}
    agree(top_k(matrix, queries, 20, metric=metric, **norms), reference(matrix, queries, 20, metric=metric))


def test_metrics_are_those_of_finalfusion():
    """finalfusion-rust, `similarity.rs`: angular 1 - acos(c) / pi, Euclidean 1 - sqrt(2 - 2c) / 2, at c = 1, 0, -1."""
    matrix = jnp.array([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]])
    query = jnp.array([[5.0, 0.0]])
    expected = {
        "dot": [10, 0, -5],
        "cosine": [1, 0, -1],
        "angular": [1, 0.5, 0],
        "euclidean": [1, 1 - np.sqrt(2) / 2, 0],
    }
    for metric in METRICS:
        scores, rows = top_k(matrix, query, 3, metric=metric)
        assert rows.tolist() == [[0, 1, 2]]
        np.testing.assert_allclose(scores[0], expected[metric], atol=1e-6)


@pytest.mark.parametrize("metric", METRICS)
def test_nothing_is_ever_nan(metric):
    """The cosine of a vector with itself rounds to a little more than 1, whose arc cosine is NaN."""
    matrix = np.concatenate([normals(0, 300, 37), np.zeros((5, 37), np.float32)])
    for queries in (matrix, 1000 * matrix):
        scores, rows = top_k(matrix, queries, 305, metric=metric)
        assert not jnp.isnan(scores).any()
        assert (jnp.sort(rows, axis=1) == jnp.arange(305)[None]).all()
        if metric != "dot":
            assert (rows[:300, 0] == jnp.arange(300)).all()


def test_zero_vectors_score_zero():
    matrix = np.concatenate([np.zeros((1, 4), np.float32), -np.ones((3, 4), np.float32)])
    scores, rows = top_k(matrix, np.stack([np.ones(4), np.zeros(4)]).astype(np.float32), 2, metric="cosine")
    assert scores.tolist() == [[0, -1], [0, 0]]
    assert rows.tolist() == [[0, 1], [0, 1]]


# What is left out


@pytest.mark.parametrize("plan", [TINY, CPU], ids=["tiny", "cpu"])
def test_rows_to_leave_out(plan):
    matrix, queries = integers(0, 900, 6), integers(1, 11, 6)
    _, best = reference(matrix, queries, 40)
    exclude = best[:, ::2][:, :15].astype(np.int32)
    exclude[3] = -1
    exclude[4, 5:] = exclude[4, 0]
    expected = reference(matrix, queries, 10, exclude=exclude)
    agree(with_plan(plan, matrix, queries, 10, exclude=jnp.asarray(exclude)), expected, scores=0)
    agree(top_k(matrix, queries, 10, exclude=exclude), expected, scores=0)


def test_leaving_out_all_but_one():
    exclude = np.array([[0, 1, 3], [3, 2, 1]], np.int32)
    scores, rows = top_k(np.eye(4, dtype=np.float32), np.ones((2, 4), np.float32), 2, exclude=exclude)
    assert rows.tolist() == [[2, -1], [0, -1]]
    assert scores.tolist() == [[1, -np.inf], [1, -np.inf]]


@pytest.mark.parametrize("batch", [1, 6])
def test_allowed_rows(batch):
    matrix, queries = integers(0, 3100, 6), integers(1, batch, 6)
    for share in (0.0, 0.001, 0.5, 1.0):
        allowed = np.random.default_rng(2).random(3100) < share
        agree(top_k(matrix, queries, 9, allowed=allowed), reference(matrix, queries, 9, mask=allowed), scores=0)
    tiny = with_plan(TINY, matrix, queries, 9, allowed=jnp.asarray(allowed))
    agree(tiny, reference(matrix, queries, 9, mask=allowed), scores=0)


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 3100), (5, 3090), (64, 128), (100, 101), (31, 33), (2000, 2000), (3099, 3100), (7, 9999)]
)
@pytest.mark.parametrize("batch", [1, 6])
def test_a_range_of_rows(batch, start, stop):
    matrix, queries = integers(0, 3100, 6), integers(1, batch, 6)
    mask = (np.arange(3100) >= start) & (np.arange(3100) < stop)
    expected = reference(matrix, queries, 9, mask=mask)
    agree(top_k(matrix, queries, 9, start=start, stop=stop), expected, scores=0)
    agree(search_range(TINY, matrix, queries, jnp.int32(start), jnp.int32(stop)), expected, scores=0)


def test_all_restrictions_at_once():
    matrix, queries = integers(0, 3100, 6), integers(1, 300, 6)
    allowed = np.random.default_rng(2).random(3100) < 0.3
    exclude = np.random.default_rng(3).integers(-1, 2500, (300, 50)).astype(np.int32)
    mask = allowed & (np.arange(3100) >= 100) & (np.arange(3100) < 2500)
    found = top_k(matrix, queries, 30, exclude=exclude, allowed=allowed, start=100, stop=jnp.int32(2500), n_rows=2700)
    agree(found, reference(matrix, queries, 30, exclude=exclude, mask=mask), scores=0)


def test_only_the_first_rows():
    matrix, queries = integers(0, 3100, 6), integers(1, 5, 6)
    expected = reference(matrix[:1111], queries, 9)
    agree(top_k(matrix, queries, 9, n_rows=1111), expected, scores=0)
    agree(top_k(matrix, queries, 9, stop=1111), expected, scores=0)
    agree(top_k(matrix, queries, 9, n_rows=9999), reference(matrix, queries, 9), scores=0)


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
    agree(found, reference(matrix.astype(jnp.float32), queries.astype(jnp.float32), 12), scores=0)


def test_float32_queries_are_not_narrowed():
    matrix = jnp.asarray(integers(0, 500, 8), jnp.bfloat16)
    queries = normals(1, 9, 8)
    agree(top_k(matrix, queries, 5), reference(matrix.astype(jnp.float32), queries, 5))


# Inside other transformations


def test_vmap_over_queries_and_over_matrices():
    matrices, queries = integers(0, 4, 1500, 6), integers(1, 4, 3, 6)
    each = jax.vmap(partial(top_k, k=7))(matrices, queries)
    shared = jax.vmap(partial(top_k, k=7), in_axes=(None, 0))(matrices[0], queries)
    for i in range(4):
        agree([x[i] for x in each], reference(matrices[i], queries[i], 7), scores=0)
        agree([x[i] for x in shared], reference(matrices[0], queries[i], 7), scores=0)


def test_vmap_over_ranges():
    matrix, query = integers(0, 1500, 6), integers(1, 1, 6)
    starts = np.array([0, 10, 777], np.int32)
    found = jax.vmap(lambda start: top_k(matrix, query, 7, start=start, stop=start + 100))(starts)
    for i, start in enumerate(starts):
        mask = (np.arange(1500) >= start) & (np.arange(1500) < start + 100)
        agree([x[i] for x in found], reference(matrix, query, 7, mask=mask), scores=0)


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
    agree(merge_top_k(scores, found, 9), reference(matrix, queries, 9, mask=mask), scores=0)


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
    agree(merge_top_k(scores, jnp.concatenate(rows, axis=1), 9), reference(matrix, queries, 9), scores=0)


def test_merging_too_few_fills_up():
    scores, rows = merge_top_k(np.array([[1, -np.inf]], np.float32), np.array([[4, -1]], np.int32), 3)
    assert rows.tolist() == [[4, -1, -1]]
    assert scores.tolist() == [[1, -np.inf, -np.inf]]


# Errors


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": -1}, r"`k`: expected 0 or more, got -1"),
        ({"metric": "cos"}, r"`metric`: expected one of dot, cosine, euclidean, angular, got 'cos'"),
        ({"n_rows": -2}, r"`n_rows`: expected 0 or more, got -2"),
        ({"queries": np.ones((2, 4), np.float32)}, r"`queries`: .* matrix of shape \(6, 3\), got \(2, 4\)"),
        ({"inverse_norms": np.ones(6, np.float32)}, r"`inverse_norms`: expected None for the metric 'dot'"),
        (
            {"inverse_norms": np.ones(5, np.float32), "metric": "cosine"},
            r"`inverse_norms`: expected shape \(6,\), one entry a row, got \(5,\)",
        ),
        ({"allowed": np.ones(7, bool)}, r"`allowed`: expected shape \(6,\), one entry a row, got \(7,\)"),
        ({"exclude": np.ones((3, 1), np.int32)}, r"`exclude`: expected 2 rows, one for each query, got \(3, 1\)"),
    ],
)
def test_errors(as_users_see, change, message):
    arguments = {"matrix": np.ones((6, 3), np.float32), "queries": np.ones((2, 3), np.float32), "k": 1}
    with pytest.raises(ValueError, match=message):
        top_k(**arguments | change)
