import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ffjax
from tests.builders import ALL_STORAGES, pq, storage

every_storage = pytest.mark.parametrize("kind", ALL_STORAGES)


def reference(store) -> np.ndarray:
    """All rows, by the definition of each format."""
    if isinstance(store, ffjax.NdArray):
        return np.asarray(store.matrix)
    if isinstance(store, ffjax.Int8Array):
        return np.asarray(store.codes).astype(np.float32) * np.asarray(store.scales)[:, None]
    books, codes = np.asarray(store.codebooks), np.asarray(store.codes)
    rows = np.stack([np.concatenate([books[m, code] for m, code in enumerate(line)]) for line in codes])
    if store.projection is not None:
        rows = rows @ np.asarray(store.projection).T
    return rows if store.norms is None else rows * np.asarray(store.norms)[:, None]


@every_storage
def test_rows_eager_equal_jit_equal_the_definition(kind):
    store = storage(9, kind=kind)
    ids = jnp.array([[0, 8], [3, 3]], jnp.int32)
    expected = reference(store)[np.asarray(ids)]
    np.testing.assert_allclose(store.gather(ids), expected, atol=1e-6)
    np.testing.assert_allclose(jax.jit(lambda s, i: s.gather(i))(store, ids), expected, atol=1e-6)
    np.testing.assert_allclose(jax.vmap(store.gather)(ids), expected, atol=1e-6)
    assert store.gather(jnp.zeros((0,), jnp.int32)).shape == (0, 6)


@every_storage
def test_sum_rows_leaves_out_what_is_below_zero(kind):
    store = storage(9, kind=kind)
    ids = jnp.array([[0, 8, -1], [-1, -1, -1], [2, 2, 2]], jnp.int32)
    full = reference(store)
    expected = np.stack([full[0] + full[8], np.zeros(6), 3 * full[2]])
    np.testing.assert_allclose(store.gather_sum(ids), expected, atol=1e-5)
    np.testing.assert_allclose(jax.jit(lambda s, i: s.gather_sum(i))(store, ids), expected, atol=1e-5)
    assert store.gather_sum(jnp.zeros((2, 0), jnp.int32)).tolist() == [[0.0] * 6] * 2


@every_storage
@pytest.mark.parametrize("key", [0, -1, np.int64(3), slice(2, 5), slice(None), [1, 1], np.array([[0, 1], [2, 3]])])
def test_host_indexing(kind, key):
    store = storage(9, kind=kind)
    expected = reference(store)[key]
    got = store.embedding(key)
    np.testing.assert_allclose(got, expected, atol=1e-6)
    got[...] = 0  # the caller's own
    np.testing.assert_allclose(store.embedding(key), expected, atol=1e-6)
    out = np.ones_like(got)
    assert store.embedding(key, out=out) is out
    np.testing.assert_allclose(out, expected, atol=1e-6)
    np.testing.assert_allclose(np.asarray(store[key]), expected, atol=1e-6)
    assert isinstance(store[key], type(store) if isinstance(key, slice) else np.ndarray)


@every_storage
def test_as_an_array_and_row_by_row(kind):
    store = storage(5, kind=kind)
    np.testing.assert_allclose(np.asarray(store), reference(store), atol=1e-6)
    np.testing.assert_allclose(list(store), reference(store), atol=1e-6)
    assert len(store) == 5 and store.shape == (5, 6)


@every_storage
def test_no_rows(kind):
    store = storage(0, kind=kind)
    assert store.shape == (0, 6)
    assert not store.gather(jnp.zeros(2, jnp.int32)).any()
    assert not store.gather_sum(jnp.zeros((2, 3), jnp.int32)).any()


def test_an_array_given_is_copied_and_a_memory_map_is_kept(tmp_path):
    given = np.ones((2, 3), np.float32)
    store = ffjax.NdArray(given)
    given[:] = 5
    assert store[0].tolist() == [1, 1, 1]
    np.ones((2, 3), np.float32).tofile(tmp_path / "x")
    mapped = ffjax.NdArray(np.memmap(tmp_path / "x", np.float32, "r", shape=(2, 3)))
    assert isinstance(mapped.matrix, np.memmap) and isinstance(mapped[:1].matrix, np.memmap)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_accumulates_in_float32(dtype):
    store = ffjax.NdArray(jnp.full((1, 2), 0.001, dtype))
    total = store.gather_sum(jnp.zeros((1, 1000), jnp.int32))
    assert total.dtype == jnp.float32
    np.testing.assert_allclose(total, 1000 * np.float32(store.matrix[0, 0]), rtol=1e-5)


def test_pq_on_the_host():
    quantizer = pq(6, projection=True)
    codes = np.array([[[0, 1, 2]], [[7, 7, 7]]], np.uint8)
    out = np.empty((2, 1, 6), np.float32)
    assert quantizer.reconstruct(codes, out=out) is out
    np.testing.assert_array_equal(out, quantizer.reconstruct(codes))
    assert (quantizer.n_centroids, quantizer.reconstructed_len, quantizer.codebooks.shape) == (8, 6, (3, 8, 2))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ffjax.NdArray([[1.0]]), TypeError, "`matrix`: expected a NumPy or JAX array, got list"),
        (lambda: ffjax.NdArray(np.zeros((2, 2))), TypeError, "`matrix`: expected 2 dimensions.*got 2 of float64"),
        (lambda: ffjax.NdArray(np.zeros(2, np.float32)), TypeError, "`matrix`: .*got 1 of float32"),
        (lambda: ffjax.NdArray(np.zeros((2, 2), ">f4")), TypeError, "`matrix`: .*got 2 of >f4"),
        (lambda: storage(2)[None], TypeError, "`key`: .*got None"),
        (lambda: storage(2, kind="pq")[None], TypeError, "`key`: .*got None"),
        (lambda: storage(2, kind="pq")[1, 0], TypeError, r"`key`: .*got \(1, 0\). .* give a list"),
        (lambda: storage(2, kind="int8")[1, 0], TypeError, r"`key`: .*got \(1, 0\). .* give a list"),
        (lambda: storage(2)[2], IndexError, "2"),
        (lambda: ffjax.PQ(np.zeros((2, 2), np.float32)), TypeError, "`quantizers`: expected 3 dimensions of float32"),
        (lambda: ffjax.PQ(pq(6).codebooks, np.zeros((2, 2), np.float32)), ValueError, r"`projection`.*\(6, 6\)"),
        (lambda: pq(6).reconstruct(np.zeros((1, 2), np.uint8)), ValueError, "`quantized`: expected 3 codes"),
        (lambda: pq(6).reconstruct(np.zeros((1, 3), np.uint8), out=np.zeros(6)), ValueError, r"`out`: .*\(1, 6\)"),
        (lambda: ffjax.QuantizedArray(None, np.zeros((1, 3), np.uint8)), TypeError, "`pq`: expected a PQ"),
        (lambda: ffjax.QuantizedArray(pq(6), np.zeros((1, 3))), TypeError, "`quantized_embeddings`: .*float64"),
        (lambda: ffjax.QuantizedArray(pq(6), np.zeros((1, 2), np.uint8)), ValueError, "expected 3 codes a row, got 2"),
        (
            lambda: ffjax.QuantizedArray(pq(6), np.zeros((1, 3), np.uint8), np.ones(2, np.float32)),
            ValueError,
            "`norms`: expected 1.*got 2",
        ),
        (lambda: ffjax.Norms(np.ones(2)), TypeError, "`array`: expected 1 dimension of float32, got 1 of float64"),
    ],
)
@pytest.mark.usefixtures("as_users_see")
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
