import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ffjax
from ffjax import Strings, pack, unpack

words = st.lists(st.text(max_size=40))
raw = st.lists(st.binary(max_size=40))


@given(words)
def test_pack_and_unpack_give_the_words_back(given_words):
    assert unpack(pack(given_words)) == given_words


@given(raw)
def test_bytes_come_back_whatever_they_are(given_bytes):
    batch = pack(given_bytes)
    rows = [row[:n].tobytes() for row, n in zip(batch.bytes, batch.lengths, strict=True) if n >= 0]
    assert rows == given_bytes
    assert pack(unpack(batch)) == batch


@given(words)
def test_padding_is_zero_and_sizes_are_few(given_words):
    batch = pack(given_words)
    count, width = batch.bytes.shape
    assert width >= 16 and width & (width - 1) == 0
    assert count & (count - 1) == 0
    behind = np.arange(width) >= batch.lengths[:, None]
    assert not batch.bytes[behind].any()
    assert (batch.lengths[len(given_words) :] == -1).all()


def test_lone_surrogates_from_bytes_become_those_bytes_again():
    assert pack(["a\udcff", "é"]).bytes[0, :3].tolist() == [0x61, 0xFF, 0]


def test_sizes_given():
    batch = pack(["tea"], width=5, count=3)
    assert batch.bytes.shape == (3, 5)
    assert batch.lengths.tolist() == [3, -1, -1]
    assert len(pack(["a", "b", "c"], count=3)) == 3


def test_no_words():
    batch = pack([])
    assert batch.bytes.shape == (0, 16)
    assert unpack(batch) == []
    assert unpack(pack([], count=2)) == []
    assert isinstance(batch, Strings)
    assert len(ffjax.SimpleVocab(np.array([]))) == 0
    assert len(ffjax.demo().distances("tea", np.array([]))) == 0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: pack("tea"),
            TypeError,
            "`words`: expected a list of words, got the single word 'tea'",
        ),
        (lambda: pack(["tea", 3]), TypeError, "`word`: expected str or bytes, got int 3"),
        (
            lambda: pack(["tea", None]),
            TypeError,
            "`word`: expected str or bytes, got NoneType None",
        ),
        (lambda: pack(["a\ud800"]), ValueError, "`word`: expected text that UTF-8 can hold"),
        (
            lambda: pack(["a" * 20], width=16),
            ValueError,
            r"`width`: expected at least .*\(20\), got 16",
        ),
        (
            lambda: pack(["a", "b"], count=1),
            ValueError,
            r"`count`: expected at least .*\(2\), got 1",
        ),
        (lambda: ffjax.SimpleVocab("tea"), TypeError, "`words`: expected a list of words"),
    ],
)
@pytest.mark.usefixtures("as_users_see")
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
