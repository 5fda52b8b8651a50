"""Projections to two dimensions: UMAP beside the reference implementation, principal components."""

import sys

import jax
import numpy as np
import pytest

from ffjax.kernels.normalize import to_unit
from ffjax.transforms.projection import N_NEIGHBORS, fuzzy_graph, nearest_words, plane

N = 400
RNG = np.random.default_rng(3)
CENTERS = RNG.normal(size=(4, 10)) * 3
GROUPS = RNG.integers(0, 4, N)
VECTORS = to_unit((CENTERS[GROUPS] + RNG.normal(size=(N, 10))).astype(np.float32))


def quiet(count, total):
    pass


@pytest.fixture(scope="module")
def neighbors():
    return nearest_words(VECTORS, 20, quiet)


def trustworthiness(vectors, positions, k, samples):
    """By how much neighbours in the plane are neighbours of the vectors (Venna and Kaski, 2001)."""
    n, lost = len(vectors), 0.0
    for i in samples:
        distances = ((positions - positions[i]) ** 2).sum(1)
        distances[i] = np.inf
        cosines = vectors @ vectors[i]
        cosines[i] = -np.inf
        for j in np.argpartition(distances, k)[:k]:
            lost += max(0, (cosines > cosines[j]).sum() + 1 - k)
    return 1 - 2 * lost / (len(samples) * k * (2 * n - 3 * k - 1))


def test_umap_keeps_groups_and_neighbours(neighbors):
    positions = plane(VECTORS, neighbors, "umap", jax.random.key(0), quiet)
    assert positions.shape == (N, 2) and np.isfinite(positions).all()
    assert trustworthiness(VECTORS, positions, 10, range(N)) > 0.9
    nearest = nearest_in_plane(positions)
    assert (GROUPS[nearest] == GROUPS).mean() > 0.97
    again = plane(VECTORS, neighbors, "umap", jax.random.key(0), quiet)
    np.testing.assert_array_equal(positions, again)


def nearest_in_plane(positions):
    distances = ((positions[:, None] - positions[None]) ** 2).sum(-1)
    np.fill_diagonal(distances, np.inf)
    return distances.argmin(1)


@pytest.fixture
def umap(monkeypatch):
    """umap-learn in plain Python, since Numba compiles it for up to twenty seconds."""
    monkeypatch.setattr(pytest.importorskip("numba").config, "DISABLE_JIT", True)
    yield pytest.importorskip("umap.umap_")
    # Other tests import it compiled.
    for name in [name for name in sys.modules if name.split(".")[0] in ("umap", "pynndescent")]:
        del sys.modules[name]


def test_the_graph_is_that_of_the_reference(neighbors, umap):
    k = N_NEIGHBORS - 1
    rows, scores = neighbors.rows[:, :k], neighbors.scores[:, :k]
    graph = fuzzy_graph(rows, scores).toarray()
    all_rows = np.hstack([np.arange(N)[:, None], rows])
    distances = np.hstack([np.zeros((N, 1)), 1 - scores]).astype(np.float32)
    expected, _, _ = umap.fuzzy_simplicial_set(
        VECTORS, N_NEIGHBORS, np.random.RandomState(0), "cosine", {}, all_rows, distances
    )
    np.testing.assert_allclose(graph, expected.toarray(), atol=2e-3)


def test_principal_components(neighbors):
    positions = plane(VECTORS, neighbors, "pca", jax.random.key(0), quiet)
    centered = VECTORS - VECTORS.mean(0)
    _, _, axes = np.linalg.svd(centered, full_matrices=False)
    np.testing.assert_allclose(abs(positions), abs(centered @ axes[:2].T), atol=1e-5)


@pytest.mark.exhaustive
@pytest.mark.parametrize("method", ["tsne", "umap-learn"])
@pytest.mark.filterwarnings("ignore")  # of numba, scikit-learn and umap-learn
def test_projections_of_other_libraries(neighbors, method):
    pytest.importorskip("openTSNE" if method == "tsne" else "umap")
    positions = plane(VECTORS, neighbors, method, jax.random.key(0), quiet)
    assert (GROUPS[nearest_in_plane(positions)] == GROUPS).mean() > 0.97


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore")  # of numba and umap-learn
def test_umap_is_as_trustworthy_as_the_reference_on_real_words():
    pytest.importorskip("umap")
    import ffjax

    demo = ffjax.demo()
    vectors = to_unit(demo.embedding_batch(demo.vocab.words)[0])
    neighbors = nearest_words(vectors, 20, quiet)
    samples = np.random.default_rng(0).choice(len(vectors), 1000, replace=False)
    values = {
        method: trustworthiness(
            vectors, plane(vectors, neighbors, method, jax.random.key(0), quiet), 15, samples
        )
        for method in ("umap", "umap-learn")
    }
    assert values["umap"] > values["umap-learn"] - 0.02, values
