"""Words that are equal or collide: errors that name them, and tables in spite of them."""

import numpy as np
import pytest

from ffjax.kernels import perfect_hash as hash_table
from ffjax.kernels import perfect_hash_numpy as hash_build
from ffjax.kernels.perfect_hash import HashTable
from ffjax.kernels.perfect_hash_numpy import key_of, place, slot_of
from ffjax.kernels.siphash import hash_spans
from tests.kernels.hash_tables import batch, blob, check, find_jit


def test_duplicates_are_named_with_both_rows():
    words = [b"%d" % i for i in range(50)]
    words[40] = words[30] = words[7]
    words[20] = words[3]
    with pytest.raises(
        ValueError,
        match=r"`words`: expected each once, got '3' as number 3 and again as number 20\. Rem",
    ):
        HashTable.build(*blob(words))
    with pytest.raises(
        ValueError,
        match="`n-grams`: expected each once, got 'a\ufffd' as number 0 and again as number 2",
    ):
        HashTable.build(*blob([b"a\xff", b"", b"a\xff"]), what="n-grams")
    with pytest.raises(ValueError, match="got '' as number 1 and again as number 2"):
        HashTable.build(*blob([b"x", b"", b""]))


def test_many_duplicates_are_refused_quickly(monkeypatch):
    calls = []
    monkeypatch.setattr(hash_build, "slot_of", lambda *a: calls.append(1) or slot_of(*a))
    with pytest.raises(ValueError, match="got 'same' as number 0 and again as number 1"):
        HashTable.build(*blob([b"same"] * 100_000))
    with pytest.raises(ValueError, match="got '0' as number 0 and again as number 1000"):
        HashTable.build(*blob([b"%d" % i for i in range(1000)] * 2))
    assert len(calls) < 100  # no search for a factor that can't exist


# Hostile words


def buckets_under(key, words, n_buckets):
    data, offsets = blob(words)
    return hash_spans(data, offsets[:-1], np.diff(offsets), key)[0] & np.uint32(n_buckets - 1)


def test_words_that_collide_under_the_key_of_another_table():
    """A thousand words of one bucket under the key of another table change the key."""
    victim = HashTable.build(*blob([b"%d" % i for i in range(1000)]))
    candidates = [b"w%x" % i for i in range(1_200_000)]
    one_bucket = np.flatnonzero(buckets_under(victim.key, candidates, 1024) == 0)[:1000]
    words = [candidates[i] for i in one_bucket]
    assert len(words) == 1000
    data, offsets = blob(words)
    assert place(*hash_spans(data, offsets[:-1], np.diff(offsets), victim.key)) is None

    table = check(words, words + candidates[:1000])
    assert np.bincount(buckets_under(table.key, words, 1024)).max() <= 10
    assert find_jit(victim, *blob([b"%d" % i for i in range(1000)]), *batch(words, 16)).max() == -1


def test_words_that_collide_under_their_own_key():
    """Found by trying: sets of words that all fall into one bucket of their own table."""
    found = 0
    for i in range(1000):
        words = [b"%d.%d" % (i, j) for j in range(5)]
        data, offsets = blob(words)
        if len(set(buckets_under(HashTable.build(data, offsets).key, words, 4).tolist())) == 1:
            check(words, [*words, b"%d." % i, b"none"])
            found += 1
    assert found  # one in 256 is expected


def test_a_key_that_fails_is_followed_by_the_next(monkeypatch):
    """The first key is one under which the words collide; the answers are those of the second."""
    bad = np.array([1, 2], np.uint32)
    candidates = [b"w%x" % i for i in range(60_000)]
    words = [candidates[i] for i in np.flatnonzero(buckets_under(bad, candidates, 128) == 5)[:150]]
    asked = []

    def key(digest, attempt):
        asked.append(attempt)
        return bad if attempt == 0 else key_of(digest, attempt)

    monkeypatch.setattr(hash_table, "key_of", key)
    table = check(words, words + candidates[:500])
    assert asked == [0, 1] and not np.array_equal(table.key, bad)


def test_the_search_for_a_key_has_an_end(monkeypatch):
    monkeypatch.setattr(hash_table, "place", lambda first, second: None)
    with pytest.raises(
        RuntimeError, match="`words`: could not place 2 distinct strings with any of 64 keys"
    ):
        HashTable.build(*blob([b"a", b"b"]))


def test_place_gives_every_string_its_own_slot():
    rng = np.random.default_rng(0)
    for n in (1, 2, 3, 7, 20, 1000):
        first, second = rng.integers(0, 2**32, (2, n), np.uint32)
        if n == 20:
            first[:] = 7  # as full as a bucket may be
        factors, rows = place(first, second)
        slots = slot_of(second, factors[first & np.uint32(len(factors) - 1)], len(rows))
        assert rows[slots].tolist() == list(range(n))


def test_place_gives_up_at_once_where_no_factor_can_exist():
    halves = np.arange(1, 43, 2, dtype=np.uint32)
    assert place(np.zeros(21, np.uint32), halves) is None  # more than 20 in a bucket
    assert (
        place(np.zeros(2, np.uint32), np.array([6, 7], np.uint32)) is None
    )  # equal but for the lowest bit
    assert place(np.zeros(2, np.uint32), np.array([6, 6], np.uint32)) is None
