"""The hashes by themselves: known answers, NumPy beside the device, lanes of Python integers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffjax.kernels import fnv, murmur3
from tests.vocab.ngrams import reference

# From smhasher, the reference program of MurmurHash3 (x64, 128 bits), as in the tests of its ports.
KNOWN_MURMUR = [
    (b"", 0, 0x00000000000000000000000000000000),
    (b"", 1, 0x4610ABE56EFF5CB551622DAA78F83583),
    (b"hello", 0, 0xCBD8A7B341BD9B025B1E906A48AE1D19),
    (b"hello, world", 0, 0x342FAC623A5EBC8E4CDCBC079642414D),
    (b"The quick brown fox jumps over the lazy dog", 0, 0xE34BBC7BBC071B6C7A433CA9C49A9347),
]


def spans(raws, seed):
    sizes = np.array([len(raw) for raw in raws])
    data = np.frombuffer(b"".join(raws) or b"\0", np.uint8)
    return murmur3.murmur3_spans(data, np.cumsum(sizes) - sizes, sizes, seed)


def whole(quarters):
    """`h1` then `h2`, as the ports print it."""
    a, b, c, d = (int(q) for q in quarters)
    return (b << 32 | a) << 64 | (d << 32 | c)


@pytest.mark.parametrize(("raw", "seed", "expected"), KNOWN_MURMUR)
def test_murmur3_known_answers(raw, seed, expected):
    assert whole(spans([raw], seed)[0]) == expected


def murmur3_arrays(packed, sizes):
    """Texts as little-endian words, uint32 `[text, word]`, padded with zeros."""
    state = murmur3.start(99, sizes)
    for block in range(0, packed.shape[1], 4):
        full = -(sizes >= 4 * block + 16).astype(np.uint32)
        state = murmur3.absorb(state, [packed[:, block + k] for k in range(4)], full)
    return murmur3.finish(state, sizes)


compiled_murmur3 = jax.jit(murmur3_arrays)


@given(st.lists(st.binary(max_size=70), min_size=9, max_size=9))
def test_murmur3_is_one_hash_in_three_forms(raws):
    expected = reference.murmur3(raws, 99)
    np.testing.assert_array_equal(spans(raws, 99), expected)
    packed = np.array([np.frombuffer(raw.ljust(80, b"\0"), "<u4") for raw in raws])
    sizes = np.array([len(raw) for raw in raws], np.uint32)
    np.testing.assert_array_equal(np.stack(murmur3_arrays(packed, sizes), 1), expected)
    np.testing.assert_array_equal(np.stack(compiled_murmur3(packed, sizes), 1), expected)


@pytest.mark.parametrize("xp", [np, jnp])
def test_finalfusion_arrays(xp):
    texts = ["abc", "äöü", "中文字", "😀a\U0010ffff", "\0\0\0", "\udc80\udcffa"]
    state = xp.full(len(texts), np.uint32(fnv.length_state(3) % 2**32))
    for k in range(3):
        state = fnv.finalfusion_extend(
            state, xp.asarray(np.array([ord(t[k]) for t in texts], np.uint32))
        )
    assert state.dtype == np.uint32
    assert state.tolist() == [reference.finalfusion_hash(t) % 2**32 for t in texts]


def walk(raw):
    state = np.full(1, fnv.OFFSET_32, np.uint32)
    for byte in raw:
        state = fnv.fasttext_extend(state, np.full(1, byte, np.uint32))
    return int(state[0])


@given(st.binary(max_size=40))
def test_fasttext_of_one_n_gram(raw):
    expected = reference.fasttext_hash(raw)
    assert walk(raw) == expected
    padded = np.frombuffer(raw.ljust(40, b"\0"), np.uint8).astype(np.uint32)
    assert int(compiled_walk(padded, len(raw))) == expected


@jax.jit
def compiled_walk(raw, size):
    return jax.lax.fori_loop(
        0, size, lambda k, s: fnv.fasttext_extend(s, raw[k]), jnp.uint32(fnv.OFFSET_32)
    )


def test_known_fnv_answers():
    # Test vectors of RFC 9923 and of the FNV authors' page: "" and "foobar" with 32 bits, and the
    # 64-bit offset basis.
    assert walk(b"") == 0x811C9DC5
    assert walk(b"foobar") == 0xBF9CF968
    assert reference.fasttext_hash(b"foobar") == 0xBF9CF968


def test_finalfusion_in_64_bits():
    for text in ("abc", "äöü", "\udc80\udcffa"):
        state = np.full(1, fnv.length_state(3), np.uint64)
        for character in text:
            state = fnv.finalfusion_extend(state, np.full(1, ord(character), np.uint64))
        assert int(state[0]) == reference.finalfusion_hash(text)
