"""`load` and `save`: which format a name asks for, and what is not lost in silence."""

import gzip
import io
import os
import tarfile
import zipfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import ffjax
from ffjax.formats.detect import detect
from ffjax.formats.text import write as text_write
from tests.formats.samples import FILES, ROWS, fasttext, open_bytes, quantized, simple


def test_lossy(tmp_path: Path) -> None:
    for raw in (b"x\xff 0.5 1\n", b"1 2\nx\xff 0.5 1\n", b"1 1\nx\xff \x00\x00\x80\x3f\n"):
        path = tmp_path / "vectors"
        path.write_bytes(raw)
        with pytest.raises(ffjax.FormatError, match="expected UTF-8"):
            ffjax.load(path)
        assert ffjax.load(path, lossy=True).vocab.words == ["x\ufffd"]


def test_progress_of_text_in_an_archive_and_alone(tmp_path: Path) -> None:
    text, calls = b"tea 0.5 1\npot 1 0\n", []
    (tmp_path / "a.txt").write_bytes(text)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(tmp_path / "a.txt", "a.txt")
    for name in ("a.txt", "a.zip"):
        ffjax.load(tmp_path / name, progress=lambda *call: calls.append(call))
    assert calls == 2 * [("Reading", 0, len(text)), ("Reading", len(text), len(text))]


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("a.fifu", "finalfusion"),
        ("a.w2v", "word2vec"),
        ("a.txt", "text"),
        ("a.TXT", "text"),
        ("a.vec", "textdims"),
        ("a.dims", "textdims"),
    ],
)
def test_names(tmp_path: Path, name: str, format: str) -> None:
    ffjax.save(simple(), tmp_path / name)
    with open(tmp_path / name, "rb") as file:
        assert detect(open_bytes(file.read())) == format


def test_bin_is_fasttext_for_vocabularies_of_fasttext(tmp_path: Path) -> None:
    ffjax.save(fasttext(), tmp_path / "a.bin")
    assert isinstance(ffjax.load(tmp_path / "a.bin").vocab, ffjax.FastTextVocab)
    with pytest.raises(ValueError, match=r"Endings are .*, \.bin \(fasttext\)\."):
        ffjax.save(fasttext(), tmp_path / "a")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "a.bin",
            "`path`: expected a name whose ending .*`.bin` may be word2vec.* Endings are .fifu"
            "((?!bin).)*$",
        ),
        ("a.ftz", "Say `format='fasttext'` for a fastText model"),
        ("a", "Say which format with `format=`"),
        ("a.xyz", "Say which format with `format=`"),
        ("a.txt.gz", "Files are written as they are; compress it afterwards"),
    ],
)
def test_names_that_say_nothing(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ffjax.save(simple(), tmp_path / name)
    assert not list(tmp_path.iterdir())
    ffjax.save(simple(), tmp_path / "source.txt")
    message = message.replace("`path`", "`target`").replace("format=", "to_format=")
    with pytest.raises(ValueError, match=message):
        ffjax.convert(tmp_path / "source.txt", tmp_path / name)


def test_bad_formats(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="`format`: expected one of 'finalfusion'.*got 'glove'"):
        ffjax.save(simple(), tmp_path / "a", format="glove")
    with pytest.raises(ValueError, match="`format`: expected one of .* for a descriptor, got None"):
        ffjax.save(simple(), 1)
    with pytest.raises(TypeError, match="drop_everything"):
        ffjax.save(simple(), tmp_path / "a.txt", drop_everything=True)


WRITERS = {
    "word2vec": ffjax.write_word2vec,
    "text": ffjax.write_text,
    "textdims": ffjax.write_text_dims,
}


@pytest.mark.parametrize("format", WRITERS)
@pytest.mark.parametrize(
    ("make", "lost", "options"),
    [
        (fasttext, "n-grams", {"drop_subwords"}),
        (lambda: simple(metadata=ffjax.Metadata({"a": 1})), "metadata", {"drop_metadata"}),
        (lambda: simple(training=ffjax.TrainingState([1, 2])), "training data", {"drop_training"}),
        (quantized, "quantized vectors", {"reconstruct"}),
        (
            lambda: fasttext().replace(
                metadata=ffjax.Metadata({"a": 1}), training=ffjax.TrainingState([1, 2])
            ),
            "n-grams, metadata and training data",
            {"drop_subwords", "drop_metadata", "drop_training"},
        ),
    ],
    ids=["subwords", "metadata", "training", "quantized", "all"],
)
def test_nothing_is_lost_in_silence(
    tmp_path: Path, format: str, make, lost: str, options: set[str]
) -> None:
    emb, path = make(), tmp_path / "vectors"
    with pytest.raises(ValueError, match=f"which is all that .* hold, got {lost}") as info:
        WRITERS[format](path, emb)
    assert all(f"`{option}=True`" in str(info.value) for option in options)
    for missing in options:
        with pytest.raises(ValueError, match=f"Allow what is to be lost with `{missing}=True`"):
            WRITERS[format](path, emb, **{option: option != missing for option in options})
    assert not path.exists()
    WRITERS[format](path, emb, **dict.fromkeys(options, True))
    back = ffjax.load(path)
    assert back.vocab.words == emb.vocab.words
    rows = np.asarray(back.storage) * np.asarray(back.norms)[:, None]
    np.testing.assert_allclose(rows, np.asarray(emb.storage)[:2], rtol=1e-6)


@pytest.mark.parametrize("format", WRITERS)
def test_norms_are_multiplied_in_unless_told_otherwise(tmp_path: Path, format: str) -> None:
    path = tmp_path / "vectors"
    emb = simple(norms=ffjax.Norms(np.array([2, 0.5], np.float32)))
    for unnormalize, expected in ((True, ROWS * [[2], [0.5]]), (False, ROWS)):
        WRITERS[format](path, emb, unnormalize=unnormalize)
        back = ffjax.load(path)
        np.testing.assert_allclose(
            np.asarray(back.storage) * np.asarray(back.norms)[:, None], expected, rtol=1e-6
        )


@pytest.mark.parametrize("format", WRITERS)
def test_words_that_share_rows(tmp_path: Path, format: str) -> None:
    emb = ffjax.Embeddings(ffjax.NdArray(ROWS), ffjax.SimpleVocab(["a", "b", "c"], rows=[1, 0, 1]))
    WRITERS[format](tmp_path / "vectors", emb)
    back = ffjax.load(tmp_path / "vectors")
    np.testing.assert_allclose(
        np.asarray(back.storage) * np.asarray(back.norms)[:, None], ROWS[[1, 0, 1]], rtol=1e-6
    )


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_other_types_of_numbers(tmp_path: Path, dtype: str) -> None:
    emb = ffjax.Embeddings(
        ffjax.NdArray(jnp.asarray(ROWS, dtype)), ffjax.SimpleVocab(["one", "two"])
    )
    for format, write in WRITERS.items():
        write(tmp_path / format, emb)
        back = ffjax.load(tmp_path / format)
        np.testing.assert_allclose(
            np.asarray(back.storage) * np.asarray(back.norms)[:, None], ROWS, rtol=1e-6
        )


def test_an_old_file_stays_until_the_new_one_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail(rows: np.ndarray) -> list[bytes]:
        raise RuntimeError("the power went")

    monkeypatch.setattr(text_write, "format_rows", fail)
    with pytest.raises(RuntimeError, match="the power went"):
        ffjax.write_text(path, simple())
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def _empty(format: str, words: list[str], dims: int) -> ffjax.Embeddings:
    vocab, n_rows = ffjax.SimpleVocab(words), len(words)
    if format == "fasttext":
        vocab, n_rows = ffjax.FastTextVocab(words, ffjax.FastTextIndexer(2, 3, 4)), n_rows + 2
    if format == "floret":
        vocab, n_rows = ffjax.FloretVocab(ffjax.FloretIndexer(2, 3, 4)), 2
    return ffjax.Embeddings(ffjax.NdArray(np.ones((n_rows, dims), np.float32)), vocab)


@pytest.mark.parametrize("format", FILES)
@pytest.mark.parametrize(("words", "dims"), [(["one", "two"], 0), ([], 3), ([], 0)])
def test_what_is_written_of_nothing_can_be_read(
    tmp_path: Path, format: str, words: list[str], dims: int
) -> None:
    path = tmp_path / "nothing"
    emb = _empty(format, words, dims)
    if format not in ("finalfusion", "msgpack") and not dims:
        with pytest.raises(
            ValueError, match="expected vectors of at least 1 dimension, .* got 0. finalfusion"
        ):
            ffjax.save(emb, path, format=format)
    elif format == "text":
        with pytest.raises(ValueError, match="got an empty vocabulary. Write text with dimensions"):
            ffjax.save(emb, path, format=format)
    else:
        ffjax.save(emb, path, format=format)
        for read in (ffjax.load(path, format=format), ffjax.load(path)):
            assert read.storage.shape == emb.storage.shape and read.vocab.words == emb.vocab.words
        return
    assert not path.exists()


@pytest.mark.parametrize("mmap", [False, True])
def test_descriptors_are_read_from_their_position(
    tmp_path: Path, finalfusion_files: Path, mmap: bool
) -> None:
    names = ("embeddings.fifu", "fasttext.bin", "embeddings.w2v")
    raws = [(finalfusion_files / name).read_bytes() for name in names]
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        archive.add(finalfusion_files / names[0], names[0])
    raws += [tar.getvalue(), gzip.compress(raws[0]), b"one 0.5\n"]
    for i, raw in enumerate(raws):
        path, longer = tmp_path / f"{i}", tmp_path / f"{i}-longer"
        path.write_bytes(raw)
        longer.write_bytes(b"before" + raw)
        descriptor = os.open(longer, os.O_RDONLY)
        os.lseek(descriptor, len(b"before"), os.SEEK_SET)
        assert ffjax.load(descriptor, mmap=mmap) == ffjax.load(path, mmap=mmap)


def test_the_spelling_of_gensim_maps_too(finalfusion_files: Path) -> None:
    path = finalfusion_files / "embeddings.fifu"
    for mmap in (True, "r", False, None):
        assert ffjax.load(path, mmap=mmap).storage.is_mapped == bool(mmap)
