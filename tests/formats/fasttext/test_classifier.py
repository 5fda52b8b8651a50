"""Supervised models that are no classifiers, or hostile ones."""

import gzip
import struct
import zipfile

import numpy as np
import pytest

import ffjax
from ffjax.embeddings import classifier as module
from ffjax.formats.describe import describe
from ffjax.strings.text import as_lines
from tests.formats.fasttext import files
from tests.fuzz.classifier_texts import check_answers

LABELS = ["__label__x", "__label__y", "__label__z"]
SUPERVISED = {"kind": files.SUPERVISED, "labels": LABELS, "dims": 4, "buckets": 10}


def test_a_model_of_words_names_load(tmp_path):
    path = files.write(tmp_path, "words.bin", files.model(["a", "b"]))
    message = r"words.bin: .*with labels, got an unsupervised model \(word vectors\). .*load`"
    with pytest.raises(ValueError, match=message):
        ffjax.load_classifier(path)
    # Words that begin with `__label__` are labels there too.
    unsupervised = files.model(["a", "b"], labels=["__label__x"])
    path = files.write(tmp_path, "words.bin", unsupervised)
    with pytest.raises(ValueError, match=message):
        ffjax.load_classifier(path)
    path = files.write(tmp_path, "model.bin", files.model(["a"], **SUPERVISED))
    with pytest.raises(ValueError, match="`ffjax.load_classifier`"):
        ffjax.Classifier(ffjax.load(path))


def test_other_files_are_named(tmp_path, as_users_see):
    for data, got in ((b"", "an empty file"), (b"tea pot\n", "b'tea '. The file is of another")):
        path = files.write(tmp_path, "model.bin", data)
        expected = rf"expected a fastText model \(.bin or .ftz\), got {got}"
        with pytest.raises(ffjax.FormatError, match=expected):
            ffjax.load_classifier(path)
    data = files.model(["tea"], **SUPERVISED)
    with pytest.raises(ffjax.FormatError, match="as many as remain, got .*[Dd]ownload"):
        ffjax.load_classifier(files.write(tmp_path, "model.bin", data[:100]))
    with pytest.raises(TypeError, match="expected a path or a descriptor, got Embeddings.$"):
        ffjax.load(ffjax.demo())


def test_models_may_be_compressed_or_on_the_hub(tmp_path, monkeypatch):
    data = files.model(["tea", "pot"], **SUPERVISED)
    expected = ffjax.load_classifier(files.write(tmp_path, "a.bin", data)).predict("tea", 2)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    snapshot = tmp_path / "hub" / "models--org--lid" / "snapshots" / "main"
    snapshot.mkdir(parents=True)
    (snapshot / "model.bin").write_bytes(data)
    path = files.write(tmp_path, "a.bin.gz", gzip.compress(data))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.bin", data)
    for source in (path, tmp_path / "a.zip", "hf://org/lid/model.bin"):
        for mmap in (False, True):
            labels, scores = ffjax.load_classifier(source, mmap=mmap).predict("tea", 2)
            assert labels == expected[0]
            np.testing.assert_array_equal(scores, expected[1])
    words = files.write(tmp_path, "words.bin.gz", gzip.compress(files.model(["tea"])))
    with pytest.raises(ValueError, match="words.bin.gz: .*unsupervised model"):
        ffjax.load_classifier(words)


@pytest.mark.parametrize("loss", [1, 2, 3, 4])
@pytest.mark.parametrize("version", [11, 12])
def test_models_of_every_loss_and_version_answer(tmp_path, loss, version):
    data = files.model(["</s>", "tea"], loss=loss, version=version, word_ngrams=2, **SUPERVISED)
    classifier = ffjax.load_classifier(files.write(tmp_path, "model.bin", data))
    has_ngrams = classifier.embeddings.vocab.subword_indexer is not None
    assert has_ngrams == (version == 12)
    check_answers(classifier)


def test_words_and_labels_may_be_any_bytes(tmp_path, monkeypatch):
    options = {**SUPERVISED, "labels": ["__label__\xe9".encode("latin-1"), "__label__y"]}
    data = files.model(["tea", b"caf\xe9"], loss=4, **options)
    classifier = ffjax.load_classifier(files.write(tmp_path, "model.bin", data))
    assert classifier.predict(b"caf\xe9", 2, on_unicode_error="replace")[0]
    problem = "(invalid continuation byte|unexpected end).* of label b.*`on_unicode_error="
    texts: list[list[str]] = []
    monkeypatch.setattr(module, "as_lines", lambda x, **options: texts.append(x) or as_lines(x))
    with pytest.raises(UnicodeDecodeError, match=problem):
        classifier.predict("tea", 2)
    assert texts == [["tea"]]  # which are encoded once


def test_numbers_that_are_not_finite_name_the_row(tmp_path):
    data = bytearray(files.model(["tea"], **SUPERVISED))
    data[-20:-16] = struct.pack("<f", np.nan)  # in the row before the last
    with pytest.raises(ValueError, match="NaN or infinity in row 1, of the label '__label__y'"):
        ffjax.load_classifier(files.write(tmp_path, "model.bin", bytes(data)))


def test_trees_of_hostile_counts_are_trees(tmp_path):
    for count in (0, -5, 10**15 - 1, 10**15):
        data = bytearray(files.model(["tea"], loss=1, **SUPERVISED))
        for label in LABELS:
            at = data.index(label.encode()) + len(label) + 1
            data[at : at + 8] = struct.pack("<q", count)
        path = files.write(tmp_path, "model.bin", bytes(data))
        if count == 10**15:
            with pytest.raises(ValueError, match="`label_counts`: expected less than 10"):
                ffjax.load_classifier(path)
        else:
            check_answers(ffjax.load_classifier(path))


def test_one_label_is_certain(tmp_path):
    for loss in (1, 3):
        data = files.model(["tea"], loss=loss, **{**SUPERVISED, "labels": LABELS[:1]})
        classifier = ffjax.load_classifier(files.write(tmp_path, "model.bin", data))
        assert classifier.score("tea", "x") == pytest.approx(1.0, abs=2e-5)


def test_a_model_without_the_ngrams_that_it_had_has_no_buckets(classifiers, tmp_path):
    embeddings = ffjax.load_classifier(classifiers / "hs-pruned").embeddings
    storage = embeddings.storage
    indexer = ffjax.PrunedIndexer(storage.indexer.hashing, np.zeros(0, np.int32))
    storage = ffjax.ComposedArray(storage.word_rows, storage.table, storage.ngrams[:0], indexer)
    vocab = ffjax.FastTextVocab(embeddings.words, indexer)
    changed = ffjax.Embeddings(storage, vocab, None, embeddings.metadata, embeddings.training)
    ffjax.write_fasttext(tmp_path / "model.ftz", changed)
    assert describe(tmp_path / "model.ftz", None)["buckets"] == 0
    check_answers(ffjax.load_classifier(tmp_path / "model.ftz"))


def test_truncated_files_are_errors(tmp_path):
    data = files.model(["tea"], loss=1, **SUPERVISED)
    for size in range(8, len(data), 37):
        with pytest.raises(ffjax.FormatError, match="model.bin"):
            ffjax.load_classifier(files.write(tmp_path, "model.bin", data[:size]))
