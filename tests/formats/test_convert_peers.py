"""Chains of conversions, checked by the formats' own programs: `</s>` and norms survive."""

from pathlib import Path

import numpy as np
import pytest

import ffjax
from tests.formats.fasttext import files

CLOSE = 2e-6
WORDS = [*files.WORDS]  # `</s>` among them
UNKNOWN = [word for word in files.UNKNOWN if word != "</s>"]


def peer(name: str):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np, "NaN", np.nan, raising=False)
        return pytest.importorskip(name)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory):
    """fastText's own vectors of a model, and the folder of the model and its conversions."""
    folder = tmp_path_factory.mktemp("converted")
    files.write(folder, "model.bin", files.model(WORDS))
    theirs = files.quiet_fasttext().load_model(str(folder / "model.bin"))
    for source, target in (
        ("model.bin", "model.fifu"),
        ("model.fifu", "again.bin"),
        ("model.bin", "model.vec"),
        ("model.fifu", "fifu.vec"),
        ("model.vec", "vec.fifu"),
        ("vec.fifu", "vec.w2v"),
        ("vec.w2v", "w2v.txt"),
    ):
        ffjax.convert(folder / source, folder / target, leave_out=True)
    ffjax.convert(folder / "w2v.txt", folder / "text.bin", to_format="fasttext")
    return {word: theirs.get_word_vector(word) for word in [*WORDS, *UNKNOWN]}, folder


def compare(
    found: dict[str, np.ndarray], expected: dict[str, np.ndarray], words: list[str]
) -> None:
    for word in words:
        np.testing.assert_allclose(found[word], expected[word], atol=CLOSE, rtol=2e-6, err_msg=word)


@pytest.mark.parametrize("name", ["again.bin", "text.bin"])
def test_fasttext_opens_what_was_converted(model, name: str) -> None:
    expected, folder = model
    theirs = files.quiet_fasttext().load_model(str(folder / name))
    assert theirs.get_words() == WORDS
    words = WORDS + (UNKNOWN if name == "again.bin" else [])
    compare({word: theirs.get_word_vector(word) for word in words}, expected, words)


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # gensim leaves text files open
@pytest.mark.parametrize("name", ["model.vec", "fifu.vec", "vec.w2v"])
def test_gensim_opens_what_was_converted(model, name: str) -> None:
    expected, folder = model
    vectors = peer("gensim.models").KeyedVectors
    theirs = vectors.load_word2vec_format(str(folder / name), binary=name.endswith("w2v"))
    assert theirs.index_to_key == WORDS
    compare({word: theirs[word] for word in WORDS}, expected, WORDS)


@pytest.mark.parametrize("name", ["model.fifu", "vec.fifu"])
def test_finalfusion_opens_what_was_converted(model, name: str) -> None:
    expected, folder = model
    theirs = peer("finalfusion").load_finalfusion(str(folder / name))
    assert theirs.vocab.words == WORDS
    found = {}
    for word in WORDS:
        unit, norm = theirs.embedding_with_norm(word)
        found[word] = unit * norm
    compare(found, expected, WORDS)
    if name == "model.fifu":
        for word in UNKNOWN:
            ours = ffjax.load(folder / name).embedding(word)
            np.testing.assert_allclose(theirs.embedding(word), ours, atol=1e-6, err_msg=word)


@pytest.mark.parametrize("name", ["model.fifu", "again.bin"])
def test_unknown_words_are_fasttexts(model, name: str) -> None:
    expected, folder = model
    for mmap in (False, True):
        emb = ffjax.load(folder / name, mmap=mmap)
        words = [*WORDS, *UNKNOWN]
        vectors, _ = ffjax.embed(emb, ffjax.pack(words, count=len(words)), unnormalize=True)
        compare(dict(zip(words, np.asarray(vectors), strict=True)), expected, words)


def test_lengths_are_left_out_where_one_asks_for_it(model, tmp_path: Path) -> None:
    expected, folder = model
    ffjax.convert(folder / "model.bin", tmp_path / "unit.vec", leave_out=True, unnormalize=False)
    emb = ffjax.load(tmp_path / "unit.vec")
    np.testing.assert_allclose(np.asarray(emb.norms), 1, atol=1e-6)
    units = {word: vector / np.linalg.norm(vector) for word, vector in expected.items()}
    compare({word: emb[word] for word in WORDS}, units, WORDS)


def test_floret_tables_come_back_as_they_were(tmp_path: Path) -> None:
    floret = peer("floret")
    (tmp_path / "corpus.txt").write_text(
        "the cat sat on the mat . кошка сидела на коврике\n" * 100, encoding="utf8"
    )
    theirs = floret.train_unsupervised(
        str(tmp_path / "corpus.txt"), mode="floret", model="cbow", hashCount=2, bucket=100,
        minn=2, maxn=4, dim=8, minCount=1, epoch=3, thread=1, verbose=0,
    )  # fmt: skip
    theirs.save_floret_vectors(str(tmp_path / "table.floret"))
    ffjax.convert(tmp_path / "table.floret", tmp_path / "table.fifu")
    ffjax.convert(tmp_path / "table.fifu", tmp_path / "again.floret")
    ffjax.convert(tmp_path / "table.floret", tmp_path / "once.floret")
    assert (tmp_path / "again.floret").read_bytes() == (tmp_path / "once.floret").read_bytes()
    words = ["cat", "кошка", "unseen", "коврики"]
    for name in ("table.fifu", "again.floret"):
        vectors, _ = ffjax.embed(
            ffjax.load(tmp_path / name), ffjax.pack(words, count=len(words)), unnormalize=True
        )
        for word, vector in zip(words, np.asarray(vectors), strict=True):
            np.testing.assert_allclose(
                vector, theirs.get_word_vector(word), rtol=2e-4, atol=1e-6, err_msg=word
            )
