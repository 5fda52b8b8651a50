"""The three hash indexers, on the host and on the device, against their definitions."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ffjax
from ffjax.kernels.ngrams_numpy import mark_words
from ffjax.vocab.ngrams import FastTextIndexer, FinalfusionHashIndexer, FloretIndexer
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
# Where checks of annotations would take most of the time; other tests here make the same calls.
unchecked = pytest.mark.usefixtures("as_users_see")


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


@unchecked
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


@unchecked
@device_indexers
def test_device_as_the_host(indexer):
    raws = some_of_all(16)
    assert on_device(indexer, raws) == [indexer.subword_indices(decoded(raw)) for raw in raws]


@unchecked
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


@unchecked
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


def test_rows_of_pruned_buckets_by_search_and_by_table():
    """A few n-grams or very many buckets are no reason for a table of all buckets."""
    rng = np.random.default_rng(3)
    cases = (1 << 29, 10_000, False), (1 << 20, 10_000, True), (1 << 20, 9, False)
    for n_buckets, n, by_table in cases:
        buckets = rng.choice(n_buckets, 150, replace=False).astype(np.int32)
        indexer = ffjax.PrunedIndexer(ffjax.FastTextIndexer(n_buckets), buckets)
        numbers = {bucket: row for row, bucket in enumerate(buckets.tolist())}
        some = rng.integers(0, n_buckets, n).astype(np.uint32)
        some[::3] = rng.choice(buckets, len(some[::3]))
        expected = [numbers.get(bucket, -1) for bucket in some.tolist()]
        assert indexer.host_rows(some).tolist() == expected
        assert indexer.marked_ids("<hello>").size == len(indexer.subword_indices("hello"))
        assert ("_row_of_bucket" in vars(indexer)) == by_table
    empty = ffjax.PrunedIndexer(ffjax.FastTextIndexer(100), np.zeros(0, np.int32))
    assert empty.host_rows(np.arange(3, dtype=np.uint32)).tolist() == [-1, -1, -1]
