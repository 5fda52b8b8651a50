"""`Int8Array` beside the floats that it stands for, in everything that takes a storage."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import ffjax
from ffjax.transforms import quantize as narrow_numbers
from tests.builders import embeddings, storage
from tests.functional.search.reference import agree, reference


def to_int8(store: ffjax.Storage, progress=lambda done, total: None) -> ffjax.Int8Array:
    return narrow_numbers.to_int8(store, progress)


def to_bfloat16(store: ffjax.Storage) -> ffjax.NdArray:
    return narrow_numbers.to_bfloat16(store, lambda done, total: None)


def plain(emb: ffjax.Embeddings) -> ffjax.Embeddings:
    return emb.replace(storage=ffjax.NdArray(np.asarray(emb.storage)))


@settings(deadline=None)
@given(arrays.arrays(np.float32, (4, 3), elements=st.floats(-(2.0**127), 2.0**127, width=32)))
def test_numbers_are_off_by_half_a_scale_at_most(rows):
    rows[2] = 0
    stored = to_int8(ffjax.NdArray(rows))
    codes, scales = np.asarray(stored.codes), np.asarray(stored.scales)
    largest = np.abs(rows).max(axis=1)
    np.testing.assert_array_equal(scales, largest / np.float32(127))
    assert not stored[2].any()
    ordinary = largest > 1e-30  # scales below have few bits themselves
    assert (np.abs(codes).max(axis=1)[ordinary] == 127).all()
    off = np.abs(np.asarray(stored).astype(np.float64) - rows)
    assert (off[ordinary] <= 0.5001 * scales[ordinary, None]).all()
    assert (off[~ordinary] <= 1e-31).all()


@pytest.mark.parametrize("kind", ["dense", "opq"])
def test_blocks_give_what_the_whole_gives(kind, monkeypatch):
    monkeypatch.setattr("ffjax.storage.base._BLOCK_NUMBERS", 4 * 6)
    store, steps = storage(11, kind=kind), []
    rows = np.asarray(store)
    stored = to_int8(store, lambda done, total: steps.append((done, total)))
    assert steps == [(4, 11), (8, 11), (11, 11)]
    scales = np.abs(rows).max(axis=1) / np.float32(127)
    np.testing.assert_array_equal(stored.scales, scales)
    np.testing.assert_array_equal(stored.codes, np.rint(rows / scales[:, None]))
    np.testing.assert_array_equal(to_bfloat16(store).matrix, rows.astype(jnp.bfloat16))
    assert to_int8(stored) == stored


def test_a_map_becomes_narrow(tmp_path):
    rows = np.asarray(storage(50))
    rows.tofile(tmp_path / "rows")
    store = ffjax.NdArray(np.memmap(tmp_path / "rows", np.float32, "r", shape=rows.shape))
    for narrow in (to_int8, to_bfloat16):
        assert narrow(store) == narrow(ffjax.NdArray(rows))
        assert not narrow(store).is_mapped


@pytest.mark.parametrize("narrow", [to_int8, to_bfloat16])
def test_no_rows_and_no_dims(narrow):
    assert narrow(storage(0)).shape == (0, 6)
    assert narrow(ffjax.NdArray(np.zeros((3, 0), np.float32))).shape == (3, 0)


def test_text():
    emb = embeddings("fasttext", "int8")
    for pooling in ("mean", "fasttext"):
        ours, theirs = (
            ffjax.embed_text(e, b"Paris teapots\n\nBerlin", pooling=pooling)[0]
            for e in (emb, plain(emb))
        )
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_analogies():
    emb = embeddings("fasttext", "int8")
    for method in ("3cosadd", "3cosmul"):
        ours, theirs = (
            e.analogy("Paris", "Berlin", "a", k=4, method=method) for e in (emb, plain(emb))
        )
        assert [result.word for result in ours] == [result.word for result in theirs]


@pytest.mark.parametrize("metric", ["dot", "cosine", "euclidean", "angular"])
def test_rows_of_zeros_are_searched_as_zeros(metric):
    store = storage(20, kind="int8")
    queries = np.random.default_rng(1).standard_normal((4, 6)).astype(np.float32)
    ours = ffjax.top_k(store, queries, 20, metric=metric)
    agree(ours, reference(np.asarray(store), queries, 20, metric=metric), atol=1e-5)
    zero = np.isin(np.asarray(ours.rows), [4, 9, 14, 19])
    if metric in ("dot", "cosine"):
        assert (np.asarray(ours.scores)[zero] == 0).all()


def test_no_program_has_floats_of_all_rows():
    """The largest float array of lookup, sums, search and gradients is far smaller."""
    rows, dims = 50_000, 64
    store = ffjax.Int8Array(jnp.zeros((rows, dims), jnp.int8), jnp.ones(rows, jnp.float32))
    indexer = ffjax.FastTextIndexer(rows - 1, 3, 4)
    emb = ffjax.Embeddings(store, ffjax.FastTextVocab(["tea"], indexer))
    packed = ffjax.pack(["teapot", "tea"])
    ids = jnp.zeros((4, 8), jnp.int32)
    queries = jnp.ones((2, dims), jnp.float32)
    programs = (
        jax.jit(lambda s: s.gather(ids)).lower(store),
        jax.jit(lambda s: s.gather_sum(ids)).lower(store),
        jax.jit(lambda s: ffjax.top_k(s, queries, 3).scores).lower(store),
        jax.jit(lambda e: ffjax.embed(e, packed)[0]).lower(emb),
        jax.jit(jax.grad(lambda e: ffjax.embed(e, packed)[0].sum(), allow_int=True)).lower(emb),
    )
    for program in programs:
        held = program.compile().memory_analysis()
        assert held.temp_size_in_bytes < rows * dims * 4 // 2


def test_gradients_of_scales_are_those_of_the_sum():
    store = storage(9, kind="int8")
    ids = jnp.array([[0, 3, -1], [3, 3, 8]], jnp.int32)
    weights = jnp.asarray(np.random.default_rng(1).standard_normal((2, 6)), jnp.float32)
    gradient = jax.grad(lambda s: (s.gather_sum(ids) * weights).sum(), allow_int=True)(store)
    codes, expected = np.asarray(store.codes).astype(np.float32), np.zeros(9, np.float32)
    for line, weight in zip(np.asarray(ids), np.asarray(weights), strict=True):
        for row in line[line >= 0]:
            expected[row] += codes[row] @ weight
    np.testing.assert_allclose(gradient.scales, expected, rtol=1e-5, atol=1e-3)
    assert gradient.codes.dtype == jax.dtypes.float0


def dense(store: ffjax.Storage) -> ffjax.NdArray:
    return ffjax.NdArray(np.asarray(store))


def test_files_that_hold_no_such_rows_say_so(tmp_path):
    emb = embeddings("simple", "int8")
    with pytest.raises(
        ffjax.FinalfusionFormatError,
        match=r"got the rows of Int8Array.*msgpack.*ffjax\.reconstruct",
    ):
        emb.write(tmp_path / "x.fifu")
    with pytest.raises(ValueError, match="got quantized vectors too.*`reconstruct=True`"):
        ffjax.save(emb, tmp_path / "x.w2v")
    assert not list(tmp_path.iterdir())
    ffjax.save(emb, tmp_path / "x.w2v", reconstruct=True)
    unit = emb["Berlin"] / np.linalg.norm(emb["Berlin"])
    np.testing.assert_allclose(ffjax.load(tmp_path / "x.w2v")["Berlin"], unit, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: ffjax.Int8Array([[1]], np.ones(1, np.float32)),
            TypeError,
            "`codes`: expected 2 dim.*got list",
        ),
        (
            lambda: ffjax.Int8Array(np.ones((1, 1)), np.ones(1)),
            TypeError,
            "`codes`: .*int8, got 2 of float64",
        ),
        (
            lambda: ffjax.Int8Array(np.ones((1, 1), np.int8), np.ones(1)),
            TypeError,
            "`scales`: expected 1 dimension of",
        ),
        (
            lambda: ffjax.Int8Array(np.ones((2, 1), np.int8), np.ones(1, np.float32)),
            ValueError,
            "`scales`: expected 2, one for each row, got 1",
        ),
        (lambda: storage(2, kind="int8")[None], TypeError, "`key`: .*got None"),
        (lambda: storage(2, kind="int8")[2], IndexError, "2"),
        (
            lambda: storage(2, kind="int8").embedding(0, np.ones(5, np.float32)),
            ValueError,
            r"`out`: .*\(6,\).*\(5,\)",
        ),
        (
            lambda: storage(2, kind="int8").embedding(0, np.ones(6, np.int8)),
            ValueError,
            "`out`: .*of int8",
        ),
        (
            lambda: to_int8(with_bad(np.nan)),
            ValueError,
            "`embeddings`: expected finite.*NaN or infinity in row 3",
        ),
        (
            lambda: to_bfloat16(with_bad(np.inf)),
            ValueError,
            "`embeddings`: expected finite.*in row 3",
        ),
        (
            lambda: to_bfloat16(with_bad(3.4e38)),
            ValueError,
            r"up to 3.39e\+38.*got 3.4e\+38 in row 3",
        ),
    ],
)
@pytest.mark.usefixtures("as_users_see")
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def with_bad(number: float) -> ffjax.NdArray:
    return ffjax.NdArray(np.where(np.arange(10) == 7, number, 1).astype(np.float32).reshape(5, 2))
