"""A matrix whose rows are divided over devices, as a storage."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

import ffjax
from tests import builders
from tests.functional.search.reference import normals

pytestmark = pytest.mark.devices


def mesh():
    return jax.make_mesh((2, 4), ("a", "b"))


@pytest.mark.parametrize("n_rows", [0, 1, 8, 13])
def test_rows_sums_chunks_and_host_access(n_rows):
    matrix = normals(0, n_rows, 3)
    stored = ffjax.ShardedArray(matrix, NamedSharding(mesh(), PartitionSpec("b")))
    assert stored.shape == matrix.shape
    assert stored.dtype == np.float32
    assert repr(stored) == f"ShardedArray({n_rows} x 3, 4 blocks)"
    np.testing.assert_array_equal(np.asarray(stored), matrix)
    np.testing.assert_array_equal(stored.embedding(slice(1, 9, 2)), matrix[1:9:2])
    if not n_rows:
        return
    ids = np.array([[0, n_rows - 1], [n_rows // 2, 0]], np.int32)
    np.testing.assert_array_equal(jax.jit(lambda s, i: s.gather(i))(stored, ids), matrix[ids])
    np.testing.assert_array_equal(stored.gather(jnp.array([-5, 99])), matrix[[0, -1]])
    np.testing.assert_array_equal(stored.row_source(n_rows).chunk(0, n_rows), matrix)
    some = jnp.asarray(np.pad(ids, ((0, 1), (0, 1)), constant_values=-1))
    expected = np.stack([matrix[line[line >= 0]].sum(0) for line in np.asarray(some)])
    np.testing.assert_allclose(stored.gather_sum(some), expected, atol=1e-6)
    np.testing.assert_array_equal(stored[-1], matrix[-1])
    np.testing.assert_array_equal(stored.embedding([0, -1]), matrix[[0, -1]])
    out = np.empty(3, np.float32)
    assert stored.embedding(0, out) is out
    np.testing.assert_array_equal(out, matrix[0])
    assert stored[:] == ffjax.NdArray(matrix)


def test_equality_and_a_tree_that_comes_back():
    matrix, sharding = normals(0, 13, 3), NamedSharding(mesh(), PartitionSpec("b"))
    stored = ffjax.ShardedArray(matrix, sharding)
    assert stored == ffjax.ShardedArray(jnp.asarray(matrix), sharding)
    assert stored != ffjax.ShardedArray(matrix + 1, sharding)
    assert jax.tree.map(lambda x: x, stored) == stored


@pytest.mark.usefixtures("as_users_see")
@pytest.mark.parametrize(
    ("matrix", "spec", "error", "message"),
    [
        (
            np.ones((2, 2), int),
            PartitionSpec("a"),
            TypeError,
            "`matrix`: expected 2 dimensions of float32",
        ),
        (
            [[1.0]],
            PartitionSpec("a"),
            TypeError,
            "`matrix`: expected a NumPy or JAX array, got list",
        ),
        (
            np.ones((2, 2), np.float32),
            PartitionSpec(None, "a"),
            ValueError,
            "`sharding`: expected axes for the rows",
        ),
        (
            np.ones((2, 2), np.float32),
            PartitionSpec("a", "b"),
            ValueError,
            "`sharding`: .* none for the dimensions",
        ),
    ],
)
def test_errors(matrix, spec, error, message):
    with pytest.raises(error, match=message):
        ffjax.ShardedArray(matrix, NamedSharding(mesh(), spec))
    with pytest.raises(
        TypeError, match=r"`sharding`: expected a NamedSharding, got str. Write `NamedSharding\("
    ):
        ffjax.ShardedArray(matrix, "a")


@pytest.mark.usefixtures("as_users_see")
def test_errors_of_reading_on_the_host():
    stored = ffjax.ShardedArray(normals(0, 4, 3), NamedSharding(mesh(), PartitionSpec("b")))
    with pytest.raises(TypeError, match="`key`: .*got None"):
        stored[None]
    with pytest.raises(IndexError, match="out of range"):
        stored[4]
    for out in (np.empty((2, 3), np.float32), np.empty(3, np.int32)):
        with pytest.raises(ValueError, match=r"`out`: expected shape \(3,\) of floats, got"):
            stored.embedding(0, out)


def test_sharded_embeddings_are_written_whole(tmp_path):
    matrix = np.random.default_rng(0).standard_normal((10, 6)).astype(np.float32)
    mesh = jax.make_mesh((jax.device_count(),), ("rows",))
    place = NamedSharding(mesh, PartitionSpec("rows"))
    plain = ffjax.Embeddings(ffjax.NdArray(matrix), builders.vocab("simple"))
    divided = plain.replace(storage=ffjax.ShardedArray(matrix, place))
    for name in ("x.fifu", "x.txt"):
        ffjax.save(plain, tmp_path / name)
        expected = (tmp_path / name).read_bytes()
        ffjax.save(divided, tmp_path / name)
        assert (tmp_path / name).read_bytes() == expected
    divided.storage.write(tmp_path / "rows.fifu")
    np.testing.assert_array_equal(ffjax.load_storage(tmp_path / "rows.fifu").matrix, matrix)
