"""`ffjax.string_hash`: HalfSipHash on the host and in compiled code."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffjax.kernels import siphash as string_hash
from ffjax.kernels.siphash import CHUNK, hash_spans, hash_words, words_of
from tests.builders import cases

KEY = np.array([0x03020100, 0x07060504], np.uint32)


def hash_packed(strings, lengths, key, **options):
    return hash_words(words_of(strings), lengths, key, **options)


packed = jax.jit(hash_packed, static_argnames="rounds")


def rotate(x, bits):
    return (x << bits | x >> (32 - bits)) & 0xFFFFFFFF


def reference_chunk(chunk: bytes, key: tuple[int, int], rounds: tuple[int, int]) -> tuple[int, int]:
    """HalfSipHash as its paper's figure draws it, with plain integers."""
    v = [key[0], key[1], key[0] ^ 0x6C796765, key[1] ^ 0x74656462]

    def mix(count):
        for _ in range(count):
            for a, b, left, right in ((0, 1, 5, 8), (2, 1, 13, 7)):
                c, d = 2 - a, 3
                v[a], v[c] = (v[a] + v[b]) & 0xFFFFFFFF, (v[c] + v[d]) & 0xFFFFFFFF
                v[b], v[d] = rotate(v[b], left) ^ v[a], rotate(v[d], right) ^ v[c]
                v[a] = rotate(v[a], 16)

    message = chunk + bytes(-(len(chunk) + 1) % 4) + bytes([len(chunk) & 0xFF])
    for i in range(0, len(message), 4):
        word = int.from_bytes(message[i : i + 4], "little")
        v[3] ^= word
        mix(rounds[0])
        v[0] ^= word
    v[2] ^= 0xFF
    mix(rounds[1])
    return v[1] ^ v[3], v[0] ^ v[2]


def reference(string: bytes, key=KEY, rounds=(1, 3)) -> tuple[int, int]:
    chunks = [string[i : i + 16] for i in range(0, len(string), 16)] or [b""]
    halves = [
        reference_chunk(c, (int(key[0]), int(key[1]) ^ j), rounds) for j, c in enumerate(chunks)
    ]
    return sum(h[0] for h in halves) % 2**32, sum(h[1] for h in halves) % 2**32


def on_host(strings, key=KEY, **options):
    lengths = np.array([len(s) for s in strings], np.int64)
    data = np.frombuffer(b"".join(strings) + b"\xee" * 4, np.uint8)
    first, second = hash_spans(data, np.cumsum(lengths) - lengths, lengths, key, **options)
    return list(zip(first.tolist(), second.tolist(), strict=True))


def on_device(strings, width, key=KEY, **options):
    # What lies behind a string must not matter, so it is not zeros here.
    rows = np.frombuffer(b"".join(s.ljust(width, b"\xee") for s in strings), np.uint8).reshape(
        -1, width
    )
    lengths = np.array([len(s) for s in strings], np.int32)
    first, second = packed(jnp.asarray(rows), jnp.asarray(lengths), jnp.asarray(key), **options)
    return list(zip(first.tolist(), second.tolist(), strict=True))


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (0, "a9359f5b"),
        (1, "27475ab8"),
        (3, "8afee704"),
        (4, "2a6e4689"),
        (16, "d9b5ac84"),
        (63, "59ea4a74"),
    ],
)
def test_first_half_is_halfsiphash(length, expected):
    # HalfSipHash-2-4 with 32 bits of the bytes 0, 1, 2, ... under the key 00 01 ... 07:
    # `vectors_hsip32` of https://github.com/veorq/SipHash/blob/master/vectors.h
    string, number = bytes(range(length)), int.from_bytes(bytes.fromhex(expected), "little")
    key = (int(KEY[0]), int(KEY[1]))
    assert reference_chunk(string, key, rounds=(2, 4))[0] == number
    if length <= CHUNK:
        assert on_host([string], rounds=(2, 4))[0][0] == number
        assert on_device([string], 16, rounds=(2, 4))[0][0] == number


LENGTHS = [0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 31, 32, 60, 61, 63, 64, 65, 100, 127, 128, 129, 300]


@pytest.mark.parametrize("width", cases([1, 4, 16, 61, 64, 128], exhaustive=[6, 32, 65, 300]))
def test_host_and_device_agree_with_the_reference(width):
    rng = np.random.default_rng(width)
    strings = [rng.bytes(n) for n in LENGTHS if n <= width] + [
        bytes(min(width, 8)),
        b"\xff" * width,
    ]
    expected = [reference(s) for s in strings]
    assert on_host(strings) == expected
    assert on_device(strings, width) == expected


def test_key_matters():
    other = KEY ^ np.array([0, 1], np.uint32)
    assert on_host([b"word"], other) == [reference(b"word", other)] != [reference(b"word")]


def test_no_strings():
    none = np.zeros(0, np.int32)
    assert [len(half) for half in hash_spans(np.zeros(4, np.uint8), none, none, KEY)] == [0, 0]
    assert [half.shape for half in packed(np.zeros((0, 16), np.uint8), none, KEY)] == [(0,), (0,)]


@pytest.mark.parametrize("block", [1, 2, 7])
def test_blocks_do_not_matter(monkeypatch, block):
    rng = np.random.default_rng(0)
    strings = [rng.bytes(n) for n in LENGTHS]
    expected = on_host(strings)
    monkeypatch.setattr(string_hash, "_BLOCK", block)
    assert on_host(strings) == expected


def test_chunks_have_an_order():
    a, b = b"a" * 64, b"b" * 64
    assert len(set(on_host([a, b, a + b, b + a, a + a, b + b, a + a + a]))) == 7


def test_vmap():
    rows = jnp.asarray(np.random.default_rng(0).integers(0, 256, (3, 5, 70), np.uint8))
    lengths = jnp.arange(15, dtype=jnp.int32).reshape(3, 5) * 5
    first, second = jax.jit(jax.vmap(hash_packed, (0, 0, None)))(rows, lengths, jnp.asarray(KEY))
    for i in range(3):
        expected = packed(rows[i], lengths[i], KEY)
        assert np.array_equal(first[i], expected[0]) and np.array_equal(second[i], expected[1])


@settings(deadline=None, max_examples=60)
@given(st.lists(st.binary(max_size=200), min_size=1, max_size=20), st.integers(0, 2**64 - 1))
def test_any_strings(strings, key):
    key = np.array([key & 0xFFFFFFFF, key >> 32], np.uint32)
    expected = [reference(s, key) for s in strings]
    assert on_host(strings, key) == expected
    # one width, so one program for each number of strings
    assert on_device(strings + [b""] * (20 - len(strings)), 200, key)[: len(strings)] == expected
