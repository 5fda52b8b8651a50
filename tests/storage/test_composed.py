"""Composed rows: mapped, quantized, in and out of `jit`, against a plain computation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ffjax
from ffjax._internal.pytree import value
from ffjax.storage import word_sums as composition
from ffjax.strings.string_table import StringTable
from tests import builders

# The longest word has eighty n-grams, and float32 sums of as many rows are no closer.
CLOSE = 5e-6
WORDS = [*builders.WORDS, "</s>", "x" * 30, "крот" * 3, ""]
DIMS = 6
INDEXER = ffjax.FastTextIndexer(37, 3, 5, skip_edge_unigrams=True, bare_eos=True)
PRUNED = ffjax.PrunedIndexer(
    ffjax.FastTextIndexer(37, 1, 3, skip_edge_unigrams=True, bare_eos=True), [30, 2, 11, 5, 36]
)


def parts(kind: str, tmp_path) -> tuple[ffjax.Storage, ffjax.Storage | None, object]:
    """Own rows, rows of n-grams and the indexer."""
    indexer = None if kind == "simple" else PRUNED if kind == "pruned" else INDEXER
    n_ngrams = 0 if indexer is None else indexer.upper_bound
    whole = builders.storage(
        len(WORDS) + n_ngrams, DIMS, kind="pq_norms" if kind == "quantized" else "dense"
    )
    if kind == "mapped":
        path = tmp_path / "matrix"
        path.write_bytes(b"odd" + np.asarray(whole).tobytes())  # as unaligned as in a real file
        matrix = np.memmap(path, np.float32, "r", 3, (len(whole), DIMS))
        whole = ffjax.NdArray(matrix)
    return whole[: len(WORDS)], None if indexer is None else whole[len(WORDS) :], indexer


def vocab_of(indexer) -> ffjax.Vocab:
    return ffjax.SimpleVocab(WORDS) if indexer is None else ffjax.FastTextVocab(WORDS, indexer)


KINDS = ("simple", "dense", "mapped", "quantized", "pruned")


@pytest.fixture(params=KINDS)
def composed(request, tmp_path):
    """A storage, its rows and the lengths of its words' rows, computed one by one."""
    own, ngrams, indexer = parts(request.param, tmp_path)
    storage = ffjax.ComposedArray(own, StringTable.from_strings(WORDS), ngrams, indexer)
    rows, behind = (
        np.asarray(own),
        np.zeros((0, DIMS), np.float32) if ngrams is None else np.asarray(ngrams),
    )
    means = []
    for row, word in zip(rows, WORDS, strict=True):
        ids = [] if indexer is None else indexer.subword_indices(word)
        means.append(np.mean([row, *behind[ids]], axis=0, dtype=np.float64))
    lengths = np.linalg.norm(means, axis=1)
    return storage, np.concatenate([means / lengths[:, None], behind]), lengths


def test_shape(composed):
    storage, rows, lengths = composed
    assert storage.shape == rows.shape and storage.n_words == len(lengths) == len(WORDS)
    assert repr(storage).startswith(f"ComposedArray({len(rows)} x 6, 14 words of ")


def test_rows_by_number(composed):
    storage, rows, lengths = composed
    for i, row in enumerate(rows):
        np.testing.assert_allclose(storage[i], row, atol=CLOSE)
        np.testing.assert_allclose(storage.embedding(i - len(rows)), row, atol=CLOSE)
    assert [float(storage.lengths(i)) for i in range(len(lengths))] == pytest.approx(
        lengths.tolist(), rel=1e-5
    )
    with pytest.raises(IndexError, match="index out of range"):
        storage.embedding(len(rows))


@pytest.mark.parametrize(
    "key",
    [
        slice(None),
        slice(3, 12),
        slice(None, None, -2),
        slice(5, 5),
        [],
        [1, 1, -1, 0],
        [[3, -14], [2, 2]],
        slice(-9, None),
    ],
    ids=str,
)
def test_rows_by_slices_and_arrays(composed, key):
    storage, rows, _ = composed
    ids = np.arange(len(rows))[key] if isinstance(key, slice) else np.array(key, np.int64)
    np.testing.assert_allclose(storage.embedding(key), rows[ids], atol=CLOSE)
    out = np.empty((*ids.shape, DIMS), np.float32)
    assert storage.embedding(key, out=out) is out
    np.testing.assert_allclose(out, rows[ids], atol=CLOSE)


def test_a_mask(composed):
    storage, rows, _ = composed
    mask = np.arange(len(rows)) % 3 == 0
    np.testing.assert_allclose(storage.embedding(mask), rows[mask], atol=CLOSE)


def test_lengths(composed):
    storage, _, lengths = composed
    for key in (slice(None), slice(2, 9), [3, 3, 0], np.array([[1], [2]])):
        np.testing.assert_allclose(storage.lengths(key), lengths[key], rtol=1e-5)


def test_a_slice_is_a_dense_storage(composed):
    storage, rows, _ = composed
    found = storage[2:5]
    assert isinstance(found, ffjax.NdArray)
    np.testing.assert_allclose(np.asarray(found), rows[2:5], atol=CLOSE)


@jax.jit
def gather(storage, ids):
    return storage.gather(ids)


@jax.jit
def gather_sum(storage, ids):
    return storage.gather_sum(ids)


def test_rows_in_jit(composed):
    storage, rows, _ = composed
    ids = jnp.array([[0, 11], [len(rows) - 1, 12], [-5, 999]], jnp.int32)
    expected = rows[np.clip(ids, 0, len(rows) - 1)]
    np.testing.assert_allclose(gather(storage, ids), expected, atol=CLOSE)


@pytest.mark.parametrize("composed", ["dense"], indirect=True)
def test_rows_under_vmap(composed):
    storage, rows, _ = composed
    ids = jnp.array([[0, 11], [len(rows) - 1, 12], [-5, 999]], jnp.int32)
    vectors = jax.vmap(gather, (None, 0))(storage, ids)
    np.testing.assert_allclose(vectors, rows[np.clip(ids, 0, len(rows) - 1)], atol=CLOSE)


@pytest.mark.parametrize("last", [[-1, -1, -1], [3, -1, 3]], ids=["ngrams", "words"])
def test_sums_in_jit(composed, last):
    storage, rows, lengths = composed
    ids = np.array([[len(lengths), -1, len(rows) - 1], [-1, -1, -1], last], np.int32)
    ids = np.minimum(ids, len(rows) - 1)
    expected = np.stack([rows[line[line >= 0]].sum(0) for line in ids])
    np.testing.assert_allclose(gather_sum(storage, ids), expected, atol=1e-5)


def test_lookup_of_words_among_ngrams():
    """`Rows` made by hand may name words where n-grams are as a rule."""
    ngrams = builders.storage(37, DIMS, seed=2)
    table = StringTable.from_strings(WORDS)
    storage = ffjax.ComposedArray(builders.storage(len(WORDS)), table, ngrams, INDEXER)
    composed = ffjax.Embeddings(storage, vocab_of(INDEXER))
    dense = composed.replace(storage=storage[:], norms=None)
    for line in ([0, 20, -1], [20, 30, 14]):
        words, positions = jnp.array([-1]), jnp.array([0])
        rows = ffjax.Rows(words, jnp.array([line], jnp.int32), positions)
        expected = ffjax.lookup(dense, rows)
        np.testing.assert_allclose(ffjax.lookup(composed, rows), expected, atol=CLOSE)
        sums = np.asarray(dense.storage)[[row for row in line if row >= 0]].sum(0)
        np.testing.assert_allclose(expected[0], sums / np.linalg.norm(sums), atol=CLOSE)


def test_it_is_a_pytree(composed):
    storage, rows, _ = composed
    leaves, tree = jax.tree.flatten(storage)
    again = jax.tree.unflatten(tree, leaves)
    assert again == storage and all(hasattr(leaf, "shape") for leaf in leaves)
    moved = jax.device_put(storage)
    assert moved == storage
    np.testing.assert_allclose(moved.embedding([0, 5, -1]), rows[[0, 5, -1]], atol=CLOSE)


def test_blocks_of_every_size_give_the_same(composed, monkeypatch):
    storage, rows, lengths = composed
    for words in (3, 64):
        monkeypatch.setattr(composition, "HOST_WORDS", words)
        seen = []
        for block, units, norms in composition.compose(
            storage.word_rows, storage._word_ngrams(), np.arange(len(WORDS))
        ):
            seen += block.tolist()
            np.testing.assert_allclose(units, rows[block], atol=CLOSE)
            np.testing.assert_allclose(norms, lengths[block], rtol=1e-5)
        assert sorted(seen) == list(range(len(WORDS)))


def test_sums_of_ngrams(composed):
    storage, rows, lengths = composed
    if storage.ngrams is None:
        return
    words = np.arange(len(WORDS))
    for block, sums, counts in composition.ngram_sums(storage._word_ngrams(), words):
        own = np.asarray(storage.word_rows)[block]
        mean = (own + sums) / (counts[:, None] + 1)
        np.testing.assert_allclose(mean, rows[block] * lengths[block][:, None], atol=1e-5)


def test_embeddings_over_it_answer_as_over_their_rows(composed):
    """Compares with the host's answers over plain rows, which compile nothing."""
    storage, rows, lengths = composed
    vocab = vocab_of(storage.indexer)
    lazy = ffjax.Embeddings(storage, vocab)
    dense = ffjax.Embeddings(ffjax.NdArray(rows.astype(np.float32)), vocab)
    words = ["Paris", "teapots", "</s>", "nothing of it"]
    expected = [dense.embedding(word) for word in words]
    vectors, found = ffjax.embed(lazy, ffjax.pack(words))
    assert found[: len(words)].tolist() == [vector is not None for vector in expected]
    unit = [np.zeros(DIMS) if vector is None else vector for vector in expected]
    np.testing.assert_allclose(vectors[: len(words)], unit, atol=CLOSE)
    assert [r.word for r in lazy.word_similarity("Paris", 4)] == [
        r.word for r in dense.word_similarity("Paris", 4)
    ]
    np.testing.assert_allclose(lazy["Zürich"], dense["Zürich"], atol=CLOSE)
    _, norm = lazy.embedding_with_norm("Zürich")
    assert norm == pytest.approx(lengths[2], rel=1e-5)
    np.testing.assert_allclose(
        np.stack([row for _, row, _ in lazy]), rows[: len(WORDS)], atol=CLOSE
    )


# In a program a map is an array, and what pruned n-grams change is tried above.
@pytest.mark.parametrize("composed", ["dense", "quantized"], indirect=True)
def test_embeddings_over_it_in_jit(composed):
    storage, rows, lengths = composed
    lazy = ffjax.Embeddings(storage, vocab_of(storage.indexer))

    @jax.jit
    def inside(emb, strings, query):
        vectors, _ = ffjax.embed(emb, strings, unnormalize=True)
        return vectors, emb.norms.array, ffjax.top_k(emb, query, 3)

    strings = ffjax.pack(["Paris", "x" * 30, "teapots", "</s>"])
    vectors, norms, best = jax.device_get(inside(lazy, strings, rows[1].astype(np.float32)))
    known = [WORDS.index(word) for word in ("Paris", "x" * 30, "</s>")]
    np.testing.assert_allclose(
        vectors[np.array([0, 1, 3])], rows[known] * lengths[known][:, None], atol=CLOSE
    )
    ngrams = rows[len(WORDS) + np.array(storage.indexer.subword_indices("teapots"))]
    np.testing.assert_allclose(vectors[2], ngrams.mean(0), atol=CLOSE)
    np.testing.assert_allclose(norms, lengths, rtol=1e-5)
    assert int(best.rows[0]) == 1


def test_no_norms_are_computed_where_nobody_asks(tmp_path, monkeypatch):
    own, ngrams, indexer = parts("mapped", tmp_path)
    emb = ffjax.Embeddings(
        ffjax.ComposedArray(own, StringTable.from_strings(WORDS), ngrams, indexer),
        vocab_of(indexer),
    )
    monkeypatch.setattr(ffjax.ComposedArray, "lengths", lambda *_: pytest.fail("computed"))
    leaves, tree = jax.tree.flatten(emb)
    assert sum(isinstance(leaf, np.memmap) for leaf in leaves) == 2
    again = jax.tree.unflatten(tree, leaves)
    assert (
        again == emb
        and len(again.norms) == len(WORDS)
        and "Norms(14)" in repr(jax.block_until_ready(again))
    )
    assert emb.replace(metadata=ffjax.Metadata(a=1)).stored_norms is None


def test_norms_stay_when_the_storage_is_replaced(tmp_path):
    own, ngrams, indexer = parts("dense", tmp_path)
    emb = ffjax.Embeddings(
        ffjax.ComposedArray(own, StringTable.from_strings(WORDS), ngrams, indexer),
        vocab_of(indexer),
    )
    dense = emb.replace(storage=emb.storage[:])
    np.testing.assert_allclose(np.asarray(dense.stored_norms), np.asarray(emb.norms), rtol=1e-6)
    assert emb.replace(storage=emb.storage[:], norms=None).norms is None


def test_norms_are_computed_when_they_are_asked_for():
    asked = []

    @value()
    class Composing:
        """A storage that composes nothing."""

        all_norms: object

        def lengths(self, key):
            asked.append(key)
            return self.all_norms[key]

    storage = Composing(np.arange(5, dtype=np.float32))
    norms = ffjax.Norms.of_storage(storage, 5)
    assert (len(norms), norms.shape, repr(norms), asked) == (5, (5,), "Norms(5)", [])
    assert norms[3] == 3 and isinstance(norms[1:3], ffjax.Norms)
    assert norms[np.array([4, 4])].tolist() == [4, 4]
    assert asked == [3, slice(1, 3), pytest.approx(np.array([4, 4]))]
    assert norms.array.tolist() == [0, 1, 2, 3, 4] == list(norms)
    assert len(asked) == 4
    assert jax.jit(lambda n: n)(ffjax.Norms.of_storage(storage, 5)).array.tolist() == [
        0,
        1,
        2,
        3,
        4,
    ]


def test_wrong_parts_are_refused(tmp_path):
    own, ngrams, indexer = parts("dense", tmp_path)
    table = StringTable.from_strings(WORDS)
    with pytest.raises(ValueError, match="`word_rows`: expected 14 rows, one for each.* got 13"):
        ffjax.ComposedArray(own[:13], table, ngrams, indexer)
    with pytest.raises(ValueError, match=r"`ngrams`: expected shape \(37, 6\), got \(36, 6\)"):
        ffjax.ComposedArray(own, table, ngrams[:36], indexer)
    with pytest.raises(
        TypeError, match="`indexer`: expected a FastTextIndexer or PrunedIndexer with `ngrams`"
    ):
        ffjax.ComposedArray(own, table, ngrams)


@pytest.mark.usefixtures("as_users_see")
def test_wrong_types_are_refused(tmp_path):
    own, ngrams, indexer = parts("dense", tmp_path)
    table = StringTable.from_strings(WORDS)
    with pytest.raises(TypeError, match="`word_rows`, `ngrams`: .*storages, got ndarray, NdArray"):
        ffjax.ComposedArray(np.asarray(own), table, ngrams, indexer)
    with pytest.raises(TypeError, match="`words`: expected a StringTable, got list"):
        ffjax.ComposedArray(own, WORDS, ngrams, indexer)
    storage = ffjax.ComposedArray(own, table, ngrams, indexer)
    with pytest.raises(
        TypeError,
        match="`key`: expected a row number, a slice, or an array of row numbers, got str 'a'",
    ):
        storage.embedding("a")
    with pytest.raises(IndexError, match="`key`: .*expected -51 to 50, got 0 to 51"):
        storage.embedding([0, 51])
