import jax.numpy as jnp
import numpy as np
import pytest

import ffjax
from ffjax._internal.arguments import row_key
from tests.builders import pq, storage


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
    assert (quantizer.n_centroids, quantizer.reconstructed_len, quantizer.codebooks.shape) == (
        8,
        6,
        (3, 8, 2),
    )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: ffjax.NdArray([[1.0]]),
            TypeError,
            "`matrix`: expected a NumPy or JAX array, got list",
        ),
        (
            lambda: ffjax.NdArray(np.zeros((2, 2))),
            TypeError,
            "`matrix`: expected 2 dimensions.*got 2 of float64",
        ),
        (lambda: ffjax.NdArray(np.zeros(2, np.float32)), TypeError, "`matrix`: .*got 1 of float32"),
        (lambda: ffjax.NdArray(np.zeros((2, 2), ">f4")), TypeError, "`matrix`: .*got 2 of >f4"),
        (lambda: storage(2)[None], TypeError, "`key`: .*got None"),
        (lambda: storage(2, kind="pq")[None], TypeError, "`key`: .*got None"),
        (lambda: storage(2, kind="pq")[1, 0], TypeError, r"`key`: .* tuple \(1, 0\).* a list"),
        (
            lambda: storage(2, kind="int8")[1, 0],
            TypeError,
            r"`key`: .*got tuple \(1, 0\). .* give a list",
        ),
        (lambda: storage(2)[2], IndexError, "2"),
        (
            lambda: ffjax.PQ(np.zeros((2, 2), np.float32)),
            TypeError,
            "`quantizers`: expected 3 dimensions of float32",
        ),
        (
            lambda: ffjax.PQ(pq(6).codebooks, np.zeros((2, 2), np.float32)),
            ValueError,
            r"`projection`.*\(6, 6\)",
        ),
        (
            lambda: pq(6).reconstruct(np.zeros((1, 2), np.uint8)),
            ValueError,
            "`quantized`: expected 3 codes",
        ),
        (
            lambda: pq(6).reconstruct(np.zeros((1, 3), np.uint8), out=np.zeros(6)),
            ValueError,
            r"`out`: .*\(1, 6\)",
        ),
        (
            lambda: ffjax.QuantizedArray(None, np.zeros((1, 3), np.uint8)),
            TypeError,
            "`pq`: expected a PQ",
        ),
        (
            lambda: ffjax.QuantizedArray(pq(6), np.zeros((1, 3))),
            TypeError,
            "`quantized_embeddings`: .*float64",
        ),
        (
            lambda: ffjax.QuantizedArray(pq(6), np.zeros((1, 2), np.uint8)),
            ValueError,
            "expected 3 codes a row, got 2",
        ),
        (
            lambda: ffjax.QuantizedArray(pq(6), np.zeros((1, 3), np.uint8), np.ones(2, np.float32)),
            ValueError,
            "`norms`: expected 1.*got 2",
        ),
        (
            lambda: ffjax.Norms(np.ones(2)),
            TypeError,
            "`array`: expected 1 dimension of float32, got 1 of float64",
        ),
    ],
)
@pytest.mark.usefixtures("as_users_see")
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_an_array_of_norms_may_be_written_to_and_a_view_may_not():
    norms = ffjax.Norms(np.array([1, 2], np.float32))
    assert np.array(norms).flags.writeable
    assert not np.asarray(norms, copy=False).flags.writeable
    with pytest.raises(ValueError, match="copy"):
        np.asarray(norms, np.float64, copy=False)


def test_row_numbers_of_small_types_in_long_storages():
    stored = ffjax.NdArray(np.arange(300, dtype=np.float32)[:, None])
    for dtype in (np.int8, np.uint8, np.uint64):
        assert stored[np.array([7, 1], dtype)].tolist() == [[7], [1]]
    assert stored[np.array([7, -1], np.int8)].tolist() == [[7], [299]]
    # On a GPU they index an array of JAX, whose length must fit their type.
    assert row_key(np.array([7, 1], np.int8), 300).dtype == np.int64
