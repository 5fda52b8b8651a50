"""Settings and arguments of indexers, and their limits."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ffjax
from ffjax.vocab.ngrams import FastTextIndexer, FinalfusionHashIndexer, FloretIndexer, base
from tests.vocab.ngrams.test_indexers import (
    INDEXERS,
    bucket_ids,
    each_kind,
    every_indexer,
    expected,
    indexers,
    on_device,
    some_of_all,
)
from tests.vocab.ngrams.words import decoded

WRONG = [
    (FinalfusionHashIndexer, {"buckets_exp": 0}, "`buckets_exp`: expected 1 to 63, got 0"),
    (FinalfusionHashIndexer, {"buckets_exp": 64}, "`buckets_exp`: expected 1 to 63, got 64"),
    (FinalfusionHashIndexer, {"min_n": 0}, "1 <= min_n <= max_n.*got min_n=0 and max_n=6"),
    (FastTextIndexer, {"min_n": 7}, "1 <= min_n <= max_n.*got min_n=7 and max_n=6"),
    (FastTextIndexer, {"n_buckets": 0}, "`n_buckets`: expected 1 to 4294967295, got 0"),
    (
        FastTextIndexer,
        {"n_buckets": 2**32},
        "`n_buckets`: expected 1 to 4294967295, got 4294967296",
    ),
    (FloretIndexer, {"n_buckets": -1}, "`n_buckets`: expected 1 to 4294967295, got -1"),
    (FloretIndexer, {"n_hashes": 5}, "`n_hashes`: expected 1 to 4, got 5"),
    (FloretIndexer, {"seed": -1}, "`seed`: expected 0 to 4294967295, got -1"),
]


@pytest.mark.parametrize(("kind", "settings", "message"), WRONG)
def test_settings_out_of_range(kind, settings, message):
    with pytest.raises(ValueError, match=message):
        kind(**settings)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (FinalfusionHashIndexer, {"buckets_exp": 1.5}),
        (FastTextIndexer, {"n_buckets": "9"}),
        (FastTextIndexer, {"skip_edge_unigrams": 3}),
        (FloretIndexer, {"seed": None}),
    ],
)
def test_settings_of_other_types(kind, settings):
    with pytest.raises(TypeError, match=next(iter(settings))):
        kind(**settings)


@every_indexer
def test_calls_that_are_wrong(indexer):
    for word in (None, 3, b"abc"):
        with pytest.raises(TypeError, match="word"):
            indexer.subword_indices(word)
        with pytest.raises(TypeError, match="ngram"):
            indexer(word)
    for offset in (-1, 2**64):
        with pytest.raises(ValueError, match=f"`offset`: expected 0 to .* got {offset}"):
            indexer.subword_indices("tea", offset)
    if not isinstance(indexer, FinalfusionHashIndexer):
        with pytest.raises(
            ValueError, match=r"`word`: expected text that UTF-8 can hold, got '<a\\ud800>'"
        ):
            indexer.subword_indices("a\ud800")


def test_offset_up_to_64_bits():
    indexer = FinalfusionHashIndexer(63)
    plain = indexer.subword_indices("tea")
    assert indexer.subword_indices("tea", 2**63) == [bucket + 2**63 for bucket in plain]
    with pytest.raises(ValueError, match="`offset`: expected 0 to 9223372036854775808"):
        indexer.subword_indices("tea", 2**63 + 1)


@pytest.mark.parametrize(
    "indexer",
    [FinalfusionHashIndexer(32), FastTextIndexer(2**31 + 1), FloretIndexer(2**32 - 1)],
    ids=repr,
)
def test_too_many_buckets_for_a_device(indexer):
    batch = ffjax.pack(["tea"])
    with pytest.raises(
        ValueError, match=r"expected at most 2\*\*31 buckets on a device.*subword_indices"
    ):
        bucket_ids(indexer, batch.bytes, batch.lengths)
    with pytest.raises(ValueError, match=r"expected at most 2\*\*31 buckets on a device"):
        indexer.indices(batch.bytes, batch.lengths)


def test_words_longer_than_what_is_kept_aside():
    for word in ("ab" * 50, "ü" * 70, "中" * 100, "a" + "ж" * 64):
        for indexer in INDEXERS:
            assert indexer.subword_indices(word) == expected(indexer, f"<{word}>".encode())
    # A character of 20,000 bytes: neither time nor memory of its square.
    raw = b"ab" + b"\x80" * 20_000
    assert FastTextIndexer().subword_indices(decoded(raw)) == expected(
        FastTextIndexer(), b"<" + raw + b">"
    )


@indexers(7, exhaustive=(0, 9))
def test_eager_equals_jit_equals_vmap(indexer):
    batch = ffjax.pack([raw for raw in some_of_all(16)], count=1024)
    data, lengths = jnp.asarray(batch.bytes), jnp.asarray(batch.lengths)
    eager = bucket_ids(indexer, batch.bytes, batch.lengths)
    compiled = jax.jit(partial(bucket_ids, indexer))(data, lengths)
    blocks = data.reshape(4, 256, 16), lengths.reshape(4, 256)
    mapped = jax.vmap(partial(bucket_ids, indexer))(*blocks)
    for a, b, c in zip(eager, compiled, mapped, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c.reshape(a.shape))


@each_kind
def test_indices_are_ids_with_minus_one_behind(indexer):
    batch = ffjax.pack(["tea", "größe", "x" * 14], count=1024)
    for marks in ({}, {"bow": b"", "eow": b""}):
        found, counts = bucket_ids(indexer, batch.bytes, batch.lengths, **marks)
        held = np.arange(found.shape[1]) < np.asarray(counts)[:, None]
        np.testing.assert_array_equal(
            indexer.indices(batch.bytes, batch.lengths, **marks), np.where(held, found, -1)
        )


@each_kind
def test_batches_without_words_and_words_without_width(indexer):
    found, counts = bucket_ids(indexer, np.zeros((0, 16), np.uint8), np.zeros(0, np.int32))
    assert found.shape[0] == 0 == counts.shape[0]
    for marks in ({}, {"bow": b"", "eow": b""}):
        found, counts = bucket_ids(
            indexer, np.zeros((2, 0), np.uint8), np.array([0, -1], np.int32), **marks
        )
        word = indexer.subword_indices("", bracket=not marks)
        assert np.asarray(found)[0, : counts[0]].tolist() == word
        assert counts[1] == 0


def test_blocks_are_as_one(monkeypatch):
    indexer, raws = FastTextIndexer(999_983, 1, 5, skip_edge_unigrams=True), some_of_all(16)
    whole = on_device(indexer, raws)
    monkeypatch.setattr(base, "_BLOCK_WORDS", 300)
    base.packed_ids.clear_cache()
    assert on_device(indexer, raws) == whole
    base.packed_ids.clear_cache()


def test_second_indexer_of_the_same_settings_does_not_compile_again():
    batch = ffjax.pack(["tea"])
    FastTextIndexer(12_345, 3, 3).indices(batch.bytes, batch.lengths)
    before = base.packed_ids._cache_size()
    FastTextIndexer(12_345, 3, 3).indices(batch.bytes, batch.lengths)
    assert base.packed_ids._cache_size() == before


def test_arrays_that_do_not_fit():
    indexer = FastTextIndexer()
    bytes_, lengths = np.zeros((2, 16), np.uint8), np.zeros(2, np.int32)
    for data, sizes in (
        (bytes_.astype(np.int8), lengths),
        (bytes_, lengths.astype(np.int64)),
        (bytes_[0], lengths),
    ):
        with pytest.raises((TypeError, ValueError), match="data|lengths"):
            indexer.indices(data, sizes)


def test_errors_of_arrays_that_do_not_fit(as_users_see):
    indexer = FastTextIndexer()
    bytes_, lengths = np.zeros((2, 16), np.uint8), np.zeros(2, np.int32)
    with pytest.raises(
        ValueError,
        match=r"expected shapes \[batch, width\] and \[batch\], got \(2, 16\) and \(3,\)",
    ):
        indexer.indices(bytes_, np.zeros(3, np.int32))
    with pytest.raises(TypeError, match="expected uint8 and int32, got int8 and int32"):
        indexer.indices(bytes_.astype(np.int8), lengths)
