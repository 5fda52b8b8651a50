"""The three hash indexers, on the host and on the device, against their definitions."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ffjax
from ffjax.kernels.ngrams_numpy import mark_words
from ffjax.vocab.ngrams import FastTextIndexer, FinalfusionHashIndexer, FloretIndexer, base
from tests.builders import cases
from tests.vocab.ngrams import reference
from tests.vocab.ngrams.reference import murmur3
from tests.vocab.ngrams.words import INVALID, SPECIAL, decoded, some_bytes, some_words

INDEXERS = [
    FinalfusionHashIndexer(),
    FinalfusionHashIndexer(5, 1, 4),
    FinalfusionHashIndexer(31, 2, 2),
    FinalfusionHashIndexer(21, 7, 10),
    FastTextIndexer(),
    FastTextIndexer(2**31, 1, 4),
    FastTextIndexer(1, 2, 3),
    FastTextIndexer(999_983, 1, 5, skip_edge_unigrams=True),
    FastTextIndexer(1000, 7, 10),
    FloretIndexer(50_000, 4, 5, 2),
    FloretIndexer(999_983, 1, 3, 4, seed=7),
    FloretIndexer(2**31, 1, 2, 3, skip_edge_unigrams=False),
    FloretIndexer(1000, 7, 10),
]
every_indexer = pytest.mark.parametrize("indexer", INDEXERS, ids=repr)


def indexers(*numbers, exhaustive=()):
    """Indexers by their number. Each compiles a program, so some only under `exhaustive`."""
    run, rest = [INDEXERS[i] for i in numbers], [INDEXERS[i] for i in exhaustive]
    return pytest.mark.parametrize("indexer", cases(run, exhaustive=rest), ids=repr)


device_indexers = indexers(0, 3, 5, 7, 10, exhaustive=(2, 8, 12))
each_kind = indexers(0, 7, 9)


def expected(indexer, raw):
    """The buckets of a marked word from the definitions."""
    least, most = indexer.min_n, indexer.max_n
    if isinstance(indexer, FinalfusionHashIndexer):
        grams = reference.stretches(decoded(raw), least, most)
        return [reference.finalfusion_hash(gram) % indexer.upper_bound for gram in grams]
    grams = reference.stretches(
        reference.lead_characters(raw), least, most, indexer.skip_edge_unigrams
    )
    pieces = [b"".join(gram) for gram in grams]
    if isinstance(indexer, FastTextIndexer):
        return [reference.fasttext_hash(piece) % indexer.n_buckets for piece in pieces]
    quarters = murmur3([raw, *pieces], indexer.seed)[:, : indexer.n_hashes]
    return (quarters.astype(np.int64) % indexer.n_buckets).ravel().tolist()


def bucket_ids(indexer, *arrays, **marks):
    """The ids with zeros after a word's last n-gram, and how many each word has."""
    ids = indexer.indices(*arrays, **marks)
    return jnp.maximum(ids, 0), (ids >= 0).sum(1, dtype=jnp.int32)


def on_device(indexer, raws, bow=b"<", eow=b">"):
    batch = ffjax.pack(raws, count=1024)  # the same size throughout, for the same programs
    found, counts = map(
        np.asarray, bucket_ids(indexer, batch.bytes, batch.lengths, bow=bow, eow=eow)
    )
    assert found.dtype == counts.dtype == np.int32
    assert not counts[len(raws) :].any()
    assert not found[np.arange(found.shape[1]) >= counts[:, None]].any()
    return [
        row[:count].tolist()
        for row, count in zip(found[: len(raws)], counts[: len(raws)], strict=True)
    ]


def some_of_all(longest):
    valid = [word.encode() for word in [*SPECIAL, *some_words(400)]]
    return [raw for raw in [*valid, *INVALID, *some_bytes(300)] if len(raw) <= longest]


@every_indexer
def test_host_as_the_definition(indexer):
    for raw in some_of_all(400):
        assert indexer.subword_indices(decoded(raw)) == expected(indexer, b"<" + raw + b">"), raw
        assert indexer.subword_indices(decoded(raw), bracket=False) == expected(indexer, raw), raw


@every_indexer
def test_many_words_at_once_as_one_by_one(indexer):
    raws = some_of_all(60)
    lengths = np.array([len(raw) for raw in raws])
    data = np.frombuffer(b"".join(raws), np.uint8)
    marked = mark_words(data, np.cumsum(lengths) - lengths, lengths, b"<", b">")
    ids, splits = indexer.ragged_ids(*marked)
    for raw, start, stop in zip(raws, splits[:-1], splits[1:], strict=True):
        assert ids[start:stop].tolist() == indexer.subword_indices(decoded(raw)), raw


@device_indexers
def test_device_as_the_host(indexer):
    raws = some_of_all(16)
    assert on_device(indexer, raws) == [indexer.subword_indices(decoded(raw)) for raw in raws]


@each_kind
def test_device_on_long_words(indexer):
    raws = some_of_all(64)
    assert max(map(len, raws)) == 64
    assert on_device(indexer, raws) == [indexer.subword_indices(decoded(raw)) for raw in raws]


@indexers(0, 9, exhaustive=(7,))
def test_device_without_brackets(indexer):
    raws = some_of_all(16)
    assert on_device(indexer, raws, b"", b"") == [
        indexer.subword_indices(decoded(raw), bracket=False) for raw in raws
    ]


@device_indexers
def test_device_on_valid_words_alone(indexer):
    # Without a character of five bytes in the batch, another program path is taken.
    for words in (["tea", "x" * 16, ""], ["größe", "日本語", "👍🏽", "a", "", "x" * 16]):
        raws = [word.encode() for word in words]
        assert on_device(indexer, raws) == [indexer.subword_indices(word) for word in words]


@indexers(7, exhaustive=(0, 9))
def test_other_marks(indexer):
    raws = some_of_all(16)
    bow, eow = "«".encode(), b"/>"
    assert on_device(indexer, raws, bow, eow) == [
        indexer.subword_indices(decoded(bow + raw + eow), bracket=False) for raw in raws
    ]


@device_indexers
@given(raws=st.lists(st.binary(max_size=16), min_size=4, max_size=4))
def test_any_bytes(indexer, raws):
    batch = ffjax.pack(raws, width=16, count=1024)
    found, counts = map(np.asarray, bucket_ids(indexer, batch.bytes, batch.lengths))
    for raw, row, count in zip(raws, found, counts, strict=False):
        assert row[:count].tolist() == expected(indexer, b"<" + raw + b">")
        assert indexer.subword_indices(decoded(raw)) == expected(indexer, b"<" + raw + b">")


@every_indexer
def test_one_n_gram(indexer):
    for raw in some_of_all(20):
        found = indexer(decoded(raw))
        if isinstance(indexer, FinalfusionHashIndexer):
            assert found == reference.finalfusion_hash(decoded(raw)) % indexer.upper_bound
        elif isinstance(indexer, FastTextIndexer):
            assert found == reference.fasttext_hash(raw) % indexer.n_buckets
        else:
            assert (
                found
                == (
                    murmur3([raw], indexer.seed)[0, : indexer.n_hashes] % indexer.n_buckets
                ).tolist()
            )


@every_indexer
def test_names_and_offset(indexer):
    repeat = getattr(indexer, "n_hashes", 1)
    for word in ("tea", "größe", "日本語", "", "a\udc80\udc80b"):
        plain = indexer.subword_indices(word)
        pairs = indexer.subword_indices(word, 1000, with_ngrams=True)
        assert [bucket for _, bucket in pairs] == [bucket + 1000 for bucket in plain]
        for i, (ngram, bucket) in enumerate(pairs):
            buckets = indexer(ngram)
            assert bucket - 1000 == (
                buckets[i % repeat] if repeat > 1 or isinstance(buckets, list) else buckets
            )


@every_indexer
def test_values(indexer):
    names = [field.name for field in dataclasses.fields(indexer)]
    same = type(indexer)(**{name: getattr(indexer, name) for name in names})
    indexer.subword_indices("tea")  # fills what is kept aside, which must not count
    assert same == indexer
    assert hash(same) == hash(indexer)
    assert type(indexer)(min_n=9, max_n=9) != indexer
    assert indexer != 3
    with pytest.raises(AttributeError, match="min_n"):
        indexer.min_n = 1


def test_reprs_are_those_of_finalfusion():
    assert (
        repr(FinalfusionHashIndexer(7)) == "FinalfusionHashIndexer(buckets_exp=7, min_n=3, max_n=6)"
    )
    assert repr(FastTextIndexer(7)) == "FastTextIndexer(n_buckets=7, min_n=3, max_n=6)"
    shown = "FastTextIndexer(n_buckets=7, min_n=3, max_n=6, skip_edge_unigrams=True)"
    assert repr(FastTextIndexer(7, skip_edge_unigrams=True)) == shown


def test_no_two_indexers_of_other_kinds_are_equal():
    assert FastTextIndexer(7, 1, 2) != FloretIndexer(7, 1, 2)
    assert FastTextIndexer(min_n=1) != FastTextIndexer(min_n=1, skip_edge_unigrams=True)
    assert FloretIndexer(seed=1) != FloretIndexer(seed=2)


def test_buckets():
    assert FinalfusionHashIndexer(9).upper_bound == 2**9
    assert FinalfusionHashIndexer(9).buckets_exp == FinalfusionHashIndexer(9).buckets_exp == 9
    assert FastTextIndexer(9).upper_bound == FastTextIndexer(9).n_buckets == 9
    assert FloretIndexer(9).upper_bound == 9


def test_subword_indices_from_finalfusion_rust():
    # From finalfusion-rust, src/subword.rs, SUBWORD_TESTS_21: sorted, of words with brackets.
    known = {
        "Daniël": "214157 233912 311961 488897 620206 741276 841219 1167494 1192256 "
        "1489905 1532271 1644730 1666166 "
        "1679745 1680294 1693100 2026735 2065822",
        "hallo": "75867 104120 136555 456131 599360 722393 938007 985859 1006102 1163391 "
        "1218704 1321513 1505861 "
        "1892376",
    }
    for word, buckets in known.items():
        assert sorted(FinalfusionHashIndexer().subword_indices(word)) == [
            int(b) for b in buckets.split()
        ]


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
    base._indices.clear_cache()
    assert on_device(indexer, raws) == whole
    base._indices.clear_cache()


def test_second_indexer_of_the_same_settings_does_not_compile_again():
    batch = ffjax.pack(["tea"])
    FastTextIndexer(12_345, 3, 3).indices(batch.bytes, batch.lengths)
    before = base._indices._cache_size()
    FastTextIndexer(12_345, 3, 3).indices(batch.bytes, batch.lengths)
    assert base._indices._cache_size() == before


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
