"""Search of memory maps, in blocks."""

import itertools
import weakref
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ffjax
from ffjax.functional.search import out_of_core as blocks
from ffjax.functional.search.arguments import row_filter
from ffjax.functional.search.out_of_core import map_slice, search_out_of_core
from ffjax.kernels.top_k.search import Plan
from tests.builders import WORDS, embeddings, storage
from tests.functional.search.reference import agree, integers, normals, reference


@pytest.fixture(params=[0, 4, 2], ids=["aligned", "after a header", "at an odd byte"])
def mapped(request, tmp_path):
    """`mapped(matrix)`: the matrix as a read-only map that begins somewhere in a file."""

    def write(matrix):
        path = tmp_path / "rows"
        path.write_bytes(bytes(request.param) + matrix.tobytes())
        return np.memmap(path, matrix.dtype, "r", offset=request.param, shape=matrix.shape)

    return write


def in_blocks(stored, queries, k, *, candidates=None, exclude=None, metric="dot", n_rows=None):
    n_rows = len(stored) if n_rows is None else n_rows
    exclude = None if exclude is None else jnp.asarray(exclude)
    allowed = row_filter(candidates, exclude, n_rows)
    args = stored, jnp.asarray(queries), allowed, n_rows, Plan(k, metric)
    with mock.patch.object(blocks, "KEEP", 0.0):  # so that pages are released
        return ffjax.TopK(*search_out_of_core(*args, block_bytes=2000))


@pytest.mark.parametrize("n_rows", [1, 31, 96, 1000])
def test_a_map_is_searched_as_an_array_is(mapped, n_rows):
    matrix, queries = integers(0, n_rows, 5), integers(1, 4, 5)
    exclude = np.tile(np.array([0, n_rows // 2, -1], np.int32), (4, 1))
    stored = ffjax.NdArray(mapped(matrix))
    for options in ({}, {"exclude": exclude}):
        expected = reference(matrix, queries, 9, **options)
        agree(in_blocks(stored, queries, 9, **options), expected)
        agree(ffjax.top_k(stored, queries, 9, **options), expected)
    # Cosines of integers tie up to rounding alone.
    real, queries = normals(0, n_rows, 5), normals(1, 4, 5)
    found = in_blocks(ffjax.NdArray(mapped(real)), queries, 9, metric="cosine")
    agree(found, reference(real, queries, 9, metric="cosine"), atol=1e-6)


def test_only_some_rows_of_a_map(mapped):
    matrix, queries = integers(0, 1000, 5), integers(1, 4, 5)
    stored, mask = ffjax.NdArray(mapped(matrix)), np.arange(1000) % 3 == 0
    exclude = np.tile(np.array([300, 333, -1], np.int32), (4, 1))
    listed = np.array([700, 3, 3, 333, *range(300, 650)])
    for rows, allowed in (
        (mask, np.flatnonzero(mask)),
        (slice(301, 777), range(301, 777)),
        (listed, listed),
    ):
        found = in_blocks(stored, queries, 9, candidates=rows, exclude=exclude)
        agree(found, reference(matrix, queries, 9, allowed=allowed, exclude=exclude))
    assert (in_blocks(stored, queries, 9, candidates=[]).rows == -1).all()
    agree(in_blocks(stored, queries, 9, n_rows=333), reference(matrix[:333], queries, 9))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, np.float16])
def test_narrow_floats_in_a_map(mapped, dtype):
    matrix, queries = integers(0, 500, 5).astype(dtype), integers(1, 4, 5)
    stored = ffjax.NdArray(mapped(matrix))
    agree(in_blocks(stored, queries, 9), reference(matrix.astype(np.float32), queries, 9))


def test_no_queries_and_no_answers(mapped):
    stored = ffjax.NdArray(mapped(integers(0, 100, 5)))
    assert ffjax.top_k(stored, np.ones((0, 5), np.float32), 3).rows.shape == (0, 3)
    assert ffjax.top_k(stored, np.ones((2, 5), np.float32), 0).rows.shape == (2, 0)


def test_codes_in_a_map_are_decoded_block_by_block(mapped):
    held = storage(1000, kind="pq_norms")
    stored = ffjax.QuantizedArray(held.quantizer, mapped(np.asarray(held.codes)), held.norms)
    queries = np.random.default_rng(1).standard_normal((4, 6)).astype(np.float32)
    expected = ffjax.top_k(held, queries, 9)
    for found in (in_blocks(stored, queries, 9), ffjax.top_k(stored, queries, 9)):
        np.testing.assert_array_equal(found.rows, expected.rows)
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)


def test_two_blocks_are_in_memory(mapped, monkeypatch):
    """When a block is read, only the one before it still exists, which is being searched."""
    stored = storage(5000, kind="pq")
    stored = ffjax.QuantizedArray(stored.quantizer, mapped(np.asarray(stored.codes)))
    references, counts, read = [], [], blocks._read_block

    def counted(*args):
        counts.append(sum(block() is not None for block in references))
        block, offset = read(*args)
        references.append(weakref.ref(block))
        return block, offset

    monkeypatch.setattr(blocks, "_read_block", counted)
    in_blocks(stored, np.ones((2, 6), np.float32), 9)
    assert len(counts) > 2 and max(counts) == 1


def test_composed_rows_are_composed_block_by_block(monkeypatch):
    emb = embeddings("fasttext")
    words = ffjax.NdArray(jnp.asarray(emb.storage[: len(WORDS)].matrix))
    ngrams = emb.storage[len(WORDS) :]
    composed = ffjax.ComposedArray(words, emb.vocab.table, ngrams, emb.vocab.subword_indexer)
    queries = np.random.default_rng(1).standard_normal((3, 6)).astype(np.float32)
    monkeypatch.setattr(blocks, "_COMPOSED_ROWS", 16)
    expected = reference(np.asarray(composed), queries, 9)
    agree(ffjax.top_k(composed, queries, 9), expected, atol=1e-5)
    agree(jax.jit(lambda s, q: ffjax.top_k(s, q, 9))(composed, queries), expected, atol=1e-5)


def test_a_file_is_searched_where_it_lies(tmp_path):
    matrix, queries = integers(0, 4000, 5), integers(1, 4, 5)
    words = [f"w{i}" for i in range(4000)]
    ffjax.Embeddings(ffjax.NdArray(matrix), ffjax.SimpleVocab(words)).write(tmp_path / "e.fifu")
    emb = ffjax.load(tmp_path / "e.fifu", mmap=True)
    agree(ffjax.top_k(emb, queries, 9), reference(matrix, queries, 9))


def test_slices_are_views_of_one_shape(mapped):
    held = mapped(np.arange(1000 * 5, dtype=np.float32).reshape(1000, 5))
    shapes = set()
    for first in range(0, 1000, 96):
        first = min(first, 1000 - 96)
        flat, offset = map_slice(held, first, 96)
        np.testing.assert_array_equal(
            flat[offset : offset + 480].reshape(96, 5), held[first : first + 96]
        )
        assert flat.ctypes.data % 64 == 0
        # The last slice has no room for its end, and numbers at an odd byte cannot be read there.
        can_be_viewed = held.ctypes.data % 4 == 0 and 0 < first < 1000 - 96
        assert np.shares_memory(flat, held) or not can_be_viewed
        shapes.add(flat.shape)
    assert len(shapes) == 1


def test_searched_blocks_are_released_and_at_most_two_are_in_memory(mapped, monkeypatch):
    order = []
    held = mapped(integers(0, 2000, 5))
    count = itertools.count()
    monkeypatch.setattr(blocks, "read_ahead", lambda flat: order.append(("read", next(count))))
    monkeypatch.setattr(
        blocks, "release_pages", lambda flat, keep: flat is None or order.append(("release", None))
    )
    in_blocks(ffjax.NdArray(held), integers(1, 4, 5), 3)
    at_once = list(itertools.accumulate(1 if what == "read" else -1 for what, _ in order))
    assert len(order) == 2 * 16  # 2,000 rows in blocks of 128: 100 fit 2,000 bytes, rounded up
    assert max(at_once) <= 2  # one is searched, one is being read
    assert at_once[-1] == 0
