"""`pack` and `pack_ragged`: every kind of words, sizes, and words of any length."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ffjax
from ffjax import StringTable, pack, pack_ragged, unpack
from ffjax._internal.arrays import padded_size
from tests.builders import embeddings, plain_demo

WORDS = ["tea", "", "Zürich", "咖啡", "naïve", "x" * 40, "👍🏽", "a b"]
RAW = [word.encode() for word in WORDS]


def buffer_of(words):
    return b"".join(words), np.cumsum([0, *map(len, words)])


KINDS = "list tuple bytes both generator objects U S T buffer table".split()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_words_makes_the_same_batch(kind):
    given_words = {
        "list": WORDS,
        "tuple": tuple(WORDS),
        "bytes": RAW,
        "both": [*WORDS[:3], *RAW[3:]],
        "generator": iter(WORDS),
        "objects": np.array(WORDS, object),
        "U": np.array(WORDS),
        "S": np.array(RAW),
        "T": np.array(WORDS, np.dtypes.StringDType()),
        "table": StringTable.from_strings(WORDS),
    }
    if kind == "buffer":
        batch = pack(buffer_of(RAW)[0], offsets=buffer_of(RAW)[1])
    else:
        batch = pack(given_words[kind])
    assert unpack(batch) == WORDS
    assert batch == pack(WORDS)


@given(
    st.lists(
        st.text(alphabet=st.characters(max_codepoint=0x7F, exclude_characters="\0"), max_size=20)
    )
)
def test_numpy_arrays_of_ascii_of_both_fixed_widths(words):
    # NumPy's own strings end before trailing NULs.
    assert pack(np.array(words, "U20")) == pack(words)
    assert pack(np.array([word.encode() for word in words], "S20")) == pack(words)


def test_nul_inside_of_words_is_a_byte_like_any_other():
    words = ["a\0b", "\0", "", "c", "\0\0"]
    for same in (words, [word.encode() for word in words]):
        assert unpack(pack(same)) == words
        assert StringTable.from_strings(same).strings == words
    assert unpack(pack(np.array(["a\0b", "c"]))) == ["a\0b", "c"]


def test_more_words_than_are_joined_at_a_time():
    words = [f"word{i}" if i % 3 else f"ωord{i}" for i in range(10_000)]
    assert unpack(pack(words)) == words
    words[7000] = b"seven"
    assert unpack(pack(words)) == [*words[:7000], "seven", *words[7001:]]


@pytest.mark.parametrize("width", [16, 24, 64, 100, 512])
def test_buffers_are_read_to_their_last_byte_and_not_beyond(width):
    words = [bytes([65 + i % 26]) * (i % 17) for i in range(200)]
    data, offsets = buffer_of(words)
    whole = np.frombuffer(b"front" + data + b"behind", np.uint8)
    for source, shift in ((np.frombuffer(data, np.uint8), 0), (whole, 5), (whole[5:-6], 0)):
        batch = pack(source, offsets=offsets + shift, width=width, count=256)
        assert batch == pack(words, width=width, count=256)


def test_sizes_are_a_handful():
    assert {padded_size(n, 0, coarse=True) for n in range(1, 1025)} == {4, 16, 64, 256, 1024}
    shapes = {pack(["a"] * n).bytes.shape for n in range(1, 1001)}
    assert shapes == {(n, 16) for n in (4, 16, 64, 256, 1024)}
    assert [padded_size(n, 0, coarse=True) for n in (1025, 2049, 100_000)] == [2048, 4096, 1 << 17]


def rebuilt(parts, n):
    """The words of parts, put together."""
    words = [None] * n
    for part in parts:
        for position, row, length in zip(
            part.positions, part.strings.bytes, part.strings.lengths, strict=False
        ):
            if length >= 0:
                assert words[position] is None
                words[position] = row[:length].tobytes()
    return words


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 1, 5, 16, 17, 60, 200, 1000, 1025, 5000, 70_000]),
            st.integers(0, 20),
        )
    )
)
def test_parts_hold_each_word_once(kinds):
    words = [bytes([97 + k]) * n for n, k in kinds]
    parts = pack_ragged(words)
    assert rebuilt(parts, len(words)) == words
    assert parts[0].positions.tolist() == list(range(len(words)))
    total = sum(part.strings.bytes.size for part in parts)
    assert total <= max(
        4 * 1024 * padded_size(len(words), 0, coarse=True),
        32 * sum(map(len, words)) + 64 * len(words) + 4096,
    )


def test_parts_hold_each_word_once_where_buffers_are_several():
    pa = pytest.importorskip("pyarrow")
    words = [b"x" * n for n in [*range(40)] * 60 + [3000, 100, 9000]]
    parts = pack_ragged(pa.chunked_array([words[:700], words[700:705], words[705:]]))
    assert len(parts) > 1 and rebuilt(parts, len(words)) == words


def test_one_very_long_word_does_not_blow_up_the_batch():
    words = ["word"] * 1_000_000
    words[77] = "x" * 100_000
    tracemalloc.start()
    parts = pack_ragged(words)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [part.strings.bytes.shape for part in parts] == [(1 << 20, 16), (1, 1 << 17)]
    assert parts[1].positions.tolist() == [77] and parts[0].strings.lengths[77] == -1
    assert peak < 100e6
    with pytest.raises(
        ValueError, match="`words`: expected words of similar lengths.*100000 bytes.*`pack_ragged`"
    ):
        pack(words)


def test_many_long_words_come_in_parts_that_fit_memory():
    words = [b"y" * 60_000] * 700 + [b"z"] * 3000
    parts = pack_ragged(words)
    assert max(part.strings.bytes.size for part in parts) <= 1 << 24
    assert rebuilt(parts, len(words)) == words


@pytest.mark.parametrize("kind", ["simple", "buckets", "explicit", "floret"])
def test_batches_of_words_of_any_length_are_those_words_one_by_one(kind):
    long = ["Berlin" * 1000, "Zürich" * 30, "東京" * 20]
    emb = embeddings(kind, words=["Paris", "Berlin", "Zürich" * 30])
    words = ["Paris", *long, "", "Berlin", "Parisian", "x"] + ["Paris", "unknown"] * 1000
    vectors, found = emb.embedding_batch(words)
    singles = {word: emb.embedding(word) for word in set(words)}
    assert found.tolist() == [singles[word] is not None for word in words]
    expected = np.stack(
        [np.zeros(6, np.float32) if singles[word] is None else singles[word] for word in words]
    )
    # a word of 6,000 bytes has some 18,000 n-grams, and one of the two adds them up in float32
    np.testing.assert_allclose(vectors, expected, atol=5e-5)
    assert emb.embedding_batch([])[0].shape == (0, 6)


@pytest.mark.parametrize("kind", ["pq", "pq_norms"])
def test_batches_from_storages_that_are_no_matrix(kind):
    emb = embeddings("buckets", kind)
    words = ["Paris", "Parisian", "", "東京"] * 3
    vectors, found = emb.embedding_batch(np.array(words))
    expected = [emb.embedding(word) for word in words]
    assert found.tolist() == [vector is not None for vector in expected]
    np.testing.assert_allclose(
        vectors[found], [vector for vector in expected if vector is not None], atol=1e-6
    )


@pytest.mark.usefixtures("as_users_see")
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: pack(b"ab"),
            TypeError,
            r"word b'ab'\. Write \[b'ab'\], or pass `offsets` for a buffer of bytes\.$",
        ),
        (
            lambda: pack(["a"], offsets=[0, 1]),
            TypeError,
            "`words`: .*buffer of bytes with `offsets`, got list",
        ),
        (
            lambda: pack(b"ab", offsets=[0.0, 1.0]),
            TypeError,
            "`offsets`: expected whole numbers, got float64",
        ),
        (
            lambda: pack(b"ab", offsets=[0, 3]),
            ValueError,
            "`offsets`: .*within a buffer of 2 bytes",
        ),
        (
            lambda: pack(b"ab", offsets=[0, 2, 1]),
            ValueError,
            "`offsets`: .*no decrease, got 2 and then 1",
        ),
        (
            lambda: pack(np.zeros(2, np.int32), offsets=[0, 1]),
            TypeError,
            "`words`: expected one dimension of uint8",
        ),
        *(
            (
                lambda n=n: pack(np.zeros(n)),
                TypeError,
                r"strings, got float64\. Pass `offsets` for a buffer of bytes\.$",
            )
            for n in (0, 2)
        ),
        (
            lambda: pack(np.array([["a"]])),
            TypeError,
            r"`words`: .*one dimension, got shape \(1, 1\)",
        ),
        (
            lambda: pack(np.array(["a", 3], object)),
            TypeError,
            "`word`: expected str or bytes, got int 3",
        ),
        (
            lambda: ffjax.demo().embedding_batch("tea"),
            TypeError,
            "`words`: expected a list of words",
        ),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


# One very long word among many


def test_pack_refuses_a_batch_that_one_long_word_makes_nearly_all_padding():
    words = ["tea"] * 1000 + ["x" * 10_000_000]
    with pytest.raises(
        ValueError, match="got 1001 of which the longest has 10000000 bytes.* Use `pack_ragged`, or"
    ):
        pack(words)
    with pytest.raises(
        ValueError,
        match="`words`: expected words of similar lengths, got 1001 .* 1024 x 262144 bytes",
    ):
        pack(["tea"] * 1000 + ["x" * 200_000])
    assert pack(["tea"] * 1000 + ["x" * 200_000], width=200_000).bytes.shape == (
        1024,
        200_000,
    )  # as was asked for
    assert sum(part.strings.bytes.size for part in pack_ragged(words)) < (1 << 24) + 4 * 16 * 1024


@pytest.mark.parametrize(("subwords", "times"), [(False, 333_333), (True, 33_333)])
def test_one_very_long_word_among_a_hundred_thousand_costs_little_more_than_its_bytes(
    tmp_path, subwords, times
):
    words, long = ["tea", "coffee", "teapot", "unknown"] * 25_000, "tea" * times
    emb = plain_demo()
    if subwords:
        vocab = ffjax.FastTextVocab(["tea", "coffee"], ffjax.FastTextIndexer(50, 3, 4))
        rows = np.random.default_rng(0).standard_normal((52, 4)).astype(np.float32)
        emb = ffjax.Embeddings(ffjax.NdArray(rows), vocab)
    mixed = [*words[:50_000], long, *words[50_000:]]
    (tmp_path / "text").write_text(" ".join(mixed))
    usual, usual_found = emb.embedding_batch(words)
    alone, alone_found = emb.embedding_batch([long])
    assert alone_found.tolist() == [subwords]
    tracemalloc.start()
    try:
        vectors, found = emb.embedding_batch(mixed)
        _, counts = ffjax.embed_text(emb, (tmp_path / "text").read_bytes())
        ffjax.embed_file(emb, tmp_path / "text", tmp_path / "vectors.npy")
        answers = emb.most_similar_batch([*words[:1000], long], k=1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * vectors.nbytes + (
        1 << 27
    )  # its bytes times the number of words would be 10 GiB at least
    np.testing.assert_array_equal(np.delete(vectors, 50_000, 0), usual)
    np.testing.assert_array_equal(np.delete(found, 50_000), usual_found)
    np.testing.assert_array_equal(vectors[50_000], alone[0])
    assert counts.tolist() == [int(found.sum())]
    assert np.load(tmp_path / "vectors.npy").shape == (1, emb.dims)
    assert (answers[-1] is not None) == subwords and answers[0] is not None
