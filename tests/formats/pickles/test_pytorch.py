"""Files of PyTorch's `torch.save`, as versions since 1.6 and before write them."""

import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

import ffjax
from ffjax.formats.tables.pytorch import MAGIC
from tests.formats.pickles import pickle_files as files

WORDS = ["tea", "zürich", "pot", "milk"]
ROWS = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
STORAGES = {"0": ROWS, "1": np.ones((2, 3), np.float32)}
MATRIX = files.tensor("0", "Float", (4, 3), (3, 1))
OTHER = files.tensor("1", "Float", (2, 3), (3, 1))
STATE = files.entries({"embedding.weight": MATRIX, "fc.weight": OTHER})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.pt"


def write(path: Path, value: bytes, *, method: int = zipfile.ZIP_STORED, **members: bytes) -> None:
    """An archive of today's; `members` replace those with the same name."""
    storages = {f"data/{key}": rows.tobytes() for key, rows in STORAGES.items()}
    contents = {"data.pkl": b"\x80\x02" + value + b".", **storages, "version": b"3\n"}
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in {**contents, **members}.items():
            archive.writestr(f"model/{name}", data)


def old(value: bytes, keys: tuple[str, ...] = ("1", "0")) -> bytes:
    """A file from before version 1.6."""
    return files.old_file(value, {key: STORAGES[key] for key in keys})


def write_words(path: Path) -> str:
    words = path.with_name("words.txt")
    words.write_text("".join(f"{word}\n" for word in WORDS), encoding="utf8")
    return str(words)


def same(emb: ffjax.Embeddings, rows: np.ndarray = ROWS) -> None:
    assert emb.vocab.words == WORDS
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(np.asarray(emb.storage), rows / norms, rtol=1e-6)
    np.testing.assert_allclose(emb.norms[:], norms[:, 0], rtol=1e-6)


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("kind", ["archive", "deflated", "old"])
def test_weights_with_words_from_a_file(path: Path, kind: str, mmap: bool) -> None:
    if kind == "old":
        path.write_bytes(old(STATE))
    else:
        method = zipfile.ZIP_STORED if kind == "archive" else zipfile.ZIP_DEFLATED
        write(path, STATE, method=method)
    same(ffjax.load(path, words=write_words(path), mmap=mmap))
    same(ffjax.load(path, mmap=mmap))  # `words.txt` in the same folder
    with pytest.raises(ffjax.FormatError, match="words: expected 2 words"):
        ffjax.load(path, vectors="fc.weight")


@pytest.mark.parametrize(
    "value",
    [
        files.entries({"model": STATE, "itos": files.texts(WORDS)}),
        files.entries(
            {"x": MATRIX, "stoi": files.entries({w: files.whole(i) for i, w in enumerate(WORDS)})}
        ),
        b"(" + files.texts(WORDS) + MATRIX + b"t",
        files.entries({"names": files.texts(["a"]), "itos": files.texts(WORDS), "x": MATRIX}),
    ],
)
def test_words_in_the_file(path: Path, value: bytes) -> None:
    write(path, value)
    same(ffjax.load(path))


def test_words_keep_their_zeros_and_one_may_be_long(path: Path) -> None:
    words = ["tea", "tea\0", "\0", "x" * 100_000]
    write(path, files.entries({"words": files.texts(words), "x": MATRIX}))
    assert ffjax.load(path).vocab.words == words


def test_words_that_two_dictionaries_have(path: Path) -> None:
    words = [f"w{i}" for i in range(200)]
    rows = np.ones((200, 3), np.float32)
    numbers = [struct.pack("<I", i) for i in range(200)]
    keys = (files.text(word) + b"r" + number for word, number in zip(words, numbers, strict=True))
    first = b"".join(key + files.whole(9) for key in keys)
    again = b"".join(b"j" + number + files.whole(i) for i, number in enumerate(numbers))
    value = {"freqs": b"}(" + first + b"u", "stoi": b"}(" + again + b"u"}
    value["vectors"] = files.tensor("0", "Float", (200, 3), (3, 1))
    write(path, files.entries(value), **{"data/0": rows.tobytes()})
    assert ffjax.load(path).vocab.words == words


def test_other_archives_and_folders(path: Path) -> None:
    words = write_words(path)
    write(path, STATE)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(path.parent / "folder")
    same(ffjax.load(path.parent / "folder", words=words, mmap=True))
    with tarfile.open(path.parent / "model.tar.gz", "w:gz") as archive:
        archive.add(path.parent / "folder" / "model", "model")
    same(ffjax.load(path.parent / "model.tar.gz", words=words, mmap=True))
    with tarfile.open(path.parent / "model.tar", "w") as archive:
        archive.add(path.parent / "folder" / "model", "model")
    same(ffjax.load(path.parent / "model.tar", words=words))


def test_parameters_of_modules_have_their_names(path: Path) -> None:
    parameter = files.name("torch._utils._rebuild_parameter")
    parameter += b"(" + MATRIX + b"\x88" + files.name("collections.OrderedDict") + b")RtR"
    embedding = files.entries({"_parameters": files.entries({"weight": parameter})})
    embedding = files.record("torch.nn.modules.sparse.Embedding", embedding)
    modules = files.entries({"_modules": files.entries({"embed": embedding})})
    write(path, files.record("torch.nn.modules.container.Sequential", modules))
    same(ffjax.load(path, vectors="embed.weight", words=write_words(path)))


@pytest.mark.parametrize("mmap", [False, True])
def test_columns_first_and_an_offset(path: Path, mmap: bool) -> None:
    words = write_words(path)
    write(path, files.tensor("0", "Float", (4, 3), (1, 4)))
    same(ffjax.load(path, words=words, mmap=mmap), ROWS.reshape(3, 4).T)
    storage = np.concatenate([np.zeros(2, np.float32), ROWS.reshape(-1)])
    value = files.tensor("0", "Float", (4, 3), (3, 1), offset=2)
    write(path, value, **{"data/0": storage.tobytes()})
    same(ffjax.load(path, words=words, mmap=mmap))
    write(path, MATRIX, byteorder=b"big", **{"data/0": ROWS.byteswap().tobytes()})
    same(ffjax.load(path, words=words, mmap=mmap))


@pytest.mark.parametrize(
    ("value", "members", "message"),
    [
        (MATRIX, {"data/0": b"1234"}, "tensor: expected 48 bytes of a storage, got 4 before"),
        (files.tensor("7", "Float", (4, 3), (3, 1)), {}, "key: expected a member .* model/data/7"),
        (files.tensor("0", "Float", (4, 3), (3, 1), 5), {}, "tensor: expected 48 bytes"),
        (files.tensor("0", "Odd", (4, 3), (3, 1)), {}, "storage: expected a storage of numbers"),
        (files.tensor("0", "Float", (4, 3), (6, 2)), {}, "vectors: expected one column"),
        (files.texts(WORDS), {}, "vectors: expected one column of vectors, got none"),
        (files.name("os.system") + b"(tR", {}, "GLOBAL: .* got `os.system`.*`torch.save"),
        (b"]q\x00h\x00a", {}, "vectors: expected one column"),
    ],
)
def test_errors(path: Path, value: bytes, members: dict, message: str) -> None:
    write_words(path)
    write(path, value, **members)
    with pytest.raises(ffjax.FormatError, match=message):
        ffjax.load(path)


def test_every_truncation_of_an_old_file_is_an_error(path: Path) -> None:
    write_words(path)
    data = old(STATE, ("0", "1"))
    for size in range(len(MAGIC), len(data) - STORAGES["1"].nbytes - 8):
        path.write_bytes(data[:size])
        with pytest.raises(ffjax.FormatError, match="model.pt: byte"):
            ffjax.load(path)


def test_written_formats_do_not_include_it(path: Path) -> None:
    write(path, STATE)
    write_words(path)
    with pytest.raises(ValueError, match="`format`: expected a format that is written"):
        ffjax.save(ffjax.load(path), path, format="pytorch")
    target = path.with_name("vectors.w2v")
    ffjax.convert(path, target)
    assert target.read_bytes().count(ROWS[2].tobytes()) == 1
