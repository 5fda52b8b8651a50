"""Lookup, subwords and search of rows that are divided over eight devices: the answers of one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

import ffjax
from ffjax._internal.jax_compat import set_mesh
from ffjax.embeddings.batch_lookup import embed_words
from tests.builders import WORDS, embeddings, storage, vocab
from tests.functional.search.reference import agree, integers, normals, reference

pytestmark = pytest.mark.devices
exhaustive = pytest.mark.exhaustive

MESHES = {
    "rows": ((8,), ("rows",), PartitionSpec("rows")),
    "queries and rows": ((2, 4), ("queries", "rows"), PartitionSpec("rows", None)),
    "both for rows": ((2, 4), ("a", "b"), PartitionSpec(("a", "b"))),
}

WORDS_AND_OTHERS = [*WORDS, "Pariser", "", "teapots", "кротик"]
STRINGS = ffjax.pack(WORDS_AND_OTHERS)


def sharding(name="queries and rows", axis_type=AxisType.Auto):
    shape, names, spec = MESHES[name]
    mesh = Mesh(
        np.array(jax.devices()[:8]).reshape(shape), names, axis_types=(axis_type,) * len(names)
    )
    return NamedSharding(mesh, spec)


@jax.jit
def gathered(stored, ids):
    """Sums of rows, and rows."""
    return stored.gather_sum(ids), stored.gather(ids[:, :2])


def check_vectors(emb, divided, unnormalized=(False,)):
    """Checks that words have the vectors of `emb` on the host, and returns them."""
    for unnormalize in unnormalized:
        expected, exist = embed_words(emb, WORDS_AND_OTHERS, unnormalize=unnormalize)
        vectors, found = ffjax.embed(divided, STRINGS, unnormalize=unnormalize)
        np.testing.assert_allclose(vectors[: len(expected)], expected, atol=1e-6)
        np.testing.assert_array_equal(found[: len(expected)], exist)
        assert not found[len(expected) :].any()
    return vectors


@pytest.mark.parametrize(
    ("name", "n_rows"),
    [
        ("rows", 3),
        ("queries and rows", 1003),
        ("both for rows", 1003),
        pytest.param("rows", 1003, marks=exhaustive),
        pytest.param("queries and rows", 3, marks=exhaustive),
        pytest.param("both for rows", 3, marks=exhaustive),
    ],
)
def test_the_answer_is_that_of_one_device(name, n_rows):
    matrix, queries = integers(0, n_rows, 5), integers(1, 7, 5)
    stored = ffjax.ShardedArray(matrix, sharding(name))
    expected = reference(matrix, queries, 9)
    agree(ffjax.top_k(stored, queries, 9), expected)
    if name == "queries and rows":
        agree(jax.jit(lambda s, q: ffjax.top_k(s, q, 9))(stored, queries), expected)


def test_real_numbers_score_the_same_to_the_last_bit():
    matrix, queries = normals(0, 5003, 50), normals(1, 8, 50)
    alone, divided = ffjax.NdArray(matrix), ffjax.ShardedArray(matrix, sharding())
    for metric in ("dot", "cosine"):
        one, many = (ffjax.top_k(s, queries, 20, metric=metric) for s in (alone, divided))
        np.testing.assert_array_equal(one.rows, many.rows)
        np.testing.assert_array_equal(one.scores, many.scores)


def test_equal_rows_on_all_devices_tie():
    matrix = np.repeat(normals(0, 1, 30), 1003, axis=0)
    best = ffjax.top_k(ffjax.ShardedArray(matrix, sharding()), normals(1, 3, 30), 600)
    assert best.rows.tolist() == [list(range(600))] * 3
    assert (np.asarray(best.scores) == np.asarray(best.scores)[:, :1]).all()


def test_only_some_rows():
    matrix, queries = integers(0, 1003, 5), integers(1, 6, 5)
    stored = ffjax.ShardedArray(matrix, sharding())
    mask, listed = np.arange(1003) % 7 == 0, np.array([900, 3, 3, 1002, 400, 251])
    exclude = np.tile(np.array([0, 420, 1002, -1], np.int32), (6, 1))
    for rows, allowed in (
        (mask, np.flatnonzero(mask)),
        (listed, listed),
        (slice(200, 803), range(200, 803)),
    ):
        found = ffjax.top_k(stored, queries, 5, candidates=rows, exclude=exclude)
        agree(found, reference(matrix, queries, 5, allowed=allowed, exclude=exclude))
    assert ffjax.top_k(stored, queries[:0], 5).rows.shape == (0, 5)


def test_a_matrix_that_was_divided_elsewhere_is_searched_where_it_lies():
    matrix, queries = integers(0, 1000, 5), integers(1, 6, 5)
    for axis_type in (AxisType.Auto, AxisType.Explicit):
        stored = ffjax.NdArray(jax.device_put(matrix, sharding(axis_type=axis_type)))
        agree(ffjax.top_k(stored, queries, 9), reference(matrix, queries, 9))
    narrow = jax.device_put(jnp.asarray(matrix, jnp.bfloat16), sharding("rows"))
    agree(ffjax.top_k(ffjax.NdArray(narrow), queries, 9), reference(matrix, queries, 9))


def test_no_device_holds_more_than_its_rows_and_all_searches_stay_apart():
    """The program of each device multiplies its own 1,250 rows; what it gathers is candidates."""
    stored = ffjax.ShardedArray(integers(0, 10_000, 16), sharding("rows"))
    assert {shard.data.shape for shard in stored.matrix.addressable_shards} == {(1250, 16)}
    queries = jax.ShapeDtypeStruct((4, 16), jnp.float32)
    text = jax.jit(lambda s, q: ffjax.top_k(s, q, 10)).lower(stored, queries).compile().as_text()
    assert "f32[10000" not in text
    # Releases of JAX before 0.8 gather by adding up.
    gathers = [
        line for line in text.splitlines() if " all-gather(" in line or " all-reduce(" in line
    ]
    assert gathers
    assert all("[4,80]" in line or "[4,8,10]" in line or "[8,4,10]" in line for line in gathers)


def test_gradients_and_vmap():
    matrix, queries = normals(0, 103, 5), jnp.asarray(normals(1, 4, 5))
    divided = ffjax.ShardedArray(matrix, sharding())

    def total(queries, stored):
        return ffjax.top_k(stored, queries, 3).scores.sum()

    def rows(query):
        return ffjax.top_k(divided, query, 3).rows

    _, expected = reference(matrix, queries, 3)
    gradient = jax.jit(jax.grad(total))(queries, divided)
    np.testing.assert_allclose(gradient, matrix[expected].sum(1), atol=1e-6)
    np.testing.assert_array_equal(jax.jit(jax.vmap(rows))(queries), expected)


@pytest.mark.parametrize(
    "kind",
    ["simple", "buckets", *(pytest.param(k, marks=exhaustive) for k in ("fasttext", "explicit"))],
)
def test_lookup_and_subwords(kind):
    emb = embeddings(kind)
    divided = emb.replace(storage=ffjax.ShardedArray(emb.storage.matrix, sharding()))
    # Whether vectors are divided by their norms is one multiplication, wherever rows are.
    vectors = check_vectors(emb, divided, (False, True) if kind == "buckets" else (False,))
    np.testing.assert_array_equal(
        ffjax.top_k(divided, vectors, 4).rows, ffjax.top_k(emb, vectors, 4).rows
    )
    np.testing.assert_array_equal(divided["Paris"], emb["Paris"])
    words, scores = zip(*divided.word_similarity("Paris", 3), strict=True)
    # Those of rows in one place come from NumPy.
    expected_words, expected = zip(*emb.word_similarity("Paris", 3), strict=True)
    assert words == expected_words
    np.testing.assert_allclose(scores, expected, rtol=1e-6)


def test_under_a_mesh_that_the_caller_has_set():
    matrix, queries = integers(0, 103, 5), integers(1, 4, 5)
    explicit = sharding(axis_type=AxisType.Explicit)
    stored = ffjax.ShardedArray(matrix, explicit)
    with set_mesh(explicit.mesh):
        found = ffjax.top_k(stored, queries, 4)
    agree(found, reference(matrix, queries, 4))


# Files


@pytest.mark.parametrize(
    ("name", "sizes"), [("rows", [121, *[126] * 7]), ("queries and rows", [250, 251, 251, 251])]
)
def test_load_reads_each_block_from_the_map_once(name, sizes, tmp_path, monkeypatch):
    matrix = integers(0, 1003, 5)
    emb = ffjax.Embeddings(ffjax.NdArray(matrix), ffjax.SimpleVocab([f"w{i}" for i in range(1003)]))
    emb.write(tmp_path / "e.fifu")
    taken = []
    asarray = np.asarray

    def watched(array, *args, **kwargs):
        if isinstance(array, np.memmap) and array.ndim == 2:
            taken.append(len(array))
        return asarray(array, *args, **kwargs)

    monkeypatch.setattr(np, "asarray", watched)
    loaded = ffjax.load(tmp_path / "e.fifu", sharding=sharding(name))
    monkeypatch.undo()
    assert isinstance(loaded.storage, ffjax.ShardedArray)
    assert sorted(taken) == sizes
    for shard in loaded.storage.matrix.addressable_shards:
        rows = matrix[shard.index[0]]
        np.testing.assert_array_equal(np.asarray(shard.data)[: len(rows)], rows)
    loaded.replace(storage=loaded.storage[:]).write(tmp_path / "again.fifu")
    assert (tmp_path / "again.fifu").read_bytes() == (tmp_path / "e.fifu").read_bytes()


def test_load_divides_what_is_no_map(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("".join(f"w{i} {i}.0 1.0\n" for i in range(11)))
    loaded = ffjax.load(path, sharding=sharding("rows"))
    np.testing.assert_array_equal(np.asarray(loaded.storage), np.asarray(ffjax.load(path).storage))


@pytest.mark.parametrize("mmap", [False, True])
def test_load_divides_fasttext_rows_and_their_norms(tmp_path, mmap):
    emb = ffjax.Embeddings(storage(47), vocab("fasttext"))
    ffjax.write_fasttext(tmp_path / "words.bin", emb)
    alone = ffjax.load(tmp_path / "words.bin")
    divided = ffjax.load(tmp_path / "words.bin", mmap=mmap, sharding=sharding("rows"))
    assert isinstance(divided.storage, ffjax.ShardedArray)
    assert divided.training.output is None
    for ours, expected in ((divided.storage, alone.storage), (divided.norms, alone.norms)):
        np.testing.assert_allclose(np.asarray(ours), np.asarray(expected), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "kind", "metric"),
    [
        ("rows", "pq", "dot"),
        ("queries and rows", "opq", "cosine"),
        ("both for rows", "pq_norms", "dot"),
        ("everywhere", "opq", "dot"),
        pytest.param("rows", "pq", "cosine", marks=exhaustive),
        pytest.param("queries and rows", "opq", "dot", marks=exhaustive),
        pytest.param("both for rows", "pq_norms", "cosine", marks=exhaustive),
        pytest.param("everywhere", "opq", "cosine", marks=exhaustive),
    ],
)
def test_codes_answer_as_on_one_device(name, kind, metric, tmp_path):
    place = sharding() if name == "everywhere" else sharding(name)
    if name == "everywhere":
        place = NamedSharding(place.mesh, PartitionSpec())
    alone = storage(1003, kind=kind)
    emb = ffjax.Embeddings(alone, ffjax.SimpleVocab([f"w{i}" for i in range(1003)]))
    emb.write(tmp_path / "x.fifu")
    divided = ffjax.load(tmp_path / "x.fifu", sharding=place)
    padded = divided.storage.padded
    n_blocks = 1 if name == "everywhere" else {"queries and rows": 4}.get(name, 8)
    shapes = {shard.data.shape for shard in padded.codes.addressable_shards}
    assert shapes == {(-(-1003 // n_blocks), 3)}
    assert padded.codebooks.sharding.is_fully_replicated
    queries = normals(1, 7, 6)
    one, many = (ffjax.top_k(e, queries, 9, metric=metric) for e in (emb, divided))
    np.testing.assert_array_equal(many.rows, one.rows)
    np.testing.assert_allclose(many.scores, one.scores, atol=1e-6)
    if metric == "cosine":
        traced = jax.jit(lambda s, q: ffjax.top_k(s, q, 9, metric="cosine"))(divided, queries)
        np.testing.assert_array_equal(traced.rows, one.rows)
    ids = jnp.array([[0, 1002, -1], [500, 7, 7]], jnp.int32)
    for ours, expected in zip(gathered(divided.storage, ids), gathered(alone, ids), strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-6)
    if metric == "cosine":
        strings = ffjax.pack(["w0", "w999", "none"])
        ours, expected = (ffjax.embed(e, strings)[0] for e in (divided, emb))
        np.testing.assert_allclose(ours, expected, atol=1e-6)
    np.testing.assert_allclose(divided["w5"], emb["w5"], atol=1e-6)
    assert divided.storage[:] == alone
    np.testing.assert_allclose(
        np.asarray(divided.storage[3:999:7]), np.asarray(alone)[3:999:7], atol=1e-6
    )
    divided.write(tmp_path / "again.fifu")
    assert (tmp_path / "again.fifu").read_bytes() == (tmp_path / "x.fifu").read_bytes()


# Together these have all that codes can have; `pq` has neither a rotation nor norms.
@pytest.mark.parametrize("kind", ["opq", pytest.param("pq_norms", marks=exhaustive)])
def test_subwords_and_gradients_of_codes(kind):
    emb = embeddings("buckets", kind)
    divided = emb.replace(storage=ffjax.ShardedArray(emb.storage, sharding()))
    check_vectors(emb, divided)

    def total(emb):
        return (ffjax.embed(emb, STRINGS)[0] ** 2 * jnp.arange(6.0)[None]).sum()

    gradient = jax.jit(jax.grad(total, allow_int=True))
    one, many = (gradient(e).storage for e in (emb, divided))
    np.testing.assert_allclose(many.padded.codebooks, one.codebooks, atol=1e-5)
    if kind == "opq":
        np.testing.assert_allclose(many.padded.projection, one.projection, atol=1e-5)
    if kind == "pq_norms":
        np.testing.assert_allclose(many.padded.norms[: len(emb.storage)], one.norms, atol=1e-5)


def test_codes_that_were_divided_elsewhere_are_searched_where_they_lie():
    alone, queries = storage(1000, kind="pq"), normals(1, 6, 6)
    stored = ffjax.QuantizedArray(alone.quantizer, jax.device_put(alone.codes, sharding("rows")))
    np.testing.assert_array_equal(
        ffjax.top_k(stored, queries, 9).rows, ffjax.top_k(alone, queries, 9).rows
    )


def test_rows_that_are_everywhere():
    place = NamedSharding(sharding().mesh, PartitionSpec())
    matrix, queries = integers(0, 103, 5), integers(1, 7, 5)
    stored = ffjax.ShardedArray(matrix, place)
    assert stored.matrix.sharding.is_fully_replicated
    agree(ffjax.top_k(stored, queries, 9), reference(matrix, queries, 9))
    np.testing.assert_array_equal(stored.gather(jnp.array([5, 102])), matrix[[5, 102]])


@pytest.mark.usefixtures("as_users_see")
def test_what_cannot_be_divided():
    words = ffjax.StringTable.from_strings(["a", "b"])
    composed = ffjax.ComposedArray(ffjax.NdArray(normals(0, 2, 5)), words)
    with pytest.raises(
        TypeError, match="`matrix`: expected rows of floats or codes, got ComposedArray"
    ):
        ffjax.ShardedArray(composed, sharding())
    divided = ffjax.ShardedArray(storage(9, kind="pq"), sharding())
    with pytest.raises(
        TypeError,
        match=r"`matrix`: expected rows of floats, got ShardedArray\(9 x 6, QuantizedArray",
    ):
        divided.matrix  # noqa: B018
