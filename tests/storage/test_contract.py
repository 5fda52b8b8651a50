"""What every storage promises, over all storages and one that the library does not know."""


import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

import ffjax
from ffjax._internal.pytree import replace
from ffjax.storage.dense import unplaced
from tests.builders import WORDS, storage, vocab
from tests.functional.search.reference import agree, reference
from tests.toy import LowRankArray, ToyArray

ROWS, DIMS = 47, 6  # the ten words and the 37 buckets of `vocab("fasttext")`
RNG = np.random.default_rng(7)
QUERIES = RNG.standard_normal((3, DIMS)).astype(np.float32)
IDS = np.array([[0, ROWS - 1], [3, 3]], np.int32)
SLOTS = np.array([[0, 8, -1], [-1, -1, -1], [2, 2, 2]], np.int32)


def toy(rows: int = ROWS) -> ToyArray:
    matrix = np.random.default_rng(1).standard_normal((rows, DIMS)).astype(np.float16)
    return ToyArray(jnp.asarray(matrix), jnp.full(1, 0.5, jnp.float32))


def low_rank() -> LowRankArray:
    codes, basis = storage(ROWS, 3).matrix, storage(3, DIMS, seed=2).matrix
    return LowRankArray(codes, basis)


def composed() -> ffjax.ComposedArray:
    table, indexer = vocab("fasttext").table, vocab("fasttext").subword_indexer
    return ffjax.ComposedArray(storage(len(WORDS)), table, storage(37, seed=2), indexer)


def narrow() -> ffjax.NdArray:
    return ffjax.NdArray(storage(ROWS).matrix.astype(jnp.bfloat16))


def sharded(stored: ffjax.Storage) -> ffjax.ShardedArray:
    mesh = jax.make_mesh((jax.device_count(),), ("rows",))
    return ffjax.ShardedArray(stored, NamedSharding(mesh, PartitionSpec("rows")))


def cut() -> ffjax.QuantizedArray:
    """The last centroids stand for one dimension less."""
    codebooks = np.random.default_rng(3).standard_normal((2, 8, 4)).astype(np.float32)
    codes = np.random.default_rng(4).integers(0, 8, (ROWS, 2)).astype(np.uint8)
    return ffjax.QuantizedArray(ffjax.PQ(codebooks, dims=DIMS), codes)


STORAGES = {
    "dense": lambda: storage(ROWS),
    "bfloat16": narrow,
    "int8": lambda: storage(ROWS, kind="int8"),
    "pq": lambda: storage(ROWS, kind="pq"),
    "opq": lambda: storage(ROWS, kind="opq"),
    "pq_norms": lambda: storage(ROWS, kind="pq_norms"),
    "cut": cut,
    "composed": composed,
    "sharded": lambda: sharded(storage(ROWS)),
    "toy": toy,
}
KINDS = list(STORAGES)
# Storages whose rows lie in arrays: maps of them are storages too.
IN_ARRAYS = ["dense", "bfloat16", "int8", "opq", "pq_norms", "toy"]

gather = jax.jit(lambda stored, ids: stored.gather(ids))
gather_sum = jax.jit(lambda stored, ids: stored.gather_sum(ids))


@pytest.fixture(scope="module", params=KINDS)
def stored(request) -> ffjax.Storage:
    return STORAGES[request.param]()


@pytest.fixture(scope="module", params=IN_ARRAYS)
def in_arrays(request) -> ffjax.Storage:
    return STORAGES[request.param]()


def definition(stored: ffjax.Storage) -> np.ndarray:
    """All rows, by the definition of each storage."""
    if isinstance(stored, ffjax.NdArray):
        return np.asarray(stored.matrix).astype(np.float32)
    if isinstance(stored, ffjax.Int8Array):
        return np.asarray(stored.codes).astype(np.float32) * np.asarray(stored.scales)[:, None]
    if isinstance(stored, ToyArray):
        return np.asarray(stored.rows).astype(np.float32) * np.asarray(stored.constant)
    if isinstance(stored, ffjax.ShardedArray):
        return definition(stored.padded)[: len(stored)]
    if isinstance(stored, ffjax.ComposedArray):
        ngrams = definition(stored.ngrams)
        rows = []
        for own, word in zip(definition(stored.word_rows), stored.table.strings, strict=True):
            buckets = stored.indexer.subword_indices(word)
            mean = (own + ngrams[buckets].sum(0)) / (1 + len(buckets))
            rows.append(mean / np.linalg.norm(mean))
        return np.concatenate([rows, ngrams])
    codebooks, codes = np.asarray(stored.codebooks), np.asarray(stored.codes)
    rows = np.concatenate(codebooks[np.arange(codes.shape[1]), codes].transpose(1, 0, 2), axis=-1)
    rows = rows[:, : stored.shape[1]]
    if stored.projection is not None:
        rows = rows @ np.asarray(stored.projection).T
    return rows if stored.norms is None else rows * np.asarray(stored.norms)[:, None]


def mapped(stored: ffjax.Storage, folder) -> ffjax.Storage:
    """The storage with its row arrays in files, a few bytes after their beginning."""
    fields = {}
    for name in stored.row_arrays:
        array = getattr(stored, name)
        if array is not None:
            array = np.asarray(array)
            (folder / name).write_bytes(b"1234" + array.tobytes())
            fields[name] = np.memmap(folder / name, array.dtype, "r", 4, array.shape)
    return replace(stored, **fields)


# Reading


def test_rows_and_sums_are_those_of_the_definition(stored):
    rows = definition(stored)
    np.testing.assert_allclose(gather(stored, IDS), rows[IDS], atol=1e-5)
    clipped = gather(stored, np.array([[-5, 99], [0, 1]], np.int32))
    np.testing.assert_allclose(clipped, rows[[[0, -1], [0, 1]]], atol=1e-5)
    expected = np.stack([rows[0] + rows[8], np.zeros(DIMS), 3 * rows[2]])
    sums = gather_sum(stored, SLOTS)
    assert sums.dtype == np.float32
    np.testing.assert_allclose(sums, expected, atol=1e-4)
    np.testing.assert_allclose(gather_sum(stored, IDS), rows[IDS].sum(1), atol=1e-4)


@pytest.mark.parametrize("kind", ["dense", "opq"])
def test_eager_equals_jit_equals_vmap(kind):
    stored, ids = STORAGES[kind](), jnp.asarray(IDS)
    np.testing.assert_allclose(stored.gather(ids), gather(stored, ids), atol=1e-6)
    np.testing.assert_allclose(jax.vmap(stored.gather)(ids), gather(stored, ids), atol=1e-6)
    np.testing.assert_allclose(stored.gather_sum(ids), gather_sum(stored, ids), atol=1e-6)
    assert stored.gather(jnp.zeros(0, jnp.int32)).shape == (0, DIMS)
    assert stored.gather_sum(jnp.zeros((2, 0), jnp.int32)).tolist() == [[0.0] * DIMS] * 2


def test_host_indexing(stored):
    rows = definition(stored)
    mask = np.arange(ROWS) % 5 == 1
    keys = [0, -1, np.int64(3), slice(2, 5), slice(None), slice(9, 1, -3), slice(5, 5)]
    keys += [[1, 1], np.array([[0, 1], [2, -3]]), np.array([7], np.uint8), mask]
    assert stored.embedding([]).shape == (0, DIMS)
    for key in keys:
        expected = rows[key]
        answer = stored.embedding(key)
        assert answer.shape == expected.shape and answer.dtype == stored.dtype
        np.testing.assert_allclose(answer.astype(np.float32), expected, atol=1e-5)
        answer[...] = 0  # the caller's own
        out = np.ones_like(answer)
        assert stored.embedding(key, out=out) is out
        np.testing.assert_allclose(out.astype(np.float32), expected, atol=1e-5)
        wide = np.ones(answer.shape, np.float64)
        np.testing.assert_allclose(stored.embedding(key, out=wide), expected, atol=1e-5)
        if isinstance(key, slice):
            assert isinstance(stored[key], ffjax.Storage)
        np.testing.assert_allclose(np.asarray(stored[key]).astype(np.float32), expected, atol=1e-5)


def test_as_an_array_and_row_by_row(stored):
    rows = definition(stored)
    np.testing.assert_allclose(np.asarray(stored).astype(np.float32), rows, atol=1e-5)
    np.testing.assert_allclose([np.float32(row) for row in stored], rows, atol=1e-5)
    assert np.array(stored).flags.writeable
    if stored.host_matrix() is None:
        with pytest.raises(ValueError, match="`copy`: expected True or None, since a"):
            np.asarray(stored, copy=False)
    else:
        assert np.shares_memory(np.asarray(stored, copy=False), stored.host_matrix())
    assert len(stored) == ROWS and stored.shape == (ROWS, DIMS)
    assert stored.nbytes == sum(leaf.nbytes for leaf in jax.tree.leaves(stored))
    is_divided = isinstance(stored, ffjax.ShardedArray) and jax.device_count() > 1
    assert stored.on_host != is_divided and not stored.is_mapped
    assert repr(stored).startswith(f"{type(stored).__name__}({ROWS} x {DIMS}")


@pytest.mark.usefixtures("as_users_see")
def test_keys_and_outputs_that_do_not_fit(stored):
    for key in (None, (1, 0), 1.5, "tea"):
        with pytest.raises(TypeError, match="`key`: expected a row number, a slice, or an array"):
            stored.embedding(key)
    for key in (ROWS, -ROWS - 1, [0, ROWS]):
        with pytest.raises(IndexError, match=f"expected -{ROWS} to {ROWS - 1}, got"):
            stored[key]
    for out in (np.empty((2, 3), np.float32), np.empty(DIMS, np.int32)):
        with pytest.raises(ValueError, match=r"`out`: expected shape \(6,\) of floats, got"):
            stored.embedding(0, out)
    with pytest.raises(TypeError, match="`out`: expected a NumPy array to write to, got list"):
        stored.embedding(0, [0.0] * DIMS)


def test_blocks_are_the_rows_in_order(stored):
    rows = definition(stored)
    starts, blocks = zip(*stored.row_blocks(3, 40, rows=16), strict=True)
    assert starts == (3, 19, 35) and all(block.dtype == np.float32 for block in blocks)
    np.testing.assert_allclose(np.concatenate(blocks), rows[3:40], atol=1e-5)
    assert len(list(stored.row_blocks())) == 1


def test_rows_that_are_not_finite_are_named():
    matrix = np.array(storage(ROWS).matrix)
    matrix[33, 2] = np.nan
    stored = unplaced(matrix)
    blocks = stored.row_blocks(rows=16, finite="row {}".format)
    with pytest.raises(ValueError, match="expected finite numbers, got NaN or infinity in row 33"):
        list(blocks)


# Other storages


def test_taking_slicing_and_adding_rows(stored):
    rows = definition(stored)
    ids = np.array([5, 46, 5, 0])
    np.testing.assert_allclose(definition(stored.take(ids)), rows[ids], atol=1e-5)
    np.testing.assert_allclose(definition(stored[4:30:5]), rows[4:30:5], atol=1e-5)
    new = rows[:2]
    if isinstance(stored, ffjax.QuantizedArray):
        with pytest.raises(TypeError, match="expected rows of plain numbers, got quantized ones"):
            stored.concat(new)
        return
    tolerance = 0.02  # rows of 8 bits are rounded
    for at, expected in ((None, [rows, new]), (10, [rows[:10], new, rows[10:]])):
        more = np.asarray(stored.concat(new.astype(stored.dtype), at)).astype(np.float32)
        np.testing.assert_allclose(more, np.concatenate(expected), atol=tolerance)


def test_snapshots_bring_back_the_same(stored):
    emb = ffjax.Embeddings(stored, vocab("fasttext"))
    again = ffjax.from_bytes(ffjax.to_bytes(emb))
    whole = stored[:] if isinstance(stored, ffjax.ShardedArray) else stored
    assert type(again.storage) is type(whole) and again.storage == whole


def test_equality_is_that_of_type_and_arrays(stored):
    again = jax.tree.map(lambda leaf: leaf, stored)
    assert again == stored and stored != stored[:5] and stored != "rows"
    assert stored != jax.tree.map(lambda leaf: leaf + leaf.dtype.type(1), stored)
    with pytest.raises(TypeError, match="unhashable"):
        hash(stored)


# Search

FILTERS = {
    "dot": (slice(5, 40), np.arange(5, 40)),
    "cosine": (None, None),
    "euclidean": (np.arange(ROWS) % 3 == 0, np.arange(0, ROWS, 3)),
    "angular": ([40, 3, 9, 21, 3], [3, 9, 21, 40]),
}


# Every kind, every metric with its filter, and all metrics over the toy storage.
SEARCHES = [
    *(("toy", metric) for metric in FILTERS),
    *(("dense", "dot"), ("bfloat16", "cosine"), ("int8", "angular"), ("pq", "euclidean")),
    *(("opq", "dot"), ("opq", "cosine"), ("pq_norms", "dot"), ("pq_norms", "cosine")),
    *(("cut", "cosine"), ("composed", "dot"), ("sharded", "dot")),
]


@pytest.mark.parametrize(("kind", "metric"), SEARCHES)
def test_search(kind, metric):
    stored = STORAGES[kind]()
    candidates, allowed = FILTERS[metric]
    expected = reference(definition(stored), QUERIES, 4, metric=metric, allowed=allowed)
    answer = ffjax.top_k(stored, QUERIES, 4, metric=metric, candidates=candidates)
    agree(answer, expected, atol=1e-5)


def test_maps_are_read_and_searched_out_of_core(in_arrays, tmp_path):
    on_disk, rows = mapped(in_arrays, tmp_path), definition(in_arrays)
    assert on_disk.is_mapped and on_disk[3:9].is_mapped and on_disk == in_arrays
    ends = on_disk.embedding([0, -1]).astype(np.float32)
    np.testing.assert_allclose(ends, rows[[0, -1]], atol=1e-5)
    assert not on_disk.take(np.arange(3)).is_mapped
    for candidates, allowed in (FILTERS["dot"], FILTERS["cosine"]):
        answer = ffjax.top_k(on_disk, QUERIES, 4, candidates=candidates)
        agree(answer, reference(rows, QUERIES, 4, allowed=allowed), atol=1e-5)


@pytest.mark.devices
def test_rows_are_divided_over_devices(in_arrays):
    divided, rows = sharded(in_arrays), definition(in_arrays)
    np.testing.assert_allclose(gather(divided, IDS), rows[IDS], atol=1e-5)
    np.testing.assert_allclose(gather_sum(divided, IDS), rows[IDS].sum(1), atol=1e-4)
    candidates, allowed = FILTERS["dot"]
    answer = ffjax.top_k(divided, QUERIES, 4, candidates=candidates)
    agree(answer, reference(rows, QUERIES, 4, allowed=allowed), atol=1e-5)
    assert divided[:] == in_arrays and divided.take(np.arange(3)) == in_arrays.take(np.arange(3))
