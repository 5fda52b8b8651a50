"""ffjax next to gensim and finalfusion-python on the same files, both ways."""

import random
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import ffjax
from ffjax.formats.io.streams import open_stream
from ffjax.formats.text.read import read_text_blocks
from ffjax.formats.word2vec import read_word2vec_blocks


def peer(name: str) -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside of the peer
        return pytest.importorskip(name)


@pytest.fixture(scope="module")
def keyed_vectors() -> type:
    return peer("gensim.models").KeyedVectors


@pytest.fixture(scope="module")
def finalfusion() -> ModuleType:
    return peer("finalfusion")


WORDS = ["the", "zürich", "日本", "a-b", "😀", "e\u0301", "no\u00a0break", "x" * 200]
ROWS = (
    np.random.default_rng(7).standard_normal((len(WORDS), 30)) * [[10.0**k] for k in range(-4, 4)]
).astype(np.float32)


def unnormalized(emb: ffjax.Embeddings) -> np.ndarray:
    return np.asarray(emb.storage) * np.asarray(emb.norms)[:, None]


def gensim_file(keyed_vectors: type, path: Path, binary: bool) -> None:
    vectors = keyed_vectors(vector_size=ROWS.shape[1])
    vectors.add_vectors(WORDS, ROWS)
    vectors.save_word2vec_format(str(path), binary=binary)


@pytest.mark.parametrize("binary", [True, False])
def test_files_of_gensim(keyed_vectors: type, tmp_path: Path, binary: bool) -> None:
    path = tmp_path / "gensim"
    gensim_file(keyed_vectors, path, binary)
    read = read_word2vec_blocks(path) if binary else read_text_blocks(path, header=True)
    with read as blocks:
        (block,) = blocks
    assert block.words.strings == WORDS
    # gensim writes text with the digits that NumPy gives, which tell each float32 from all others.
    np.testing.assert_array_equal(block.rows.view(np.uint32), ROWS.view(np.uint32))
    emb = ffjax.load(path)
    assert emb.vocab.words == WORDS
    np.testing.assert_allclose(unnormalized(emb), ROWS, rtol=2e-7)


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # gensim leaves text files open
@pytest.mark.parametrize("binary", [True, False])
def test_gensim_reads_our_files(keyed_vectors: type, tmp_path: Path, binary: bool) -> None:
    path = tmp_path / "ours"
    emb = ffjax.Embeddings(ffjax.NdArray(ROWS), ffjax.SimpleVocab(WORDS))
    (ffjax.write_word2vec if binary else ffjax.write_text_dims)(path, emb)
    vectors = keyed_vectors.load_word2vec_format(str(path), binary=binary)
    assert vectors.index_to_key == WORDS
    np.testing.assert_array_equal(vectors.vectors, ROWS)
    if not binary:
        ffjax.write_text(path, emb)
        np.testing.assert_array_equal(
            keyed_vectors.load_word2vec_format(str(path), binary=False, no_header=True).vectors,
            ROWS,
        )


# The vectors of each file, as gensim reads them; `None` for text without a line of dimensions.
WHEEL = {
    "euclidean_vectors.bin": True,
    "poincare_vectors.bin": True,
    "high_precision.kv.bin": True,
    "high_precision.kv.txt": False,
    "crime-and-punishment.vec": False,
    "lee_fasttext.vec": False,
    "toy-model.vec": False,
    "word2vec_pre_kv_c": False,
    "test_glove.txt": None,
}


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # gensim leaves text files open
@pytest.mark.parametrize("name", WHEEL)
def test_the_files_in_the_wheel_of_gensim(keyed_vectors: type, name: str) -> None:
    path = Path(peer("gensim").__file__).parent / "test" / "test_data" / name
    binary = WHEEL[name]
    theirs = keyed_vectors.load_word2vec_format(
        str(path), binary=binary is True, no_header=binary is None
    )
    ours = ffjax.load(path)
    assert ours.vocab.words == theirs.index_to_key
    np.testing.assert_allclose(unnormalized(ours), theirs.vectors, rtol=3e-7)
    read = (
        read_word2vec_blocks(path) if binary else read_text_blocks(path, header=binary is not None)
    )
    with read as blocks:
        rows = np.concatenate([block.rows for block in blocks])
    np.testing.assert_array_equal(rows.view(np.uint32), theirs.vectors.view(np.uint32))


FINALFUSION = ["load_text", "load_text_dims", "load_word2vec"]
FILES = {
    "load_text": "embeddings.txt",
    "load_text_dims": "embeddings.dims.txt",
    "load_word2vec": "embeddings.w2v",
}


@pytest.mark.parametrize("name", FINALFUSION)
def test_finalfusion_reads_the_same(
    finalfusion: ModuleType, finalfusion_files: Path, name: str
) -> None:
    path = finalfusion_files / FILES[name]
    ours, theirs = getattr(ffjax, name)(path), getattr(finalfusion, name)(str(path))
    assert ours.vocab.words == list(theirs.vocab)
    np.testing.assert_allclose(np.asarray(ours.storage), np.asarray(theirs.storage), rtol=1e-6)
    np.testing.assert_allclose(np.asarray(ours.norms), np.asarray(theirs.norms), rtol=1e-6)


@pytest.mark.parametrize("name", FINALFUSION)
def test_each_reads_what_the_other_writes(
    finalfusion: ModuleType, finalfusion_files: Path, tmp_path: Path, name: str
) -> None:
    source, writer = finalfusion_files / "embeddings.fifu", name.replace("load", "write")
    ours, theirs = ffjax.load(source), finalfusion.load_finalfusion(str(source))
    getattr(ffjax, writer)(tmp_path / "ours", ours)
    getattr(finalfusion.compat, writer)(str(tmp_path / "theirs"), theirs)
    if name == "load_word2vec":
        # They write rounded products, and ours are the numbers of fewest digits that round there.
        with (
            read_word2vec_blocks(tmp_path / "ours") as a,
            read_word2vec_blocks(tmp_path / "theirs") as b,
        ):
            np.testing.assert_array_max_ulp(next(a.blocks).rows, next(b.blocks).rows, 1)
    for read in (getattr(finalfusion, name), getattr(ffjax, name)):
        a, b = read(str(tmp_path / "ours")), read(str(tmp_path / "theirs"))
        assert list(a.vocab) == list(b.vocab) == ours.vocab.words
        np.testing.assert_allclose(np.asarray(a.storage), np.asarray(b.storage), rtol=2.4e-7)
        np.testing.assert_allclose(np.asarray(a.storage), np.asarray(ours.storage), rtol=1e-6)
        np.testing.assert_allclose(np.asarray(a.norms), np.asarray(ours.norms), rtol=1e-6)


def test_finalfusion_names_and_arguments(finalfusion: ModuleType) -> None:
    import inspect

    for name in (*FINALFUSION, "write_text", "write_text_dims", "write_word2vec"):
        theirs = list(inspect.signature(getattr(finalfusion.compat, name)).parameters.values())
        ours = list(inspect.signature(getattr(ffjax, name)).parameters.values())
        assert [(p.name, p.default) for p in ours[: len(theirs)]] == [
            (p.name, p.default) for p in theirs
        ]


def test_glove_bit_for_bit(real_file) -> None:
    """Rows of the real file here and there, as `np.float32(float(text))` reads them."""
    path = real_file("glove.100d.txt")
    choice = random.Random(0)
    with (
        open_stream(path) as stream,
        open(path, "rb") as lines,
        read_text_blocks(stream, header=False, limit=40_000) as blocks,
    ):
        for block in blocks:
            for word, row in zip(block.words.strings, block.rows, strict=True):
                fields = lines.readline().split(b" ")
                if choice.random() > 0.02:
                    continue
                assert word.encode() == b" ".join(fields[:-100])
                expected = np.array([np.float32(float(field)) for field in fields[-100:]])
                np.testing.assert_array_equal(row.view(np.uint32), expected.view(np.uint32))
