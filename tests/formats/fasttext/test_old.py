"""Files from before fastText had a magic number, which gensim opens as well."""

from pathlib import Path

import numpy as np
import pytest

import ffjax
from ffjax.formats.fasttext.layout import is_without_magic
from tests.formats.fasttext import files

DIMS, BUCKETS, WORDS = 4, 20, ["</s>", "tea", "zürich"]


def old(new: bytes, n_outputs: int) -> bytes:
    """A model without magic number, version, number of pruned n-grams and flags."""
    output = len(new) - 17 - 4 * DIMS * n_outputs
    rows = len(WORDS) + BUCKETS
    matrix = output - 17 - 4 * DIMS * rows
    assert new[matrix] == new[output] == 0
    return new[8:84] + new[92:matrix] + new[matrix + 1 : output] + new[output + 1 :]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "old.bin"


@pytest.fixture(scope="module")
def model() -> bytes:
    return files.model(WORDS, dims=DIMS, buckets=BUCKETS)


@pytest.mark.parametrize("mmap", [False, True])
def test_the_same_rows_as_in_a_newer_file(path: Path, model: bytes, mmap: bool) -> None:
    path.with_name("new.bin").write_bytes(model)
    new = ffjax.load(path.with_name("new.bin"), mmap=mmap)
    path.write_bytes(old(model, len(WORDS)))
    emb = ffjax.load(path, mmap=mmap)
    assert emb.vocab.words == WORDS
    assert emb.vocab.subword_indexer.bare_eos is False  # as in gensim
    np.testing.assert_array_equal(np.asarray(emb.storage)[1:], np.asarray(new.storage)[1:])
    assert emb.training.counts.tolist() == new.training.counts.tolist()
    assert ffjax.load(path, limit=2).vocab.words == WORDS[:2]


def test_classifiers(path: Path) -> None:
    kind = {"labels": files.LABELS, "kind": files.SUPERVISED, "loss": 3}
    data = files.model(WORDS, dims=DIMS, buckets=BUCKETS, **kind)
    path.write_bytes(old(data, len(files.LABELS)))
    classifier = ffjax.load_classifier(path)
    assert list(classifier.labels) == files.LABELS
    assert type(classifier.embeddings.vocab) is ffjax.SimpleVocab


def test_every_truncation_is_an_error(path: Path, model: bytes) -> None:
    data = old(model, len(WORDS))
    assert is_without_magic(data)
    for size in range(76, len(data)):
        path.write_bytes(data[:size])
        with pytest.raises(ffjax.FormatError, match="old.bin: byte"):
            ffjax.load_fasttext(path)


def test_other_files_are_not_taken_for_one() -> None:
    rng = np.random.default_rng(0)
    assert not any(is_without_magic(rng.bytes(100)) for _ in range(2000))
    assert not is_without_magic(bytes(100))
    assert not is_without_magic(b"one 0.5 0.25\n" * 10)


@pytest.mark.parametrize("name", ["lee_fasttext.bin", "non_ascii_fasttext.bin"])
def test_real_files_beside_gensim(name: str) -> None:
    gensim = pytest.importorskip("gensim.models.fasttext")
    path = Path(gensim.__file__).parents[1] / "test" / "test_data" / name
    theirs = gensim.load_facebook_vectors(str(path))
    emb = ffjax.load(path)
    assert emb.vocab.words == theirs.index_to_key
    vectors = np.asarray(emb.storage)[: len(theirs)] * np.asarray(emb.norms)[:, None]
    np.testing.assert_allclose(vectors, theirs.vectors, rtol=1e-5, atol=1e-6)
    for word in ("unknown", "zzřě", "日本"):
        expected = theirs[word]
        np.testing.assert_allclose(
            emb[word] * np.linalg.norm(expected), expected, rtol=1e-5, atol=1e-6
        )
