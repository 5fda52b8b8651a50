"""fastText models as the real fastText answers them: known and unknown words, mapped and read."""

import os
from pathlib import Path

import numpy as np
import pytest

import ffjax
from tests.formats.fasttext import files

# fastText's own models differ from ours by float rounding alone.
CLOSE = 1e-6
KINDS = {
    "skip-gram": {},
    "cbow": {"kind": files.CBOW, "dims": 16},
    "version 11": {"version": 11},
    "no n-grams": {"min_n": 0, "max_n": 0, "buckets": 0},
    "no n-grams, min_n without max_n": {"min_n": 3, "max_n": 0, "ngram_rows": 0},
    "from one character": {"min_n": 1, "max_n": 2},
    "from none": {"min_n": 0, "max_n": 4},
    "long": {"min_n": 2, "max_n": 40},
    "one length": {"min_n": 5, "max_n": 5, "buckets": 1},
    "longer than words": {"min_n": 80, "max_n": 90},
    "supervised": {
        "kind": files.SUPERVISED,
        "labels": files.LABELS,
        "loss": 3,
        "max_n": 0,
        "ngram_rows": 0,
    },
    "supervised, n-grams": {
        "kind": files.SUPERVISED,
        "labels": files.LABELS,
        "loss": 4,
        "word_ngrams": 3,
    },
    "supervised, n-grams of words": {
        "kind": files.SUPERVISED,
        "labels": files.LABELS,
        "loss": 1,
        "min_n": 0,
        "max_n": 0,
        "word_ngrams": 2,
    },
    "supervised, version 11": {
        "kind": files.SUPERVISED,
        "labels": files.LABELS,
        "loss": 3,
        "version": 11,
    },
}
# Mapped models are read by the same code whatever their kind; these cover its branches.
MAPPED = ("skip-gram", "no n-grams", "from one character", "supervised, n-grams of words")
READ_AND_MAPPED = [
    *((kind, False) for kind in KINDS),
    *((kind, True) for kind in MAPPED),
    *(
        pytest.param(kind, True, marks=pytest.mark.exhaustive)
        for kind in KINDS
        if kind not in MAPPED
    ),
]
GENSIM = ("lee_fasttext_new.bin", "crime-and-punishment.bin", "pang_lee_polarity_fasttext.bin")


@pytest.fixture(scope="module")
def fasttext():
    return files.quiet_fasttext()


def _gensim_file(name: str) -> Path:
    gensim = pytest.importorskip("gensim")
    return Path(gensim.__file__).parent / "test" / "test_data" / name


def _differences(theirs, emb: ffjax.Embeddings, words: list[str]) -> tuple[float, float]:
    """How far ffjax is from fastText for batches, and for single known words by string."""
    vectors, found = ffjax.embed(emb, ffjax.pack(words), unnormalize=True)
    expected = np.stack([theirs.get_word_vector(word) for word in words])
    assert not expected[~np.asarray(found)[: len(words)]].any()
    batch = np.abs(np.asarray(vectors)[: len(words)] - expected).max()
    norms = emb.norms
    known = [(i, word) for i, word in enumerate(emb.vocab.words[:300]) if word in words]
    single = max(
        np.abs(emb[word] * norms[i] - theirs.get_word_vector(word)).max() for i, word in known
    )
    return float(batch), float(single)


@pytest.mark.parametrize(("kind", "mmap"), READ_AND_MAPPED)
def test_words_have_the_vectors_that_fasttext_gives_them(tmp_path, fasttext, kind, mmap):
    path = files.write(tmp_path, "model.bin", files.model(**KINDS[kind]))
    theirs, emb = fasttext.load_model(str(path)), ffjax.load_fasttext(path, mmap=mmap)
    assert emb.vocab.words == files.WORDS
    assert max(_differences(theirs, emb, [*files.WORDS, *files.UNKNOWN])) < CLOSE
    rows = np.asarray(emb.storage[: emb.n_words])
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("name", GENSIM)
def test_real_models(fasttext, name, mmap):
    path = _gensim_file(name)
    theirs = fasttext.load_model(str(path))
    lossy = name.startswith("pang")  # has words that are cut within a character
    emb = ffjax.load_fasttext(path, mmap=mmap, lossy=lossy)
    words = [word for word in emb.vocab.words if "\ufffd" not in word]
    assert len(words) > 0.95 * len(emb.vocab)
    assert max(_differences(theirs, emb, [*words, *files.UNKNOWN])) < CLOSE


@pytest.mark.parametrize(
    "options", [{"model": "skipgram"}, {"model": "cbow", "minn": 2, "maxn": 4}], ids=str
)
def test_models_that_fasttext_has_trained(tmp_path, fasttext, options):
    corpus = tmp_path / "corpus.txt"
    lines = [" ".join(files.WORDS[1:][i:] + files.WORDS[1:][:i]) + "\n" for i in range(12)]
    corpus.write_text("".join(lines), encoding="utf8")
    path = tmp_path / "trained.bin"
    files.trained(path, corpus, **options)
    theirs, emb = fasttext.load_model(str(path)), ffjax.load_fasttext(path)
    assert sorted(emb.vocab.words) == sorted(set(files.WORDS))
    assert max(_differences(theirs, emb, [*emb.vocab.words, *files.UNKNOWN])) < CLOSE
    assert emb.training.counts[emb.vocab["</s>"]] == 12
    assert emb.metadata["model"] == ("SkipGram" if options["model"] == "skipgram" else "CBOW")


def test_the_model_in_finalfusions_tests_is_read_as_finalfusion_reads_it(
    finalfusion_files, fasttext
):
    compat = pytest.importorskip("finalfusion.compat")
    path = finalfusion_files / "fasttext.bin"
    theirs, emb = compat.load_fasttext(str(path)), ffjax.load_fasttext(path)
    assert emb.vocab.words == theirs.vocab.words
    assert dict(emb.metadata) == dict(theirs.metadata)
    assert emb.storage.shape == theirs.storage.shape
    assert emb.vocab.upper_bound == theirs.vocab.upper_bound
    bare = emb.vocab["</s>"]  # fastText gives it no n-grams, finalfusion does
    others = np.arange(len(emb.vocab)) != bare
    np.testing.assert_allclose(np.asarray(emb.storage)[157:], np.asarray(theirs.storage)[157:])
    np.testing.assert_allclose(
        np.asarray(emb.storage)[:157][others], np.asarray(theirs.storage)[:157][others], atol=1e-6
    )
    np.testing.assert_allclose(
        np.asarray(emb.norms)[others], np.asarray(theirs.norms)[others], rtol=1e-5
    )
    assert (
        np.abs(
            emb["</s>"] * emb.norms[bare] - fasttext.load_model(str(path)).get_word_vector("</s>")
        ).max()
        < CLOSE
    )


@pytest.mark.parametrize("mmap", [False, True])
def test_what_else_a_file_holds_is_kept(tmp_path, mmap):
    path = files.write(tmp_path, "model.bin", files.model(**KINDS["supervised, n-grams of words"]))
    emb = ffjax.load_fasttext(path, mmap=mmap)
    training = emb.training
    assert training.labels == files.LABELS
    assert training.n_tokens == 2**33 + 5
    assert training.counts[:8].tolist() == [
        1,
        255,
        256,
        65536,
        2**24,
        2**32 - 1,
        2**32,
        2**40 + 256,
    ]
    assert training.label_counts.tolist() == [2**32, 2**40 + 256, 3]
    assert training.output.shape == (3, 10)
    assert training.word_ngrams.shape == (300, 10)
    matrix = (
        np.random.default_rng(0).standard_normal((len(files.WORDS) + 300, 10)).astype(np.float32)
    )
    np.testing.assert_array_equal(np.asarray(training.word_ngrams), matrix[len(files.WORDS) :])
    assert isinstance(emb.vocab, ffjax.SimpleVocab)
    assert dict(emb.metadata) == {
        "dims": 10,
        "window_size": 5,
        "epoch": 7,
        "min_count": 1,
        "ns": 5,
        "word_ngrams": 2,
        "loss": "HierarchicalSoftmax",
        "model": "Supervised",
        "buckets": 300,
        "min_n": 0,
        "max_n": 0,
        "lr_update_rate": 100,
        "sampling_threshold": 1e-4,
    }


def test_the_output_matrix_of_models_of_words_is_kept_only_when_mapped(tmp_path):
    path = files.write(tmp_path, "model.bin", files.model())
    assert ffjax.load_fasttext(path).training.output is None
    assert ffjax.load_fasttext(path, mmap=True).training.output.shape == (len(files.WORDS), 10)


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("limit", [0, 1, 7, 1000])
def test_limit_keeps_the_first_words_and_all_ngrams(tmp_path, limit, mmap):
    path = files.write(tmp_path, "model.bin", files.model())
    whole, some = ffjax.load_fasttext(path), ffjax.load_fasttext(path, limit=limit, mmap=mmap)
    kept = min(limit, len(files.WORDS))
    assert some.vocab.words == files.WORDS[:kept]
    assert some.storage.shape == (kept + 300, 10)
    assert len(some.norms) == len(some.training.counts) == kept
    np.testing.assert_allclose(
        np.asarray(some.storage)[:kept], np.asarray(whole.storage)[:kept], atol=1e-6
    )
    np.testing.assert_array_equal(
        np.asarray(some.storage)[kept:], np.asarray(whole.storage)[len(files.WORDS) :]
    )


def test_limit_is_checked(tmp_path):
    path = files.write(tmp_path, "model.bin", files.model())
    with pytest.raises(ValueError, match="`limit`: expected the number of words to read.*got -1"):
        ffjax.load_fasttext(path, limit=-1)


# Cut within a character; a byte that no UTF-8 has; and a continuation byte at the start.
INVALID = {b"tea\xc3": 3, b"t\xff": 1, b"\x9fab": 0}


@pytest.mark.parametrize("raw", INVALID, ids=repr)
def test_words_that_are_not_utf8_are_named_with_their_place(tmp_path, raw):
    data = files.model(["t\u0101", raw, "end"])  # its last byte would be completed by the third
    path = files.write(tmp_path, "model.bin", data)
    wrong = data.index("t\u0101".encode() + b"\0") + 3 + 10 + INVALID[raw]
    with pytest.raises(
        ffjax.FormatError, match=r"dictionary: word 1: expected UTF-8, got b'.*lossy=True"
    ) as caught:
        ffjax.load_fasttext(path)
    assert (caught.value.offset, caught.value.chunk, caught.value.field) == (
        wrong,
        "dictionary",
        "word 1",
    )


@pytest.mark.parametrize("mmap", [False, True])
def test_lossy_replaces_what_is_not_utf8_and_keeps_vectors_and_words_apart(
    tmp_path, fasttext, mmap
):
    # The first two would both become the third; the fourth becomes a word of its own.
    words = [
        b"tea\xc3",
        b"tea\xff",
        "tea\ufffd".encode(),
        b"\xe2\x82x",
        b"fine",
        b"a\xf0\x9f\x92\x96\xbf\xbf\xbfb",
    ]
    path = files.write(tmp_path, "model.bin", files.model(words))
    emb = ffjax.load_fasttext(path, lossy=True, mmap=mmap)
    assert emb.vocab.words == [
        "tea\udcc3",
        "tea\udcff",
        "tea\ufffd",
        "\ufffdx",
        "fine",
        "a\U0001f496\ufffd\ufffd\ufffdb",
    ]
    # fastText's Python module takes UTF-8 alone, so the vectors are composed from the bytes.
    matrix = np.random.default_rng(0).standard_normal((len(words) + 300, 10)).astype(np.float32)
    for i, word in enumerate(words):
        ids = [len(words) + bucket for bucket in _buckets(word, 3, 6, 300)]
        expected = matrix[[i, *ids]].mean(0)
        np.testing.assert_allclose(emb.storage[i] * emb.norms[i], expected, atol=CLOSE)
    np.testing.assert_allclose(
        np.linalg.norm(np.asarray(emb.storage[: len(words)]), axis=1), 1, atol=1e-6
    )


def _buckets(word: bytes, min_n: int, max_n: int, n_buckets: int) -> list[int]:
    """fastText's n-grams from its description: a lead byte and its continuation bytes each."""
    marked = b"<" + word + b">"
    edges = [i for i, byte in enumerate(marked) if byte & 0xC0 != 0x80] + [len(marked)]
    found = []
    for i in range(len(edges) - 1):
        for j in range(i + min_n, min(i + max_n, len(edges) - 1) + 1):
            state = 2166136261
            for byte in marked[edges[i] : edges[j]]:
                state = ((state ^ (byte if byte < 128 else byte | 0xFFFFFF00)) * 16777619) % 2**32
            found.append(state % n_buckets)
    return found


def test_a_file_that_finalfusion_wrote_is_read_as_it_was_meant(tmp_path):
    compat = pytest.importorskip("finalfusion.compat")
    path = files.write(tmp_path, "model.bin", files.model())
    rewritten = tmp_path / "rewritten.bin"
    theirs = compat.load_fasttext(str(path))
    compat.write_fasttext(str(rewritten), theirs)
    emb = ffjax.load_fasttext(rewritten)
    others = np.arange(len(theirs.storage)) != theirs.vocab["</s>"]
    np.testing.assert_allclose(
        np.asarray(emb.storage)[others], np.asarray(theirs.storage)[others], atol=1e-5
    )


def test_a_word_that_occurs_twice_is_an_error(tmp_path):
    path = files.write(tmp_path, "model.bin", files.model(["tea", "coffee", "tea"]))
    with pytest.raises(ffjax.FormatError, match="words: expected each word once, got .*'tea'"):
        ffjax.load_fasttext(path)


def test_empty_vocabularies_and_empty_words(tmp_path):
    path = files.write(tmp_path, "model.bin", files.model([]))
    for mmap in (False, True):
        emb = ffjax.load_fasttext(path, mmap=mmap)
        assert len(emb) == 0 and emb.storage.shape == (300, 10)
        assert emb["tea"].shape == (10,)
    path = files.write(tmp_path, "model.bin", files.model(["", "tea", ""][:2]))
    assert ffjax.load_fasttext(path).vocab.words == ["", "tea"]


def test_opened_files_and_devices_are_read(tmp_path):
    path = files.write(tmp_path, "model.bin", files.model())
    with open(path, "rb") as file:
        assert ffjax.load_fasttext(os.dup(file.fileno())).n_words == len(files.WORDS)
    assert ffjax.load_fasttext(str(path)) == ffjax.load_fasttext(bytes(path)) == ffjax.load(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_are_read_with_one_warning(tmp_path, value):
    """One word's own row, and one n-gram of another."""
    data = bytearray(files.model(["tea", "pot", "cup"], dims=2, buckets=20))
    start = len(data) - 3 * 2 * 4 - 17 - 23 * 2 * 4
    data[start : start + 4] = np.float32(value).tobytes()
    bucket = int(ffjax.FastTextIndexer(20, 3, 6)("<pot>"))
    place = start + (3 + bucket) * 8
    data[place : place + 4] = np.float32(value).tobytes()
    path = files.write(tmp_path, "odd.bin", bytes(data))
    with pytest.warns(
        UserWarning, match="[23] vectors without a finite length, since rows of the model hold"
    ) as caught:
        emb = ffjax.load_fasttext(path)
    assert len(caught) == 1
    assert (
        np.isnan(emb["tea"][0]) and not np.isfinite(emb.norms[0]) and np.isfinite(emb["cup"]).all()
    )
    own = ffjax.load_fasttext(path, mmap=True).storage.word_rows
    np.testing.assert_array_equal(own[0][0], np.float32(value))
