"""Text, word2vec and Parquet files beside gensim, finalfusion-python and pandas (GloVe)."""

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import ffjax
from benchmarks.files import Opened, derived, peer, real
from benchmarks.harness import Memory, Pair, row

WORK = "opening GloVe text, 341,479 x 100, 296 MB"
ALLOWED = 400_000_000  # bytes
NOTE = "ours also scales to unit length, checks UTF-8 and builds the hash table"
PANDAS = "pandas with pyarrow"
PANDAS_NOTE = "the peer's answer is a matrix and a dict of words; ours scales to unit length too"


def _word2vec() -> str:
    def make(path: Path) -> None:
        vectors = peer("gensim.models").KeyedVectors.load_word2vec_format(
            real("glove.100d.txt"), no_header=True
        )
        vectors.save_word2vec_format(str(path), binary=True)

    return str(derived("glove.w2v.bin", make))


def _same_as_gensim(ours: Any, theirs: Any) -> None:
    assert ours.vocab.words == theirs.index_to_key
    rows = np.asarray(ours.storage) * np.asarray(ours.norms)[:, None]
    np.testing.assert_allclose(rows, theirs.vectors, rtol=3e-7)


def _same_as_finalfusion(ours: Any, theirs: Any) -> None:
    assert ours.vocab.words == list(theirs.vocab.words)
    np.testing.assert_allclose(
        np.asarray(ours.storage), np.asarray(theirs.storage), rtol=1e-5, atol=1e-7
    )


@row(issue=3, work=WORK, beside="gensim `load_word2vec_format`", at_least=10, repeat=3)
def glove_text_gensim() -> Pair:
    path, vectors = real("glove.100d.txt"), peer("gensim.models").KeyedVectors
    return Pair(
        ours=lambda: ffjax.load_text(path),
        peer=lambda: vectors.load_word2vec_format(str(path), no_header=True),
        check=_same_as_gensim,
        bytes_moved=path.stat().st_size + 341_479 * 400,
        note=NOTE,
    )


@row(issue=3, work=WORK, beside="finalfusion-python `load_text`", at_least=4, repeat=3)
def glove_text_finalfusion() -> Pair:
    path, compat = real("glove.100d.txt"), peer("finalfusion.compat")
    return Pair(
        ours=lambda: ffjax.load_text(path),
        peer=lambda: compat.load_text(str(path)),
        check=_same_as_finalfusion,
        bytes_moved=path.stat().st_size + 341_479 * 400,
    )


@row(
    issue=3,
    work="opening word2vec binary, 341,479 x 100",
    beside="gensim `load_word2vec_format`",
    at_least=5,
)
def word2vec_binary_gensim() -> Pair:
    path, vectors = _word2vec(), peer("gensim.models").KeyedVectors
    return Pair(
        ours=lambda: ffjax.load_word2vec(path),
        peer=lambda: vectors.load_word2vec_format(path, binary=True),
        check=_same_as_gensim,
        bytes_moved=2 * Path(path).stat().st_size,
        note=NOTE,
    )


def _saved_by_gensim() -> str:
    def make(path: Path) -> None:
        vectors = peer("gensim.models").KeyedVectors.load_word2vec_format(
            real("glove.100d.txt"), no_header=True
        )
        vectors.save(str(path))
        array = f"{path}.vectors.npy"
        Path(array).replace(path.with_name(f"{_SAVED}.vectors.npy"))

    return str(derived(_SAVED, make))


def _saved_pair(*, mapped: bool) -> Pair:
    path, vectors = _saved_by_gensim(), peer("gensim.models").KeyedVectors
    mmap = "r" if mapped else None

    def ours() -> Any:
        emb = ffjax.load(path, mmap=mapped)
        return Opened(emb, emb["coffee"])

    def theirs() -> Any:
        words = vectors.load(path, mmap=mmap)
        return Opened(words, words["coffee"])

    note = "ours builds the hash table when many words are first looked up"
    return Pair(ours=ours, peer=theirs, check=_same_bits, note=note)


def _same_bits(ours: Opened, theirs: Opened) -> None:
    np.testing.assert_array_equal(ours.vector, theirs.vector)
    assert ours.words.vocab.words == theirs.words.index_to_key
    np.testing.assert_array_equal(np.asarray(ours.words.storage), theirs.words.vectors)


_SAVED = "glove.saved.kv"
SAVED_WORK = "opening gensim's `.kv`, 341,479 x 100, and looking one word up"


@row(issue=16, work=SAVED_WORK, beside="gensim `load`", at_least=1)
def gensim_saved() -> Pair:
    return _saved_pair(mapped=False)


@row(issue=16, work=f"{SAVED_WORK}; mapped", beside="gensim `load(mmap='r')`", at_least=2)
def gensim_saved_mapped() -> Pair:
    return _saved_pair(mapped=True)


@row(
    issue=3,
    work="writing text with dimensions, 20,000 x 100",
    beside="finalfusion-python `write_text_dims`",
)
def write_text_finalfusion() -> Pair:
    path, compat = real("glove.100d.txt"), peer("finalfusion.compat")
    folder = Path(tempfile.mkdtemp())
    ours = ffjax.load_text(path, limit=20_000)
    ff = peer("finalfusion")
    theirs = ff.Embeddings(
        storage=ff.storage.NdArray(np.array(ours.storage)),
        vocab=ff.vocab.SimpleVocab(list(ours.vocab.words)),
        norms=ff.norms.Norms(np.array(ours.norms)),
    )
    return Pair(
        ours=lambda: ffjax.write_text_dims(folder / "ours", ours),
        peer=lambda: compat.write_text_dims(str(folder / "theirs"), theirs),
        check=lambda *_: _same_texts(folder),
        note="both write the shortest digits",
    )


def _same_texts(folder: Path) -> None:
    ours, theirs = (ffjax.load_text_dims(folder / name) for name in ("ours", "theirs"))
    assert ours == theirs


@row(
    issue=3,
    work="GloVe text to .fifu with `convert`, 341,479 x 100: peak memory",
    beside="—",
    at_most=1,
)
def convert_glove_memory() -> Memory:
    return Memory(
        lambda: _converted(real("glove.100d.txt")), ALLOWED, "400 MB above Python with JAX loaded"
    )


@row(issue=3, work="fastText .bin to .fifu with `convert`, 3.1 GB: peak memory", beside="—")
def convert_fasttext_memory() -> Memory:
    path = real("ft300.bin")
    return Memory(
        lambda: _converted(path, drop_training=True),
        path.stat().st_size,
        "the file, pages of it included",
    )


def _converted(path: Path, **options: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ffjax.convert(path, Path(folder) / "converted.fifu", **options)


@cache
def _embeddings() -> ffjax.Embeddings:
    return ffjax.load(real("glove.100d.txt"))


def _lists() -> Any:
    """A frame with a column of vectors."""
    emb = _embeddings()
    columns = {"word": emb.vocab.words, "vector": list(np.asarray(emb.storage))}
    return peer("pandas").DataFrame(columns)


def _numbers() -> Any:
    """A frame with a column for each dimension."""
    frame = peer("pandas").DataFrame(np.asarray(_embeddings().storage))
    frame.columns = frame.columns.map(str)
    frame.insert(0, "word", _embeddings().vocab.words)
    return frame


def _same_as_pandas(ours: ffjax.Embeddings, theirs: Any) -> None:
    words, matrix = theirs
    assert ours.vocab.words == list(words)
    np.testing.assert_allclose(np.asarray(ours.storage), matrix, rtol=1e-5, atol=1e-7)


def _reading(name: str, frame: Any, to_matrix: Any) -> Pair:
    path = derived(name, lambda path: frame().to_parquet(path))
    pandas = peer("pandas")

    def theirs() -> Any:
        table = pandas.read_parquet(path)
        words = table.pop("word")
        return {word: i for i, word in enumerate(words)}, to_matrix(table)

    return Pair(ours=lambda: ffjax.load(path), peer=theirs, check=_same_as_pandas, note=PANDAS_NOTE)


@row(issue=16, work="reading Parquet, 341,479 x 100, a column of lists", beside=PANDAS, at_least=1)
def parquet_lists() -> Pair:
    return _reading("glove.lists.parquet", _lists, lambda table: np.stack(table["vector"]))


@row(issue=16, work="reading Parquet, 341,479 x 100, 100 columns", beside=PANDAS)
def parquet_columns() -> Pair:
    return _reading("glove.columns.parquet", _numbers, lambda table: table.to_numpy())


@row(issue=16, work="writing Parquet, 341,479 x 100", beside=PANDAS, at_least=1)
def parquet_written() -> Pair:
    folder, emb, frame = Path(tempfile.mkdtemp()), _embeddings(), _lists()
    return Pair(
        ours=lambda: ffjax.save(emb, folder / "ours.parquet"),
        peer=lambda: frame.to_parquet(folder / "theirs.parquet"),
        note="the peer has a frame ready; ours compresses by zstd and syncs to the disk",
    )
