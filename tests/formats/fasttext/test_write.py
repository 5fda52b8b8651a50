"""What ffjax writes opens in the real fastText (and gensim) and has the same vectors there."""

import jax
import numpy as np
import pytest

import ffjax
from ffjax.formats.fasttext import dictionary
from tests import builders
from tests.formats.fasttext import files
from tests.formats.fasttext.test_read import CLOSE, KINDS


def _same_vectors(a, b, words: list[str]) -> float:
    return max(np.abs(a.get_word_vector(word) - b.get_word_vector(word)).max() for word in words)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mapped_model_is_written_back_byte_for_byte(tmp_path, kind):
    path = files.write(tmp_path, "model.bin", files.model(**KINDS[kind]))
    ffjax.write_fasttext(tmp_path / "again.bin", ffjax.load_fasttext(path, mmap=True))
    assert (tmp_path / "again.bin").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_that_was_read_is_written_with_the_same_vectors(tmp_path, kind):
    fasttext = files.quiet_fasttext()
    path = files.write(tmp_path, "model.bin", files.model(**KINDS[kind]))
    emb = ffjax.load_fasttext(path)
    ffjax.write_fasttext(tmp_path / "again.bin", emb)
    first, second = fasttext.load_model(str(path)), fasttext.load_model(str(tmp_path / "again.bin"))
    assert _same_vectors(first, second, [*files.WORDS, *files.UNKNOWN]) < CLOSE
    if "supervised" in kind:
        assert first.predict("quick fox лиса", k=3)[0] == second.predict("quick fox лиса", k=3)[0]
        np.testing.assert_array_equal(first.get_output_matrix(), second.get_output_matrix())
    # Everything before the matrices is as it was: settings, counts, labels.
    head = (
        path.read_bytes().index(files.WORDS[-1].encode() + b"\0")
        + len(files.WORDS[-1].encode())
        + 10
    )
    assert (tmp_path / "again.bin").read_bytes()[:head] == path.read_bytes()[:head]


@pytest.mark.parametrize("norms", [True, False])
@pytest.mark.parametrize("kind", ["simple", "fasttext"])
@pytest.mark.parametrize("storage", ["dense", "pq_norms"])
def test_other_embeddings_have_their_own_vectors_in_fasttext(tmp_path, kind, storage, norms):
    fasttext = files.quiet_fasttext()
    emb = builders.embeddings(kind, storage, norms=norms)
    path = tmp_path / "written.bin"
    ffjax.write_fasttext(path, emb)
    theirs = fasttext.load_model(str(path))
    words = emb.vocab.words + (["teapots", "Pariser"] if kind == "fasttext" else [])
    expected, _ = ffjax.embed(emb, ffjax.pack(words, count=len(words)), unnormalize=True)
    found = np.stack([theirs.get_word_vector(word) for word in words])
    np.testing.assert_allclose(found, np.asarray(expected), atol=2e-6)
    assert theirs.get_words() == emb.vocab.words
    assert theirs.get_output_matrix().shape == (len(emb.vocab), emb.dims)


@pytest.mark.parametrize("training", [None, ffjax.TrainingState(np.arange(1, 11), n_tokens=55)])
def test_gensim_reads_what_was_written(tmp_path, training):
    fasttext_models = pytest.importorskip("gensim.models.fasttext")
    emb = builders.embeddings("fasttext").replace(training=training)
    path = tmp_path / "written.bin"
    ffjax.write_fasttext(path, emb)
    theirs = fasttext_models.load_facebook_vectors(str(path))
    words = [*emb.vocab.words, "teapots", "Pariser"]
    expected, _ = ffjax.embed(emb, ffjax.pack(words, count=len(words)), unnormalize=True)
    np.testing.assert_allclose(
        np.stack([theirs[word] for word in words]), np.asarray(expected), atol=2e-6
    )


def test_words_that_share_a_row_are_written_with_a_row_each(tmp_path):
    fasttext = files.quiet_fasttext()
    indexer = ffjax.FastTextIndexer(20, 3, 6)
    vocab = ffjax.FastTextVocab(["tea", "teas", "coffee"], indexer, rows=np.array([0, 0, 1]))
    emb = ffjax.Embeddings(builders.storage(22), vocab)
    ffjax.write_fasttext(tmp_path / "written.bin", emb)
    theirs = fasttext.load_model(str(tmp_path / "written.bin"))
    for word in vocab.words:
        np.testing.assert_allclose(theirs.get_word_vector(word), emb[word], atol=2e-6)


@pytest.mark.parametrize("kind", ["explicit", "buckets", "floret"])
def test_other_ngrams_cannot_be_written(tmp_path, kind):
    with pytest.raises(
        TypeError, match="`embeddings`: expected a FastTextVocab or a SimpleVocab, got .*Vocab"
    ):
        ffjax.write_fasttext(tmp_path / "no.bin", builders.embeddings(kind, norms=kind != "floret"))
    assert not (tmp_path / "no.bin").exists()


def test_a_zero_byte_in_a_word_cannot_be_written(tmp_path):
    emb = builders.embeddings("simple", words=["tea", "cof\0fee"])
    with pytest.raises(ValueError, match=r"expected words without a zero byte.*got 'cof\\x00fee'"):
        ffjax.write_fasttext(tmp_path / "no.bin", emb)
    assert not (tmp_path / "no.bin").exists()


def test_settings_that_contradict_the_embeddings_give_way(tmp_path):
    metadata = {
        "min_n": 9,
        "buckets": 5,
        "loss": "none",
        "model": "Supervised",
        "epoch": "many",
        "ns": 2**40,
        "dims": 1,
    }
    emb = builders.embeddings("fasttext", metadata={**metadata, "window_size": 8})
    with pytest.raises(
        ValueError,
        match="settings alone, got loss, epoch, ns. Allow what is .*`drop_metadata=True`",
    ):
        ffjax.write_fasttext(tmp_path / "written.bin", emb)
    ffjax.write_fasttext(tmp_path / "written.bin", emb, drop_metadata=True)
    found = ffjax.load_fasttext(tmp_path / "written.bin").metadata
    assert dict(found) == {
        "dims": 6,
        "window_size": 8,
        "epoch": -1,
        "min_count": -1,
        "ns": -1,
        "word_ngrams": 1,
        "loss": "Softmax",
        "model": "SkipGram",
        "buckets": 37,
        "min_n": 3,
        "max_n": 5,
        "lr_update_rate": -1,
        "sampling_threshold": 1e-4,
    }


def test_ngrams_that_are_to_be_left_out_are_left_out(tmp_path):
    # The metadata still say n-grams, the vocabulary has none any more.
    emb = ffjax.load_fasttext(files.write(tmp_path, "model.bin", files.model()))
    simple = ffjax.Embeddings(
        emb.storage[: emb.n_words], ffjax.SimpleVocab(emb.vocab.words), emb.norms, emb.metadata
    )
    ffjax.write_fasttext(tmp_path / "simple.bin", simple)
    again = ffjax.load_fasttext(tmp_path / "simple.bin")
    assert isinstance(again.vocab, ffjax.SimpleVocab) and again.metadata["max_n"] == 0
    np.testing.assert_allclose(np.asarray(again.storage), np.asarray(simple.storage), atol=1e-6)


def test_a_classifier_of_version_11_that_got_ngrams_becomes_version_12(tmp_path):
    path = files.write(tmp_path, "model.bin", files.model(**KINDS["supervised, version 11"]))
    emb = ffjax.load_fasttext(path)
    vocab = ffjax.FastTextVocab(emb.vocab.words, ffjax.FastTextIndexer(300, 3, 6))
    rows = np.concatenate([np.asarray(emb.storage), np.asarray(emb.training.word_ngrams)])
    ffjax.write_fasttext(
        tmp_path / "new.bin", emb.replace(vocab=vocab, storage=ffjax.NdArray(rows))
    )
    again = ffjax.load_fasttext(tmp_path / "new.bin")
    assert (
        again.training.version == 12
        and again.vocab.max_n == 6
        and again.training.labels == files.LABELS
    )
    np.testing.assert_allclose(np.asarray(again.storage), rows, atol=1e-5)


def test_lossy_words_are_written_as_they_are_called(tmp_path):
    path = files.write(tmp_path, "model.bin", files.model([b"tea\xff", "coffee"]))
    emb = ffjax.load_fasttext(path, lossy=True, mmap=True)
    ffjax.write_fasttext(tmp_path / "new.bin", emb)
    again = ffjax.load_fasttext(tmp_path / "new.bin")
    assert again.vocab.words == ["tea\ufffd", "coffee"]
    np.testing.assert_allclose(np.asarray(again.storage), np.asarray(emb.storage), atol=1e-6)


def test_embeddings_that_went_through_jit_are_written(tmp_path):
    path = files.write(tmp_path, "model.bin", files.model())
    emb = jax.jit(lambda x: x)(ffjax.load_fasttext(path))
    ffjax.write_fasttext(tmp_path / "new.bin", emb)
    np.testing.assert_allclose(
        ffjax.load_fasttext(tmp_path / "new.bin")["fox"], emb["fox"], atol=1e-6
    )
    assert emb.training.counts[1] == 255 and emb.training.n_tokens == 2**33 + 5


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = files.write(tmp_path, "model.bin", b"old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(dictionary, "write", fail)
    with pytest.raises(OSError, match="disk full"):
        ffjax.write_fasttext(path, builders.embeddings("simple"))
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1
