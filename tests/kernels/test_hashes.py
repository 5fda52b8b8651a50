"""The hashes by themselves: known answers, NumPy beside the device, lanes of Python integers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffjax.kernels import fnv, murmur3
from ffjax.kernels.swar import ones, spread
from tests.vocab.ngrams import reference

# From the reference program of MurmurHash3 (smhasher, `MurmurHash3_x64_128`) as tabled in its ports' tests.
KNOWN_MURMUR = [
    (b"", 0, 0x00000000000000000000000000000000),
    (b"", 1, 0x4610ABE56EFF5CB551622DAA78F83583),
    (b"hello", 0, 0xCBD8A7B341BD9B025B1E906A48AE1D19),
    (b"hello, world", 0, 0x342FAC623A5EBC8E4CDCBC079642414D),
    (b"The quick brown fox jumps over the lazy dog", 0, 0xE34BBC7BBC071B6C7A433CA9C49A9347),
]


def whole(quarters):
    """`h1` then `h2`, as the ports print it."""
    a, b, c, d = (int(q) for q in quarters)
    return (b << 32 | a) << 64 | (d << 32 | c)


@pytest.mark.parametrize(("raw", "seed", "expected"), KNOWN_MURMUR)
def test_murmur3_known_answers(raw, seed, expected):
    assert whole(murmur3.murmur3_pieces([raw], seed)[0]) == expected


def murmur3_arrays(packed, sizes):
    """Texts as little-endian words, uint32 `[text, word]`, zeros behind; NumPy's arrays or JAX's."""
    state = murmur3.start(99, sizes)
    for block in range(0, packed.shape[1], 4):
        full = -(sizes >= 4 * block + 16).astype(np.uint32)
        state = murmur3.absorb(state, [packed[:, block + k] for k in range(4)], full)
    return murmur3.finish(state, sizes)


compiled_murmur3 = jax.jit(murmur3_arrays)


@given(st.lists(st.binary(max_size=70), min_size=9, max_size=9))
def test_murmur3_is_one_hash_in_three_forms(raws):
    expected = np.array([murmur3.murmur3_pieces([raw], 99)[0] for raw in raws])
    np.testing.assert_array_equal(murmur3.murmur3_pieces(raws, 99), expected)
    packed = np.array([np.frombuffer(raw.ljust(80, b"\0"), "<u4") for raw in raws])
    sizes = np.array([len(raw) for raw in raws], np.uint32)
    np.testing.assert_array_equal(np.stack(murmur3_arrays(packed, sizes), 1), expected)
    np.testing.assert_array_equal(np.stack(compiled_murmur3(packed, sizes), 1), expected)


@given(st.text(max_size=20), st.integers(1, 63))
def test_finalfusion_lanes(text, buckets_exp):
    if text:
        lanes = fnv.FinalfusionLanes(buckets_exp, 6)
        found = lanes.hashes(text, len(text), len(text))
        assert int(found[0]) == reference.finalfusion_hash(text) % 2**buckets_exp


@pytest.mark.parametrize("xp", [np, jnp])
def test_finalfusion_arrays(xp):
    texts = ["abc", "äöü", "中文字", "😀a\U0010ffff", "\0\0\0", "\udc80\udcffa"]
    state = xp.full(len(texts), np.uint32(fnv.length_state(3) % 2**32))
    for k in range(3):
        state = fnv.finalfusion_extend(state, xp.asarray(np.array([ord(t[k]) for t in texts], np.uint32)))
    assert state.dtype == np.uint32
    assert state.tolist() == [reference.finalfusion_hash(t) % 2**32 for t in texts]


@pytest.mark.parametrize("xp", [np, jnp])
def test_fasttext_arrays(xp):
    texts = ["abc", "äöü", "中文字", "😀a\U0010ffff", "\0\0\0", "a\x7f\x80"]
    state = xp.full(len(texts), np.uint32(fnv.OFFSET_32))
    for k in range(3):
        character = np.array([int.from_bytes(t[k].encode(), "little") for t in texts], np.uint32)
        state = fnv.fasttext_extend(state, xp.asarray(character), xp=xp)
    assert state.dtype == np.uint32
    assert state.tolist() == [reference.fasttext_hash(t.encode()) for t in texts]


@given(st.binary(max_size=40))
def test_fasttext_of_one_n_gram(raw):
    expected = reference.fasttext_hash(raw)
    assert fnv.fasttext_hash(raw) == expected
    if raw:
        assert int(fnv.FastTextLanes().hashes(raw, len(raw), len(raw))[0]) == expected
    assert int(compiled_walk(np.frombuffer(raw.ljust(40, b"\0"), np.uint8).astype(np.uint32), len(raw))) == expected


@jax.jit
def compiled_walk(raw, size):
    return jax.lax.fori_loop(0, size, lambda k, s: fnv.fasttext_byte(s, raw[k]), jnp.uint32(fnv.OFFSET_32))


def test_known_fnv_answers():
    # Test vectors of RFC 9923 and of the FNV authors' page: "" and "foobar", 32 bits; and the 64-bit offset basis.
    assert fnv.fasttext_hash(b"") == 0x811C9DC5
    assert fnv.fasttext_hash(b"foobar") == 0xBF9CF968
    assert reference.fasttext_hash(b"foobar") == 0xBF9CF968


@pytest.mark.parametrize("lane", [1, 2, 8, 32])
def test_lanes(lane):
    values = bytes([1, 255, 0, 7])
    assert spread(values, lane) == sum(value << 8 * lane * i for i, value in enumerate(values))
    assert ones(5, lane) == sum(1 << 8 * lane * i for i in range(5))
    assert ones(0, lane) == 0
