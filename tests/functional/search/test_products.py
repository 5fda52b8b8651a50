"""3CosMul over storages of every kind: the answers of plain rows, and never all rows as floats."""

import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import ffjax
from ffjax.functional.search import out_of_core as blocks
from ffjax.functional.search import top_products
from ffjax.kernels.top_k.rows import COS_MUL
from tests.builders import embeddings, storage
from tests.functional.search.reference import agree, reference

DIMS = 12  # so that no two rows have the same codes
TERMS = np.random.default_rng(1).standard_normal((3, 5, DIMS)).astype(np.float32)
EXCLUDE = np.array([[0, 1, -1], [2, 3, 4], [-1, -1, -1], [199, 7, 7], [50, 60, 70]], np.int32)
CANDIDATES = {
    "all": None,
    "first": slice(0, 120),
    "range": slice(30, 120),
    "mask": np.arange(200) % 3 == 0,
    "list": np.array([150, 3, 3, 77, 20, 199]),
    "none": slice(0, 0),
}


def mul(store, *, k=7, rows=None, exclude=EXCLUDE):
    return top_products(store, TERMS, k, candidates=rows, exclude=exclude)


def check(found, store, *, k=7, rows=None, exclude=EXCLUDE):
    """Checks an answer of `mul` beside the definition, over the rows that codes stand for."""
    allowed = None if rows is None else np.arange(len(store))[rows]
    options = {"allowed": allowed, "exclude": exclude, "metric": COS_MUL}
    agree(found, reference(np.asarray(store), TERMS, k, **options), rtol=2e-5)


def pairs(*cases):
    """The cases, and all others of these storages as exhaustive ones."""
    kinds = dict.fromkeys(kind for kind, _ in cases)
    others = [(kind, name) for kind in kinds for name in CANDIDATES if (kind, name) not in cases]
    more = [pytest.param(*case, marks=pytest.mark.exhaustive) for case in others]
    return pytest.mark.parametrize(("kind", "name"), [*cases, *more])


@pairs(
    ("dense", "all"),
    ("dense", "list"),
    ("pq", "all"),
    ("pq", "mask"),
    ("opq", "range"),
    ("opq", "list"),
    ("pq_norms", "mask"),
    ("pq_norms", "none"),
    ("int8", "all"),
    ("int8", "first"),
)
def test_answers_are_those_of_plain_rows(kind, name):
    store, rows = storage(200, DIMS, kind=kind), CANDIDATES[name]
    check(mul(store, rows=rows), store, rows=rows)


@pytest.mark.parametrize("kind", ["opq", pytest.param("int8", marks=pytest.mark.exhaustive)])
def test_more_answers_than_rows(kind):
    store = storage(200, DIMS, kind=kind)
    check(mul(store, k=300, exclude=None), store, k=300, exclude=None)


def test_rows_alone_say_the_same():
    """Of a mask, of a list and of a slice."""
    store = storage(200, DIMS, kind="opq")
    for rows in (slice(30, 120), np.arange(40, 190)):
        mask = np.zeros(200, bool)
        mask[rows] = True
        check(mul(store, rows=rows), store, rows=rows)
        check(mul(store, rows=mask), store, rows=rows)


def test_ends_that_are_traced():
    store = storage(200, DIMS, kind="pq")
    found = jax.jit(lambda s, a, b: mul(s, rows=slice(a, b)))(store, jnp.int32(30), jnp.int32(120))
    check(found, store, rows=slice(30, 120))


@pytest.mark.devices
@pairs(
    ("dense", "all"),
    ("dense", "list"),
    ("opq", "range"),
    ("opq", "mask"),
    ("pq_norms", "first"),
    ("int8", "none"),
    ("int8", "list"),
)
def test_rows_that_are_divided_over_devices(kind, name):
    store = storage(200, DIMS, kind=kind)
    mesh = Mesh(np.array(jax.devices()[:8]).reshape(2, 4), ("queries", "rows"))
    divided = ffjax.ShardedArray(store, NamedSharding(mesh, PartitionSpec("rows")))
    rows = CANDIDATES[name]
    check(mul(divided, rows=rows), store, rows=rows)


@pairs(("dense", "all"), ("dense", "list"), ("dense", "mask"), ("opq", "range"), ("opq", "mask"))
def test_mapped_rows_are_searched_in_blocks(kind, name, tmp_path, monkeypatch):
    words = [f"word{i}" for i in range(200)]
    plain = ffjax.Embeddings(storage(200, DIMS, kind=kind), ffjax.SimpleVocab(words))
    plain.write(tmp_path / "x.fifu")
    mapped = ffjax.load(tmp_path / "x.fifu", mmap=True)
    assert mapped.storage.is_mapped
    module, sizes = sys.modules["ffjax.functional.search.api"], []
    read = blocks._search_block
    monkeypatch.setattr(
        blocks, "_search_block", lambda *a, **o: sizes.append(o["shape"][0]) or read(*a, **o)
    )
    monkeypatch.setattr(
        module, "search_out_of_core", partial(blocks.search_out_of_core, block_bytes=500)
    )
    rows = CANDIDATES[name]
    check(mul(mapped, rows=rows), plain.storage, rows=rows)
    if name in ("all", "mask"):
        assert len(sizes) > 1 and max(sizes) < 200


def test_composed_rows():
    words = ffjax.StringTable.from_strings([f"word{i}" for i in range(60)])
    own, ngrams = storage(60, DIMS, kind="pq"), storage(40, DIMS, seed=2)
    store = ffjax.ComposedArray(own, words, ngrams, ffjax.FastTextIndexer(40, 3, 4))
    check(mul(store, exclude=None), store, exclude=None)


@pytest.mark.parametrize(
    "kind",
    ["opq", "bfloat16", *(pytest.param(k, marks=pytest.mark.exhaustive) for k in ("pq", "int8"))],
)
def test_no_program_has_floats_of_all_rows(kind):
    rows, dims = 200_000, 64
    books = jnp.zeros((dims // 2, 256, 2), jnp.float32)
    codes = jnp.zeros((rows, dims // 2), jnp.uint8)
    store = {
        "pq": ffjax.QuantizedArray(ffjax.PQ(books), codes),
        "opq": ffjax.QuantizedArray(ffjax.PQ(books, jnp.eye(dims)), codes, jnp.ones(rows)),
        "int8": ffjax.Int8Array(jnp.zeros((rows, dims), jnp.int8), jnp.ones(rows)),
        "bfloat16": ffjax.NdArray(jnp.zeros((rows, dims), jnp.bfloat16)),
    }[kind]
    terms = jnp.ones((3, 4, dims))
    program = jax.jit(lambda s, t: top_products(s, t, 5).scores).lower(store, terms)
    assert program.compile().memory_analysis().temp_size_in_bytes < rows * dims * 4 // 2


@pytest.mark.parametrize("kind", ["pq_norms", "opq", "int8"])
def test_gradients_reach_what_codes_stand_for(kind):
    store = storage(200, DIMS, kind=kind)

    def best(store):
        return mul(store, k=2).scores.sum()

    gradient = jax.grad(best, allow_int=True)(store)
    leaves = [
        (x, g)
        for x, g in zip(*map(jax.tree.leaves, (store, gradient)), strict=True)
        if x.dtype == jnp.float32
    ]
    rng = np.random.default_rng(0)
    for number, (leaf, slope) in enumerate(leaves):
        way = leaf * jnp.asarray(rng.standard_normal(leaf.shape), jnp.float32)  # zeros stay zeros
        step = 1e-3

        def at(amount, number=number, leaf=leaf, way=way):
            tree, places = jax.tree.flatten(store)
            floats = [i for i, x in enumerate(tree) if x.dtype == jnp.float32]
            tree[floats[number]] = leaf + jnp.float32(amount) * way
            rows = np.asarray(jax.tree.unflatten(places, tree))
            return reference(rows, TERMS, 2, exclude=EXCLUDE, metric=COS_MUL)[0].sum()

        expected = (at(step) - at(-step)) / (2 * step)
        np.testing.assert_allclose((slope * way).sum(), expected, rtol=2e-2, atol=1e-2)


def test_the_methods_of_embeddings_answer_alike():
    emb = embeddings("buckets", "opq")
    given = emb.analogy("Paris", "Berlin", "a", k=3, method="3cosmul")
    expected = ffjax.reconstruct(emb).analogy("Paris", "Berlin", "a", k=3, method="3cosmul")
    assert [result.word for result in given] == [result.word for result in expected]
