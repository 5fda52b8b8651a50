"""The hash table: exact, the same on host and device, and bounded for hostile words."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ffjax.kernels import perfect_hash as hash_table
from ffjax.kernels import perfect_hash_build as hash_build
from ffjax.kernels.perfect_hash import HashTable, find
from ffjax.kernels.perfect_hash_build import key_of, place, slot_of
from ffjax.kernels.siphash import hash_spans

find_jit = jax.jit(find)


def blob(words, slack=64):
    """The words in one buffer, with their offsets."""
    data = np.frombuffer(b"".join(words) + bytes(slack), np.uint8)
    return data, np.cumsum([0, *map(len, words)]).astype(np.int32)


def batch(queries, width, fill=b"\0"):
    data = b"".join(query.ljust(width, fill)[:width] for query in queries)
    lengths = np.array([len(query) for query in queries], np.int32)
    return np.frombuffer(data, np.uint8).reshape(len(queries), width), lengths


def find_by_dict(data, offsets, strings, lengths):
    """The same with a `dict`."""
    data, offsets, strings, lengths = map(np.asarray, (data, offsets, strings, lengths))
    bounds = zip(offsets[:-1], offsets[1:], strict=True)
    rows = {data[begin:end].tobytes(): row for row, (begin, end) in enumerate(bounds)}
    found = [
        rows.get(row[:n].tobytes(), -1) if 0 <= n <= row.size else -1
        for row, n in zip(strings, lengths, strict=True)
    ]
    return np.array(found, np.int32)


def check(words, queries, width=16, fill=b"\0", slack=64):
    """Asks for all queries at once, compiled and on the host, and compares with a `dict`."""
    data, offsets = blob(words, slack)
    table = HashTable.build(data, offsets)
    rows = {word: row for row, word in enumerate(words)}
    expected = [rows.get(query, -1) if len(query) <= width else -1 for query in queries]
    strings, lengths = batch(queries, width, fill)
    found = find_jit(table, data, offsets, strings, lengths)
    assert found.dtype == np.int32 and found.tolist() == expected
    return table


def misses(words):
    """Words that are not in the table, most of them nearly."""
    near = [w + b"\0" for w in words] + [w[:-1] for w in words] + [w[1:] for w in words]
    near += [w[:-1] + bytes([w[-1] ^ bit]) for w in words if w for bit in (1, 128)]
    return [w for w in near if w not in set(words)] + [b"", b"\0", b"quite unknown"]


WORDS = [
    b"the",
    b"th",
    b"t",
    b"a",
    b"",
    b"a\0",
    b"\0",
    b"\0\0",
    b"a\0b",
    "Zürich".encode(),
    b"\xff\xfe",
    b"sixteen  letters",
]


def test_eager_is_compiled_is_numpy_is_dict():
    queries = WORDS + misses(WORDS)
    table = check(WORDS, queries)
    data, offsets = blob(WORDS)
    found = find(table, data, offsets, *batch(queries, 16))
    assert isinstance(found, jax.Array)
    assert found.tolist() == find_by_dict(data, offsets, *batch(queries, 16)).tolist()


def test_vmap_over_batches_and_over_tables():
    data, offsets = blob(WORDS)
    other = [word + b"x" for word in WORDS[1:]] + [b"last"]
    other_data, other_offsets = blob(other, len(data) - len(b"".join(other)))  # buffers of one size
    tables = [HashTable.build(data, offsets), HashTable.build(other_data, other_offsets)]
    strings, lengths = batch([*WORDS, *other, b"x", b"no"][:24], 16)
    strings, lengths = strings.reshape(2, 12, 16), lengths.reshape(2, 12)

    over_batches = jax.jit(jax.vmap(partial(find, tables[0], data, offsets)))(strings, lengths)
    assert over_batches.tolist() == [
        find_by_dict(data, offsets, *b).tolist() for b in zip(strings, lengths, strict=True)
    ]

    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *tables)
    both = (np.stack([data, other_data]), np.stack([offsets, other_offsets]))
    over_tables = jax.jit(jax.vmap(find))(stacked, *both, strings, lengths)
    assert over_tables[0].tolist() == over_batches[0].tolist() == list(range(12))
    assert (
        over_tables[1].tolist()
        == find_by_dict(other_data, other_offsets, strings[1], lengths[1]).tolist()
    )


def test_empty_table_and_empty_batch():
    table = check([], [b"", b"a"])
    assert table.rows.shape == (1,)
    check([b"a"], [])
    check([], [])


@pytest.mark.parametrize("known", [True, False])
def test_empty_string(known):
    check([b"a", b"", b"b"] if known else [b"a", b"b"], [b"", b"a", b"b", b"\0"])


def test_words_that_begin_other_words():
    words = [b"abcdefghijklmnop"[:n] for n in range(17)] + [b"\0" * n for n in range(1, 17)]
    check(words, words + misses(words), width=17)


def test_words_with_the_same_bytes_across_a_border():
    """A word's bytes followed by its neighbour's are no word."""
    words = [b"ab", b"cd", b"abc", b"d"]
    check(words, [*words, b"abcd", b"bc", b"cda", b"da", b"c", b"b"])


@pytest.mark.parametrize("width", [1, 3, 15, 64, 65, 300])
def test_words_and_batches_of_any_width(width):
    rng = np.random.default_rng(width)
    lengths = [
        0,
        1,
        2,
        3,
        4,
        5,
        8,
        15,
        16,
        59,
        60,
        61,
        63,
        64,
        65,
        66,
        127,
        128,
        129,
        299,
        300,
        301,
        1000,
    ]
    words = [rng.bytes(n) for n in lengths]
    words += [words[-2][:-1] + bytes([words[-2][-1] ^ 1]), words[-3] + b"!"]
    words = list(dict.fromkeys(words))
    check(words, words + [w for w in misses(words) if len(w) <= width], width)


def test_lengths_beside_the_width_are_not_found():
    """A length over the width means the batch lacks the string; a negative one, a filler row."""
    data, offsets = blob([b"abcdefgh", b"abcd", b""])
    table = HashTable.build(data, offsets)
    strings, lengths = (
        np.frombuffer(b"abcd" * 4, np.uint8).reshape(4, 4),
        np.array([8, 4, -1, 0], np.int32),
    )
    assert find_jit(table, data, offsets, strings, lengths).tolist() == [-1, 1, -1, 2]
    assert find_jit(table, data, offsets, strings, lengths).tolist() == [-1, 1, -1, 2]


def test_bytes_behind_a_string_are_not_read():
    words = [b"a", b"ab", b"abc", b"abcd", b"abcde", b""]
    check(words, [*words, b"b"], fill=b"\xff")
    check(words, [*words, b"b"], fill=b"\xff", width=70)


@pytest.mark.parametrize("slack", [4, 5, 6, 7, 64, 4096])
@pytest.mark.parametrize("n_queries", [3, 40])
def test_every_alignment_of_words_and_buffer(slack, n_queries):
    words = [b"abcdefghijkl"[:n] + bytes([n, 200]) for n in range(1, 12)]
    check(words, (words + misses(words))[:n_queries], slack=slack)


def test_every_small_size():
    for n in range(1, 70):
        words = [b"%d" % i for i in range(n)]
        data, offsets = blob(words)
        table = HashTable.build(data, offsets)
        assert find_jit(table, data, offsets, *batch([*words, b"%d" % n], 4)).tolist() == [
            *range(n),
            -1,
        ]


@pytest.mark.parametrize("n", [819, 820, 65_536, 104_857, 104_858])
def test_the_fullest_and_the_emptiest_tables(n):
    words = [b"%x" % i for i in range(n)]
    data, offsets = blob(words)
    table = HashTable.build(data, offsets)
    strings, lengths = batch([*words, b"not a word"], 12)
    assert np.array_equal(find_jit(table, data, offsets, strings, lengths), [*range(n), -1])
    assert np.array_equal(find_jit(table, data, offsets, strings, lengths), [*range(n), -1])


def test_shapes_follow_from_the_number_of_words():
    for n, n_slots in [
        (0, 1),
        (1, 1),
        (2, 2),
        (3, 4),
        (4, 8),
        (6, 8),
        (7, 8),
        (8, 16),
        (819, 1024),
        (820, 2048),
    ]:
        for words in ([b"%d" % i for i in range(n)], [b"a" * i for i in range(n)]):
            table = HashTable.build(*blob(words))
            assert (table.rows.shape, table.factors.shape) == ((n_slots,), (max(1, n_slots // 2),))


def test_vocabularies_of_one_size_share_a_program():
    traces = []

    @jax.jit
    def traced(*arguments):
        traces.append(1)
        return find(*arguments)

    for words in ([b"ab", b"c", b"d"], [b"c", b"ab", b"e"]):
        data, offsets = blob(words)
        found = traced(HashTable.build(data, offsets), data, offsets, *batch([b"c", b"d", b"e"], 4))
        assert found.tolist() == [words.index(w) if w in words else -1 for w in (b"c", b"d", b"e")]
    assert len(traces) == 1


def test_a_fixed_number_of_gathers_and_neither_loop_nor_scatter():
    data, offsets = blob([b"%d" % i for i in range(300)])
    text = str(
        jax.make_jaxpr(find)(HashTable.build(data, offsets), data, offsets, *batch([b"1"], 16))
    )
    assert text.count(" gather[") == 4 + 16 // 4
    assert not [
        name for name in ("while", "scan", "scatter", "cond", "sort") if f" {name}[" in text
    ]


def test_equal_words_make_equal_tables():
    words = [b"%d" % i for i in range(1000)]
    table = HashTable.build(*blob(words))
    assert table == HashTable.build(*blob(words, slack=1000))
    assert table == jax.tree.map(jnp.asarray, table)
    assert table != HashTable.build(*blob(words[::-1]))
    assert table != HashTable.build(*blob(words[:-1]))
    moved = [b"".join(words[:2]), b"", *words[2:]]  # the same bytes, cut elsewhere
    assert not np.array_equal(table.key, HashTable.build(*blob(moved)).key)
    assert repr(table) == "HashTable(1024 buckets, 2048 slots)"


@pytest.mark.devices
def test_sharded_batch():
    words = [b"%d" % i for i in range(100)]
    data, offsets = blob(words)
    table = HashTable.build(data, offsets)
    devices = jax.devices()
    strings, lengths = batch([b"%d" % i for i in range(0, 16 * len(devices))], 16)
    mesh = Mesh(np.array(devices), ("batch",))
    strings, lengths = jax.device_put(
        (strings, lengths), NamedSharding(mesh, PartitionSpec("batch"))
    )
    expected = [i if i < 100 else -1 for i in range(16 * len(devices))]
    assert find_jit(table, data, offsets, strings, lengths).tolist() == expected


# Duplicates


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


# Any words

words_and_queries = st.tuples(
    st.lists(st.binary(max_size=20), unique=True, max_size=40),
    st.lists(st.binary(max_size=20), max_size=20),
)
few_letters = st.tuples(
    st.lists(st.text("ab\0", max_size=6).map(str.encode), unique=True, max_size=60),
    st.lists(st.text("ab\0", max_size=7).map(str.encode), max_size=30),
)


@settings(deadline=None, max_examples=150)
@given(st.one_of(words_and_queries, few_letters))
def test_any_words(case):
    words, queries = case
    data, offsets = blob(words)
    table = HashTable.build(data, offsets)
    queries = [*words, *queries]
    expected = [words.index(q) if q in words else -1 for q in queries]
    assert find_jit(table, data, offsets, *batch(queries, 20)).tolist() == expected


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.binary(max_size=12), min_size=30, max_size=30, unique=True),
    st.randoms(use_true_random=False),
)
def test_any_words_compiled(words, random):
    """Sizes are fixed so that one program serves: thirty words, twenty of them in the table."""
    queries = random.sample(words, 30)
    data, offsets = blob(words[:20])
    data = np.concatenate([data, np.zeros(1024 - data.size, np.uint8)])
    found = find_jit(HashTable.build(data, offsets), data, offsets, *batch(queries, 12))
    assert found.tolist() == [words.index(q) if words.index(q) < 20 else -1 for q in queries]
