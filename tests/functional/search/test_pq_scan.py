"""Search of codes: the answers of a search of the rows that they stand for, decoded."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ffjax
from tests.functional.search.reference import agree, integers, normals, reference

exhaustive = pytest.mark.exhaustive


def of_cosine(scores, metric):
    """The metrics as `ffjax.top_k` defines them."""
    cosine = np.clip(scores, -1, 1)
    changed = {
        "angular": 1 - np.arccos(cosine) / np.pi,
        "euclidean": 1 - np.sqrt(2 - 2 * cosine) / 2,
    }
    return np.where(scores == -np.inf, -np.inf, changed.get(metric, scores))


def codes(kind, n_rows=1003, dims=12, each=3, seed=0):
    """Random codes; `skewed` has a projection that is not a rotation, `zeros` has zero rows."""
    rng = np.random.default_rng(seed)
    books = rng.standard_normal((dims // each, 16, each)).astype(np.float32)
    numbers = rng.integers(0, 16, (n_rows, dims // each)).astype(np.uint8)
    projection = None
    if kind.startswith("opq"):
        projection = np.linalg.qr(rng.standard_normal((dims, dims)))[0].astype(np.float32)
    if kind == "skewed":
        projection = rng.standard_normal((dims, dims)).astype(np.float32)
    if kind == "zeros":
        books[:, 0] = 0
        numbers[::5] = 0
    norms = rng.uniform(0.5, 2, n_rows).astype(np.float32) if kind.endswith("norms") else None
    return ffjax.QuantizedArray(ffjax.PQ(books, projection), numbers, norms)


def exact_codes(kind, n_rows=1003):
    """Codes of small integers: many rows tie, exactly, after a projection of integers too."""
    rng = np.random.default_rng(0)
    books = rng.integers(-2, 3, (3, 4, 2)).astype(np.float32)
    projections = {
        "opq": np.eye(6)[[3, 0, 5, 1, 4, 2]] * [1, -1, 1, 1, -1, 1],
        "skewed": rng.integers(-2, 3, (6, 6)),
    }
    projection = projections.get(kind)
    numbers = rng.integers(0, 4, (n_rows, 3)).astype(np.uint8)
    return ffjax.QuantizedArray(
        ffjax.PQ(books, None if projection is None else projection.astype(np.float32)), numbers
    )


METRICS = [
    ("pq", "dot", 2),
    ("pq", "cosine", 40),
    ("opq", "dot", 40),
    ("opq", "cosine", 2),
    ("skewed", "dot", 2),
    ("skewed", "cosine", 40),
    ("norms", "dot", 40),
    ("norms", "cosine", 2),
    ("opq_norms", "dot", 2),
    ("opq_norms", "cosine", 40),
    ("zeros", "dot", 40),
    ("zeros", "cosine", 2),
    ("opq", "angular", 40),
    ("pq", "euclidean", 2),
]
MORE_METRICS = [
    pytest.param(kind, metric, 42 - batch, marks=exhaustive) for kind, metric, batch in METRICS
]


@pytest.mark.parametrize(("kind", "metric", "batch"), [*METRICS, *MORE_METRICS])
def test_every_metric(kind, metric, batch):
    stored, queries = codes(kind), normals(1, batch, 12)
    ranked_by = "dot" if metric == "dot" else "cosine"
    scores, rows = reference(np.asarray(stored), queries, 9, metric=ranked_by)
    found = ffjax.top_k(stored, queries, 9, metric=metric)
    np.testing.assert_allclose(found.scores, of_cosine(scores, metric), atol=2e-5)
    # Rows of equal codes and different norms have cosines that are equal up to rounding alone.
    if metric == "dot" or not kind.endswith("norms"):
        np.testing.assert_array_equal(found.rows, rows)


TIES = [
    ("pq", 1, 300),
    ("pq", 2, 2000),
    ("pq", 40, 1),
    ("opq", 1, 2000),
    ("opq", 2, 1),
    ("opq", 40, 300),
    ("skewed", 1, 1),
    ("skewed", 2, 300),
    ("skewed", 40, 2000),
]
MORE_TIES = [
    pytest.param(kind, batch, k, marks=exhaustive)
    for kind in ("pq", "opq", "skewed")
    for batch in (1, 2, 40)
    for k in (1, 300, 2000)
    if (kind, batch, k) not in TIES
]


@pytest.mark.parametrize(("kind", "batch", "k"), [*TIES, *MORE_TIES])
def test_ties_come_in_the_order_of_rows(kind, batch, k):
    stored, queries = exact_codes(kind), integers(1, batch, 6)
    agree(ffjax.top_k(stored, queries, k), reference(np.asarray(stored), queries, k))


CANDIDATES = {
    "mask": (np.arange(1003) % 7 == 0, np.arange(0, 1003, 7)),
    "list": (np.array([900, 3, 3, 1002, 400, 251]), np.array([900, 3, 1002, 400, 251])),
    "range": (slice(200, 803), np.arange(200, 803)),
}


@pytest.mark.parametrize(
    ("kind", "batch", "name"),
    [
        ("pq", 1, "mask"),
        ("pq", 1, "list"),
        ("opq", 1, "range"),
        ("opq", 1, "list"),
        ("skewed", 7, "mask"),
        ("skewed", 7, "range"),
        pytest.param("pq", 1, "range", marks=exhaustive),
        pytest.param("opq", 1, "mask", marks=exhaustive),
        pytest.param("skewed", 7, "list", marks=exhaustive),
    ],
)
def test_only_some_rows(kind, batch, name):
    stored, queries, (candidates, allowed) = (
        exact_codes(kind),
        integers(1, batch, 6),
        CANDIDATES[name],
    )
    exclude = np.tile(np.array([0, 420, 1002, -1], np.int32), (batch, 1))
    found = ffjax.top_k(stored, queries, 5, candidates=candidates, exclude=exclude)
    expected = reference(np.asarray(stored), queries, 5, allowed=allowed, exclude=exclude)
    agree(found, expected)


def test_nothing_to_search():
    stored, queries = exact_codes("pq"), integers(1, 7, 6)
    assert (ffjax.top_k(stored, queries, 5, candidates=[]).rows == -1).all()
    assert ffjax.top_k(stored, queries[:0], 5).rows.shape == (0, 5)


@pytest.mark.parametrize(
    ("batch", "metric"),
    [
        (1, "dot"),
        (5, "cosine"),
        pytest.param(1, "cosine", marks=exhaustive),
        pytest.param(5, "dot", marks=exhaustive),
    ],
)
def test_nan_is_never_an_answer(batch, metric):
    stored = codes("opq")
    codebooks = np.array(stored.codebooks)
    codebooks[0, 3] = np.nan
    stored = ffjax.QuantizedArray(ffjax.PQ(codebooks, stored.projection), stored.codes)
    queries = normals(1, batch, 12)
    queries[-1, 2] = np.nan
    found = ffjax.top_k(stored, queries, 9, metric=metric)
    agree(found, reference(np.asarray(stored), queries, 9, metric=metric), atol=2e-5)


@pytest.mark.parametrize(
    ("kind", "metric"),
    [
        ("pq", "dot"),
        ("opq_norms", "cosine"),
        ("skewed", "dot"),
        pytest.param("pq", "cosine", marks=exhaustive),
        pytest.param("opq_norms", "dot", marks=exhaustive),
        pytest.param("skewed", "cosine", marks=exhaustive),
    ],
)
def test_codes_in_a_map(kind, metric, tmp_path):
    stored, queries = codes(kind), normals(1, 2, 12)
    emb = ffjax.Embeddings(stored, ffjax.SimpleVocab([f"w{i}" for i in range(1003)]))
    emb.write(tmp_path / "x.fifu")
    mapped = ffjax.load(tmp_path / "x.fifu", mmap=True)
    assert isinstance(mapped.storage.codes, np.memmap)
    expected, _ = reference(np.asarray(stored), queries, 9, metric=metric)
    found = ffjax.top_k(mapped, queries, 9, metric=metric)
    np.testing.assert_allclose(found.scores, expected, atol=2e-6)


def test_the_rows_are_never_decoded_as_a_whole_and_never_rotated():
    stored, queries = codes("opq", 100_000), jax.ShapeDtypeStruct((40, 12), jnp.float32)
    text = jax.jit(lambda s, q: ffjax.top_k(s, q, 9)).lower(stored, queries).compile().as_text()
    assert "u8[100000,4]" in text
    assert "f32[100000" not in text
    products = [line for line in text.splitlines() if "dot(" in line and "f32[12,12]" in line]
    assert all("f32[40,12]" in line.split("=")[1] for line in products), products


@pytest.mark.parametrize(
    ("kind", "metric"),
    [("pq", "dot"), ("opq_norms", "dot"), ("opq", "cosine"), ("skewed", "cosine")],
)
def test_gradients_are_those_of_the_decoded_rows(kind, metric):
    stored, queries = codes(kind, 100), normals(1, 3, 12)
    _, rows = reference(np.asarray(stored), queries, 4, metric=metric)

    def searched(stored, queries):
        return (ffjax.top_k(stored, queries, 4, metric=metric).scores ** 2).sum()

    def decoded(stored, queries):
        found = stored.gather(rows)
        if metric == "cosine":
            queries, found = ffjax.normalize(queries)[0], ffjax.normalize(found)[0]
        return (jnp.einsum("bd,bkd->bk", queries, found) ** 2).sum()

    ours, expected = (
        jax.jit(jax.grad(of, argnums=(0, 1), allow_int=True))(stored, queries)
        for of in (searched, decoded)
    )
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(expected), strict=True):
        if one.dtype != jax.dtypes.float0:
            np.testing.assert_allclose(one, other, atol=1e-4)
