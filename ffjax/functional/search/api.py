"""`top_k`: exact nearest rows of embeddings or of a storage."""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Integer

from ffjax._internal.arguments import array_of, whole_number
from ffjax._internal.arrays import AnyArray, is_symbolic, is_traced, pad_rows
from ffjax._internal.jax_compat import gathered
from ffjax._internal.symbolic import in_blocks
from ffjax.functional.search.arguments import (
    EmbeddingsLike,
    TopK,
    check_options,
    check_search,
    checked_k,
    row_filter,
    searched_rows,
)
from ffjax.functional.search.out_of_core import search_out_of_core
from ffjax.kernels.top_k.block_max import Answers, take_best
from ffjax.kernels.top_k.rows import COS_MUL, RowFilter
from ffjax.kernels.top_k.search import Plan, best_of_rows, no_answers, top_k_rows
from ffjax.kernels.top_k.tiling import Tiling, tiling_of
from ffjax.storage import ShardedArray, Storage
from ffjax.storage.explicit import takes_explicit
from ffjax.storage.row_subset import read_subset

_QUERIES = 1024  # queries whose rows are read from a file at a time


def top_k(
    embeddings: EmbeddingsLike | Storage,
    queries: Float[AnyArray, "*batch dims"],
    k: int,
    *,
    metric: str = "dot",
    exclude: Integer[AnyArray, "*batch n"] | None = None,
    candidates: Any = None,
    approximate: float | None = None,
    rerank: EmbeddingsLike | Storage | None = None,
    rerank_factor: int = 4,
) -> TopK:
    """The `k` rows most similar to each query, exactly, best first.

    Equal scores come in the order of the rows. Any batch, over any storage, takes bounded memory:
    rows are read, decoded and scored in chunks. Outside of `jit` a memory map is searched in
    blocks, each read while the one before it is searched, so a file may be larger than memory.
    Inside a caller's `jit` it is an argument of the program, as every array is. Gradients flow to
    the queries and to the rows that are answers.

    The metrics are those of finalfusion-rust (`similarity.rs`), where c is the cosine:

    - `"dot"`: the dot product, the cosine for vectors of unit length; longer rows score higher;
    - `"cosine"`: c, which is 0 where the row or the query is a zero vector;
    - `"angular"`: `1 - acos(c) / pi`, from 0 to 1;
    - `"euclidean"`: `1 - sqrt(2 - 2 c) / 2`, from 0 to 1: 1 minus half the distance between the
      unit vectors.

    The last three rank rows alike, by the cosine; ties are ties of the cosine. Cosines are right
    for rows and queries with norms from 1e-30 to 1e30, whose squares leave the range of float32.
    Products of float32 have its full precision on every backend, and all sums are float32. A row
    whose score is NaN is never an answer, and a query with NaN has none.

    Args:
        embeddings: embeddings, of which the words' rows are searched, or a storage, of which all
            rows are.
        queries: one or more vectors, shape `[*batch, dims]`.
        k: how many rows. If there are fewer, the rest is -1 with a score of minus infinity. The
            answer takes memory for `k` rows however few there are: 8 bytes for each row and query.
        metric: `"dot"`, `"cosine"`, `"euclidean"` or `"angular"`.
        exclude: rows to leave out for each query, padded with -1, shape `[*batch, n]`.
        candidates: the rows that may be answers, by default all: a `slice` or `range`, a mask
            (bool `[rows]`), or row numbers in any order, duplicates ignored. Answers are row
            numbers of the storage in any case. Inside `jit` the ends of a slice, the mask and the
            numbers may be traced; traced numbers out of range are ignored.
        approximate: the share of the best rows that is enough, above 0 and up to 1. On TPUs the
            search then uses `lax.approx_max_k`. It changes nothing on CPUs and GPUs, where that is
            slower than the exact search. `TopK.recall` says which it was. On CPUs search 8-bit rows
            and pass the exact ones as `rerank`, which halves the time of one query.
        rerank: embeddings or a storage of the same rows, such as those that codes were made from.
            The best `k * rerank_factor` rows of the search are scored by these rows, exactly, and
            the best `k` of them are the answer. Outside of `jit` only those rows of a memory map
            are read.
        rerank_factor: how many times `k` rows to rerank, at least 1.

    Returns:
        `TopK` with scores and rows of shape `[*batch, k]`.

    Raises:
        TypeError: if an argument has another type, such as queries that are not floats.
        ValueError: if `k` is negative, the metric is unknown, `approximate` or `rerank_factor` is
            out of range, `rerank` has other rows or dimensions, or shapes don't fit.
        IndexError: if a row number in `candidates` is out of range.

    Examples:
        >>> import ffjax, jax.numpy as jnp
        >>> storage = ffjax.NdArray(jnp.eye(3))
        >>> ffjax.top_k(storage, jnp.array([0.0, 0.5, 1.0]), k=2).rows.tolist()
        [2, 1]
        >>> query, candidates = jnp.array([0.0, 0.5, 1.0]), slice(0, 2)
        >>> ffjax.top_k(storage, query, k=2, candidates=candidates).rows.tolist()
        [1, 0]
    """
    storage, n_rows = searched_rows(embeddings)
    k = checked_k(k)
    what = f"one or more vectors of {storage.shape[1]} dimensions"
    queries = array_of("queries", queries, jnp.floating, what)
    if exclude is not None:
        what = "row numbers for each query, padded with -1"
        exclude = array_of("exclude", exclude, jnp.integer, what)
    check_search(storage, queries, metric)
    check_options(np.shape(queries), exclude, approximate)
    exact = _check_rerank(rerank, storage, n_rows)
    factor = whole_number("rerank_factor", rerank_factor, 1)
    batch = queries.shape[:-1]
    queries = queries.reshape(-1, queries.shape[-1])
    if exclude is not None:
        exclude = exclude.reshape(queries.shape[0], exclude.shape[-1])
    allowed = row_filter(candidates, exclude, n_rows)
    tiling = eager_tiling(storage, queries, allowed, exact)
    n = k if exact is None else max(k, min(k * factor, n_rows))
    plan = Plan(n, metric, tiling, approximate)
    scores, rows, recall = search(storage, queries, allowed, n_rows, plan)
    if exact is not None:
        read = tiling is not None and _is_out_of_core(exact)
        rerank_by = _read_and_rerank if read else _rerank_rows
        scores, rows = rerank_by(exact, queries, rows, plan._replace(k=k, recall=None))
    return TopK(scores.reshape(*batch, k), rows.reshape(*batch, k), recall)


def top_products(
    embeddings: EmbeddingsLike | Storage,
    vectors: AnyArray,
    k: int,
    *,
    exclude: AnyArray | None = None,
    candidates: Any = None,
) -> TopK:
    """As `top_k`, by the scores of 3CosMul for vectors of a, b and c."""
    storage, n_rows = searched_rows(embeddings)
    queries = jnp.moveaxis(jnp.asarray(vectors), 0, 1)
    allowed = row_filter(candidates, exclude, n_rows)
    tiling = eager_tiling(storage, queries, allowed)
    return TopK(*search(storage, queries, allowed, n_rows, Plan(checked_k(k), COS_MUL, tiling)))


def search(
    storage: Storage, queries: Any, row_filter: RowFilter, n_rows: int, plan: Plan
) -> tuple[Array, Array, float]:
    """Scores, rows and recall of the search that suits where the rows are."""
    if jax.default_backend() != "tpu":
        plan = plan._replace(recall=None)  # `approx_max_k` would sort
    if is_symbolic(queries):
        exclude: list[Any] = [] if row_filter.exclude is None else [row_filter.exclude]

        def of_block(queries: Array, exclude: Array | None = None) -> Answers:
            block_filter = row_filter._replace(exclude=exclude)
            return search_on_device(storage, queries, block_filter, n_rows, plan)

        return *in_blocks(of_block, queries, *exclude), 1.0
    eager = plan.tiling is not None
    if eager and _is_divided(storage):
        storage = ShardedArray(storage, getattr(storage, storage.row_arrays[0]).sharding)
    if eager and _is_out_of_core(storage):
        return *search_out_of_core(storage, queries, row_filter, n_rows, plan), 1.0
    answers = search_on_device(storage, queries, row_filter, n_rows, plan)
    return *answers, 1.0 if plan.recall is None else plan.recall


def eager_tiling(*trees: Any) -> Tiling | None:
    """The tiling for arguments of a search, or `None` if one of them is traced."""
    return None if is_traced(trees) else tiling_of(jax.tree.leaves(trees))


@partial(jax.jit, static_argnames=("n_rows", "plan"))
@takes_explicit
def search_on_device(
    storage: Storage, queries: Array, row_filter: RowFilter, n_rows: int, plan: Plan
) -> Answers:
    """`top_k_rows` of the first `n_rows` rows of a storage."""
    if isinstance(storage, ShardedArray):
        return _search_sharded(storage, queries, row_filter, n_rows, plan)
    return top_k_rows(storage.row_source(n_rows), queries, row_filter, plan)


def _search_sharded(
    storage: ShardedArray, queries: Array, row_filter: RowFilter, n_rows: int, plan: Plan
) -> Answers:
    """Searches rows divided over some axes of a mesh; its other axes divide the queries.

    Each device searches its own rows, since the partitioner divides a top-k over a sharded axis
    badly (https://github.com/jax-ml/jax/issues/19271). Candidates are gathered in the order of the
    devices and so of the rows: among equal scores the lower row stays first.
    """
    k, batch, n_padded = plan.k, queries.shape[0], len(storage.padded)
    if batch == 0 or k == 0:
        return no_answers(batch, k)
    start, stop, exclude = row_filter.start, row_filter.stop, row_filter.exclude
    limited = n_padded != n_rows or stop is not None
    first_row = jnp.int32(0) if start is None else jnp.asarray(start)
    stop_row = jnp.int32(n_rows) if stop is None else jnp.minimum(stop, n_rows)
    ends = jnp.stack([first_row, stop_row])
    missing = -batch % math.prod(storage.mesh.shape[axis] for axis in storage.spare_axes)
    queries, exclude = jax.tree.map(lambda x: pad_rows(x, missing), (queries, exclude))

    def local(
        shard: Storage, mask: Array | None, queries: Array, exclude: Array | None, ends: Array
    ) -> Answers:
        size = len(shard)
        first = storage.first(size)
        local_start, local_stop = (jnp.clip(end - first, 0, size) for end in ends)
        if exclude is not None:
            inside = (exclude >= first) & (exclude < first + size)
            exclude = jnp.where(inside, exclude - first, -1)
        local_start = None if start is None else local_start
        local_stop = local_stop if limited else None
        local_filter = RowFilter(local_start, local_stop, mask, exclude=exclude)
        local_plan = plan._replace(k=min(k, size)) if storage.axes else plan
        scores, rows = top_k_rows(shard.row_source(size), queries, local_filter, local_plan)
        rows = jnp.where(rows < 0, -1, rows + first)
        if not storage.axes:
            return scores, rows
        scores, rows = (gathered(x, storage.axes, n_padded // size) for x in (scores, rows))
        return take_best(scores, rows, k)

    by_rows, by_queries = PartitionSpec(storage.axes), PartitionSpec(storage.spare_axes)
    in_specs = (storage.specs, by_rows, by_queries, by_queries, PartitionSpec())
    mask = row_filter.mask
    if mask is not None:
        mask = jnp.pad(mask, (0, n_padded - n_rows))
    if row_filter.ids is not None:  # rows stay where they are, so a list of rows becomes a mask
        ids = jnp.asarray(row_filter.ids)
        ids = jnp.where((ids < 0) | (ids >= n_rows), n_padded, ids)
        mask = jnp.zeros(n_padded, bool).at[ids].set(True, mode="drop")
    search_shards = storage.on_each(local, in_specs, by_queries)
    scores, rows = search_shards(storage.padded, mask, queries, exclude, ends)
    if storage.spare_axes:
        # So that each process has all answers.
        everywhere = NamedSharding(storage.mesh, PartitionSpec())
        scores, rows = lax.with_sharding_constraint((scores, rows), everywhere)
    return scores[:batch], rows[:batch]


def _is_out_of_core(storage: Storage) -> bool:
    """Whether, outside of `jit`, rows are read or composed as they are needed."""
    composed = not storage.row_arrays and not storage.is_divided
    return composed or storage.is_mapped


def _is_divided(storage: Storage) -> bool:
    """Whether the sharding of plain arrays divides the rows over devices."""
    first = getattr(storage, storage.row_arrays[0]) if storage.row_arrays else None
    sharding = first.sharding if isinstance(first, jax.Array) else None
    if not isinstance(sharding, NamedSharding) or len(sharding.device_set) == 1:
        return False
    spec = tuple(sharding.spec)
    return bool(spec) and spec[0] is not None and not any(spec[1:])


def _check_rerank(rerank: Any, storage: Storage, n_rows: int) -> Storage | None:
    """The storage to rerank by, if any, with the same rows and dimensions."""
    if rerank is None:
        return None
    if isinstance(rerank, Storage):
        exact, same_rows = rerank, len(rerank) in (n_rows, len(storage))
    elif isinstance(rerank, EmbeddingsLike):
        exact, same_rows = rerank.storage, rerank.vocab.n_word_rows == n_rows
    else:
        raise TypeError(f"`rerank`: expected embeddings or a storage, got {type(rerank).__name__}.")
    if not same_rows or exact.shape[1] != storage.shape[1]:
        raise ValueError(
            f"`rerank`: expected the same rows, {n_rows} of {storage.shape[1]} dimensions, got "
            f"{exact!r}. It must have a row for each row that is searched."
        )
    return exact


@partial(jax.jit, static_argnames="plan")
@takes_explicit
def _rerank_rows(exact: Storage, queries: Array, rows: Array, plan: Plan) -> Answers:
    """The best `k` of some rows, `(scores, rows)`, equal scores in the order of the rows."""
    return best_of_rows(exact.row_source(len(exact)), queries, rows, plan)


def _read_and_rerank(exact: Storage, queries: Any, rows: Array, plan: Plan) -> Answers:
    """As `_rerank_rows`, outside of `jit`: reads only the rows listed, once for many queries."""
    starts = range(0, max(1, queries.shape[0]), _QUERIES)
    blocks = [slice(start, start + _QUERIES) for start in starts]
    answers = []
    for block in blocks:
        subset, ids, positions = read_subset(exact, np.asarray(rows[block]))
        scores, best = _rerank_rows(subset, queries[block], jnp.asarray(positions), plan)
        ids = np.append(ids, -1).astype(np.int32)  # -1, no row: the last
        answers.append((scores, jnp.asarray(ids[np.asarray(best)])))
    scores, best = (jnp.concatenate(both) for both in zip(*answers, strict=True))
    return scores, best
