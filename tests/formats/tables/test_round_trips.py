"""Tables that ffjax writes: read as they were, mapped, streamed, and by other readers."""

from pathlib import Path

import numpy as np
import pytest

import ffjax
from ffjax.formats.describe import describe

pa = pytest.importorskip("pyarrow")

ENDINGS = (".npz", ".safetensors", ".parquet", ".arrow", ".feather", ".arrows")
MAPPED = (".npz", ".safetensors", ".arrow", ".feather", ".arrows", ".npy")
WORDS = ["tea", "coffee", "naïve x", "", "日本"]
ROWS = np.array([[3, 4, 0], [0.5, -0.25, 1e-9], [1, 1, 1], [0, 0, 0], [7.25, 0, 2]], np.float32)


def full() -> ffjax.Embeddings:
    return ffjax.from_vectors(WORDS, ROWS).replace(metadata=ffjax.Metadata({"corpus": "news"}))


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("mmap", [False, True])
def test_nothing_is_lost(ending: str, mmap: bool, tmp_path: Path) -> None:
    path = tmp_path / f"words{ending}"
    plain = ffjax.Embeddings(ffjax.NdArray(ROWS), ffjax.SimpleVocab(WORDS))  # not of unit length
    for emb in (full(), plain):
        ffjax.save(emb, path)
        read = ffjax.load(path, mmap=mmap)
        assert read == emb
        assert np.array_equal(np.asarray(read.storage), np.asarray(emb.storage))
        assert (read.norms is None) == (emb.norms is None) and read.metadata == emb.metadata
        assert isinstance(read.storage.matrix, np.memmap) == (mmap and ending in MAPPED)


@pytest.mark.parametrize("ending", [".arrow", ".arrows"])
def test_no_words_are_one_batch(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"words{ending}"
    emb = ffjax.from_vectors([], ROWS[:0])
    ffjax.save(emb, path)
    assert ffjax.load(path) == emb
    if ending == ".arrow":
        assert pa.ipc.open_file(path.read_bytes()).num_record_batches == 1
    else:
        assert [batch.num_rows for batch in pa.ipc.open_stream(path.read_bytes())] == [0]


@pytest.mark.parametrize("ending", (*ENDINGS, ".npy"))
def test_original_lengths(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"words{ending}"
    emb = full().replace(metadata=None)
    ffjax.save(emb, path, **({} if ending == ".npy" else {"norms": False}))
    if ending == ".npy":
        assert ffjax.load(path) == emb
        assert isinstance(ffjax.load(path, mmap=True).storage.word_rows.matrix, np.memmap)
    else:
        assert np.array_equal(np.asarray(ffjax.load(path, mmap=True).storage), ROWS)


@pytest.mark.parametrize("ending", (*ENDINGS, ".npy"))
def test_converting_writes_what_saving_does(ending: str, tmp_path: Path) -> None:
    text, table = tmp_path / "words.vec", tmp_path / f"words{ending}"
    ffjax.save(full(), text, drop_metadata=True)
    ffjax.convert(text, table)
    saved = tmp_path / f"saved{ending}"
    ffjax.save(ffjax.load(text), saved)
    assert table.read_bytes() == saved.read_bytes()
    steps: list[tuple[str, int, int | None]] = []
    ffjax.convert(table, tmp_path / "back.vec", progress=lambda *step: steps.append(step))
    assert (tmp_path / "back.vec").read_bytes() == text.read_bytes()
    assert ("Reading", len(WORDS), len(WORDS)) in steps
    ffjax.convert(table, tmp_path / "back.fifu")
    assert ffjax.load(tmp_path / "back.fifu") == ffjax.load(text)


@pytest.mark.parametrize("ending", (*ENDINGS, ".npy"))
def test_a_limit_and_what_info_says(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"words{ending}"
    emb = full().replace(metadata=None)
    ffjax.save(emb, path)
    for mmap in (False, True):
        assert ffjax.load(path, limit=2, mmap=mmap).vocab.words == WORDS[:2]
        assert len(ffjax.load(path, limit=0, mmap=mmap).vocab) == 0
    facts = describe(path)
    assert (facts["words"], facts["dims"], facts["norms"]) == (5, 3, 5)
    assert facts["dtype"] == "float32" and facts["vocabulary"] == "words"


@pytest.mark.parametrize("ending", (*ENDINGS, ".npy"))
def test_ngrams_and_codes_are_dropped_on_request(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"words{ending}"
    emb = ffjax.select_words(ffjax.demo(), ["tea", "coffee"])
    with pytest.raises(ValueError, match="`drop_subwords=True`, .*`reconstruct=True`"):
        ffjax.save(emb, path)
    ffjax.convert(_saved(emb, tmp_path), path, leave_out=True)
    read = ffjax.load(path)
    assert read.vocab.words == ["tea", "coffee"]
    assert read.similarity("tea", "coffee") == pytest.approx(emb.similarity("tea", "coffee"), 1e-5)


def _saved(emb: ffjax.Embeddings, folder: Path) -> Path:
    ffjax.save(emb, folder / "source.fifu")
    return folder / "source.fifu"


def test_many_blocks(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((70_000, 32)).astype(np.float32)
    emb = ffjax.from_vectors(map(str, range(len(rows))), rows)
    for ending in ENDINGS:
        ffjax.save(emb, tmp_path / f"words{ending}")
        assert ffjax.load(tmp_path / f"words{ending}") == emb


def test_numpy_reads_them(tmp_path: Path) -> None:
    emb = full()
    ffjax.save(emb, tmp_path / "words.npz")
    with np.load(tmp_path / "words.npz") as arrays:
        assert arrays["words"].tolist() == WORDS
        assert np.array_equal(arrays["embeddings"], np.asarray(emb.storage))
        assert np.array_equal(arrays["norms"], np.asarray(emb.norms))
    ffjax.save(emb, tmp_path / "words.npy", drop_metadata=True)
    assert np.array_equal(np.load(tmp_path / "words.npy"), ROWS)
    assert (tmp_path / "words.words.txt").read_text("utf-8").split("\n") == [*WORDS, ""]


def test_safetensors_reads_them(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    emb = full()
    ffjax.save(emb, tmp_path / "words.safetensors")
    arrays = safetensors.load_file(tmp_path / "words.safetensors")
    assert np.array_equal(arrays["embeddings"], np.asarray(emb.storage))
    offsets, raw = arrays["words.offsets"], arrays["words.bytes"].tobytes()
    assert [raw[a:b].decode() for a, b in zip(offsets, offsets[1:], strict=False)] == WORDS


@pytest.mark.parametrize("ending", [".parquet", ".feather"])
def test_pandas_reads_them(ending: str, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    emb, path = full(), tmp_path / f"words{ending}"
    ffjax.save(emb, path)
    frame = (pandas.read_parquet if ending == ".parquet" else pandas.read_feather)(path)
    assert list(frame.columns) == ["word", "vector", "norm"] and frame["word"].tolist() == WORDS
    assert np.array_equal(np.stack(frame["vector"]), np.asarray(emb.storage))
    assert np.array_equal(frame["norm"].to_numpy(), np.asarray(emb.norms))


def test_an_old_file_stays_if_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "words.npz"
    path.write_bytes(b"old")
    floret = ffjax.FloretVocab(ffjax.FloretIndexer(5, 3, 4))
    with pytest.raises(ValueError, match="`embeddings`: expected words"):
        ffjax.save(ffjax.Embeddings(ffjax.NdArray(ROWS), floret), path)
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1
