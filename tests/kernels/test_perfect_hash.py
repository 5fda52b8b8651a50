"""The hash table: exact, the same on host and device, and bounded for hostile words."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ffjax.kernels import perfect_hash
from ffjax.kernels.perfect_hash import HashTable, find
from tests.builders import cases
from tests.kernels.hash_tables import batch, blob, check, find_by_dict, find_jit, misses

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


def test_a_large_wide_batch_in_blocks_that_overlap(monkeypatch):
    """The last block begins before the end of the one before; long words are in all blocks."""
    monkeypatch.setattr(perfect_hash, "_BLOCK_STRINGS", {"cpu": 1000, "gpu": 1000})
    words = [b"%b%d" % (b"x" * (i % 50), i) for i in range(300)]
    queries = [*words, *misses(words)] * 5
    queries = np.array(queries, object)[np.random.default_rng(0).permutation(len(queries))][:2500]
    assert len(queries) == 2500
    data, offsets = blob(words)
    strings = batch(queries.tolist(), 64)
    found = jax.jit(find)(HashTable.build(data, offsets), data, offsets, *strings)
    assert found.tolist() == find_by_dict(data, offsets, *strings).tolist()


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


# Those where the number of slots changes, and those beside them.
SIZES = [1, 2, 3, 4, 6, 7, 12, 13, 25, 26, 51, 52, 69]


@pytest.mark.parametrize("n", cases(SIZES, exhaustive=range(1, 70)))
def test_every_small_size(n):
    words = [b"%d" % i for i in range(n)]
    data, offsets = blob(words)
    found = find_jit(HashTable.build(data, offsets), data, offsets, *batch([*words, b"%d" % n], 4))
    assert found.tolist() == [*range(n), -1]


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


# Any words

short = st.binary(max_size=20)
few_letters = st.text("ab\0", max_size=7).map(str.encode)
N_QUERIES, N_BYTES = 80, 1536


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from([short, few_letters]).flatmap(
        lambda word: st.tuples(
            st.lists(word, unique=True, max_size=60), st.lists(word, max_size=20)
        )
    )
)
def test_any_words(case):
    """Few numbers of words, and batches and buffers of one size, share a few programs."""
    size = max(n for n in (0, 1, 2, 5, 13, 40) if n <= len(case[0]))
    words, queries = case[0][:size], [*case[0], *case[1]]
    data, offsets = blob(words)
    data = np.concatenate([data, np.zeros(N_BYTES - data.size, np.uint8)])
    table = HashTable.build(data, offsets)
    expected = [words.index(q) if q in words else -1 for q in queries]
    strings, lengths = batch([*queries, *[b""] * (N_QUERIES - len(queries))], 20)
    lengths[len(queries) :] = -1
    found = find_jit(table, data, offsets, strings, lengths)
    assert found.tolist() == expected + [-1] * (N_QUERIES - len(queries))


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
