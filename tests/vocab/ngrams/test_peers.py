"""N-grams of ffjax and of the real programs: finalfusion, fastText, gensim, floret and spaCy."""

import random
from itertools import chain

import numpy as np
import pytest

import ffjax
from ffjax.vocab.ngrams import FastTextIndexer, FinalfusionHashIndexer, FloretIndexer
from tests.training import train
from tests.vocab.ngrams.words import INVALID, SPECIAL, decoded, some_bytes, some_words

# Checks of annotations would take most of the time of so many calls.
pytestmark = pytest.mark.usefixtures("as_users_see")
N_BUCKETS = 20_011
TEXT = "the quick brown fox jumps over the lazy dog\n" * 60


def flat(indexer, words):
    """The device's buckets of all words one after the other, and how many each has."""
    batch = ffjax.pack(
        words, count=max(len(words), 20_000)
    )  # one size, so that programs are shared
    ids = np.asarray(indexer.indices(batch.bytes, batch.lengths))
    return ids[ids >= 0], (ids >= 0).sum(1)[: len(words)]


def check_finalfusion(indexer, peer, words, *, every=17):
    """Compares the device with the peer, and every few words on the host too."""
    expected = [peer.subword_indices(word) for word in words]
    found, counts = flat(indexer, words)
    np.testing.assert_array_equal(counts, [len(ids) for ids in expected])
    np.testing.assert_array_equal(
        found, np.fromiter(chain.from_iterable(expected), np.int64, counts.sum())
    )
    for word, ids in zip(words[::every], expected[::every], strict=True):
        assert indexer.subword_indices(word) == ids


def as_finalfusion(peer):
    if type(peer).__name__ == "FastTextIndexer":
        return FastTextIndexer(peer.n_buckets, peer.min_n, peer.max_n)
    return FinalfusionHashIndexer(peer.buckets_exp, peer.min_n, peer.max_n)


@pytest.fixture(scope="module")
def words():
    """Twenty thousand words of at most 16 bytes in sixteen scripts, among them ASCII words."""
    return [word for word in some_words(24_000, seed=1, longest=12) if len(word.encode()) <= 16][
        :20_000
    ]


@pytest.mark.parametrize("settings", [(), (5, 1, 4), (31, 4, 5)])
def test_finalfusion_hash(words, settings):
    peer = pytest.importorskip("finalfusion.subword").FinalfusionHashIndexer(*settings)
    check_finalfusion(as_finalfusion(peer), peer, words)


@pytest.mark.parametrize("settings", [(), (N_BUCKETS, 1, 4), (2**31, 4, 5)])
def test_fasttext_hash_of_finalfusion(words, settings):
    peer = pytest.importorskip("finalfusion.subword").FastTextIndexer(*settings)
    check_finalfusion(as_finalfusion(peer), peer, words)


def test_finalfusion_on_the_host():
    peers = pytest.importorskip("finalfusion.subword")
    some = [*SPECIAL, *some_words(500, seed=2, longest=40)]
    for peer in (
        *(peers.FinalfusionHashIndexer(exp, 2, 5) for exp in (1, 8, 28, 29, 32, 33, 63)),
        *(peers.FastTextIndexer(n, 1, 6) for n in (1, 2_000_000, 2**32 - 1)),
    ):
        indexer = as_finalfusion(peer)
        assert indexer.upper_bound == peer.upper_bound
        assert repr(indexer) == repr(peer)
        for word in some:
            for bracket in (True, False):
                assert indexer.subword_indices(word, bracket=bracket) == peer.subword_indices(
                    word, bracket=bracket
                )
            assert indexer.subword_indices(word, 77, True, True) == peer.subword_indices(
                word, 77, True, True
            )
            assert indexer(word) == peer(word)


def test_finalfusion_hash_of_lone_surrogates():
    # finalfusion hashes any code point. The device gets the bytes that stand for lone surrogates.
    peer = pytest.importorskip("finalfusion.subword").FinalfusionHashIndexer()
    raws = [raw for raw in [*INVALID, *some_bytes(2000, seed=3)] if len(raw) <= 16]
    found, counts = flat(FinalfusionHashIndexer(), raws)
    expected = [peer.subword_indices(decoded(raw)) for raw in raws]
    np.testing.assert_array_equal(counts, [len(ids) for ids in expected])
    np.testing.assert_array_equal(found, list(chain.from_iterable(expected)))
    assert [FinalfusionHashIndexer().subword_indices(decoded(raw)) for raw in raws] == expected


def trained(library, folder, **settings):
    """A tiny model of one of the peers."""
    text = folder / "text.txt"
    text.write_text(TEXT)
    settings |= {"bucket": N_BUCKETS, "dim": 1, "epoch": 1, "minCount": 1}
    train(folder / "model.bin", text, library=library, method="train_unsupervised", **settings)
    return pytest.importorskip(library).load_model(str(folder / "model.bin"))


@pytest.fixture(scope="module", params=[(3, 6), (1, 4)], ids=str)
def fasttext_model(request, tmp_path_factory):
    """A tiny model, its indexer, and the number of its words."""
    least, most = request.param
    model = trained("fasttext", tmp_path_factory.mktemp("fasttext"), minn=least, maxn=most)
    indexer = FastTextIndexer(N_BUCKETS, least, most, skip_edge_unigrams=True)
    return model, indexer, len(model.get_words())


def check_sets(indexer, raws, expected):
    """Compares sorted buckets: fastText and floret list the shortest n-grams first."""
    found, counts = flat(indexer, raws)
    for raw, ids, buckets in zip(
        raws, np.split(found, np.cumsum(counts)[:-1]), expected, strict=True
    ):
        assert sorted(ids.tolist()) == buckets, raw
        assert sorted(indexer.subword_indices(decoded(raw))) == buckets, raw


def short(raws, kept):
    return [raw for raw in raws if len(raw) <= 16 and raw.decode("latin-1") not in kept]


def test_fasttext_model(fasttext_model, words):
    model, indexer, n_words = fasttext_model
    # Known words have a row of their own and `</s>` has no n-grams; the vocabulary handles both.
    raws = short(
        [word.encode() for word in [*SPECIAL, *words[:5000]]], {*model.get_words(), "</s>"}
    )
    expected = [sorted((model.get_subwords(raw)[1] - n_words).tolist()) for raw in raws]
    check_sets(indexer, raws, expected)


def test_fasttext_model_on_bytes_that_are_no_text(fasttext_model):
    model, indexer, n_words = fasttext_model
    raws = short([*INVALID, *some_bytes(4000, seed=4)], {*model.get_words(), "</s>"})
    expected = [
        sorted((model.get_subwords(raw, on_unicode_error="ignore")[1] - n_words).tolist())
        for raw in raws
    ]
    check_sets(indexer, raws, expected)
    longer = [raw for raw in INVALID if len(raw) > 16]
    assert longer
    for raw in longer:
        buckets = model.get_subwords(raw, on_unicode_error="ignore")[1] - n_words
        assert sorted(indexer.subword_indices(decoded(raw))) == sorted(buckets.tolist())


@pytest.mark.parametrize(("min_n", "max_n"), [(3, 6), (1, 3)])
def test_gensim(words, min_n, max_n):
    gensim = pytest.importorskip("gensim.models.fasttext_inner")
    indexer = FastTextIndexer(N_BUCKETS, min_n, max_n, skip_edge_unigrams=True)
    some = words[:5000]
    expected = [
        sorted(
            gensim.ft_hash_bytes(ngram) % N_BUCKETS
            for ngram in gensim.compute_ngrams_bytes(word, min_n, max_n)
        )
        for word in some
    ]
    check_sets(indexer, [word.encode() for word in some], expected)


@pytest.fixture(scope="module", params=[(3, 6, 1), (1, 2, 4)], ids=str)
def floret_model(request, tmp_path_factory):
    """A tiny model, its indexer, and the number of its words."""
    least, most, hashes = request.param
    settings = {"mode": "floret", "minn": least, "maxn": most, "hashCount": hashes}
    model = trained("floret", tmp_path_factory.mktemp("floret"), **settings)
    return model, FloretIndexer(N_BUCKETS, least, most, hashes), len(model.get_words())


def test_floret_model(floret_model, words):
    model, indexer, n_words = floret_model
    valid = [word.encode() for word in [*SPECIAL, *words[:3000]]]
    raws = short([*valid, *INVALID, *some_bytes(1000, seed=5)], {"</s>"})
    expected = [
        sorted((model.get_subwords(raw, on_unicode_error="ignore")[1] - n_words).tolist())
        for raw in raws
    ]
    check_sets(indexer, raws, expected)


def test_floret_model_on_long_words(floret_model):
    model, indexer, n_words = floret_model
    for raw in [
        *INVALID,
        *(word.encode() for word in [*SPECIAL, *some_words(200, seed=6, longest=60)]),
    ]:
        if raw != b"</s>":
            buckets = model.get_subwords(raw, on_unicode_error="ignore")[1] - n_words
            assert sorted(indexer.subword_indices(decoded(raw))) == sorted(buckets.tolist())


def test_spacy_hashes_as_floret(words):
    vectors = pytest.importorskip("spacy.vectors")
    strings = pytest.importorskip("spacy.strings")
    table = np.zeros((1000, 1), np.float32)
    peer = vectors.Vectors(
        strings=strings.StringStore(),
        data=table,
        mode="floret",
        minn=1,
        maxn=3,
        hash_count=3,
        hash_seed=2166136261,
    )
    indexer = FloretIndexer(1000, 1, 3, 3, skip_edge_unigrams=False)
    for word in ["tea", "größe", "日本語", "x" * 40, *words[:300]]:
        grams = peer._get_ngrams(word)
        expected = [h % 1000 for gram in grams for h in peer._get_ngram_hashes(gram)]
        assert sorted(indexer.subword_indices(word)) == sorted(expected)


@pytest.mark.exhaustive
def test_a_million_words(real_file):
    """Real words, some with endings in other scripts, through both of finalfusion's hashes."""
    peers = pytest.importorskip("finalfusion.subword")
    count, block = 1_000_000, 100_000
    with open(real_file("glove.100d.txt"), encoding="utf-8") as lines:
        known = [line[: line.index(" ")] for line in lines]
    words = [word for word in known if len(word.encode()) <= 16]
    rng = random.Random(7)
    endings = [some for some in some_words(50_000, seed=8, longest=4) if len(some.encode()) <= 16]
    while len(words) < count:
        ending = rng.choice(endings)
        beginning = rng.choice(known).encode()[: 16 - len(ending.encode())]
        words.append(beginning.decode("utf-8", "ignore") + ending)
    for peer in (peers.FinalfusionHashIndexer(), peers.FastTextIndexer()):
        for start in range(0, count, block):
            check_finalfusion(as_finalfusion(peer), peer, words[start : start + block], every=499)
