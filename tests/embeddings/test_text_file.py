"""Text files to files of vectors: blocks, headers, atomic writing, the command."""

import io
import os

import numpy as np
import pytest

import ffjax
from ffjax.embeddings import text_file as text_vectors
from tests.builders import embeddings
from tests.formats.model2vec.models import small

TEXT = "Paris Berlin\n\nnobody\n東京 Paris\nteapot".encode()


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_file_has_what_embed_text_answers(tmp_path, monkeypatch, block, dtype):
    monkeypatch.setattr(text_vectors, "_READ_BYTES", block)
    monkeypatch.setattr(text_vectors.blocks, "__defaults__", (block,))
    emb, seen = embeddings(), []
    (tmp_path / "text").write_bytes(TEXT)
    target = tmp_path / "vectors.npy"
    n = ffjax.embed_file(
        emb,
        tmp_path / "text",
        target,
        pooling="sum",
        dtype=dtype,
        progress=lambda *step: seen.append(step),
    )
    expected, _ = ffjax.embed_text(emb, TEXT, pooling="sum")
    written = np.load(target, mmap_mode="r")
    assert n == 5 and written.dtype == dtype and written.flags.c_contiguous
    np.testing.assert_array_equal(written, expected.astype(dtype))
    assert tuple(map(sum, zip(*seen, strict=True))) == (len(TEXT), 5)


def test_streams_and_empty_texts(tmp_path):
    emb = embeddings()
    assert ffjax.embed_file(emb, io.BytesIO(b""), tmp_path / "none.npy") == 0
    assert np.load(tmp_path / "none.npy").shape == (0, 6)
    assert ffjax.embed_file(emb, io.BytesIO(TEXT), str(tmp_path / "some.npy")) == 5


def test_a_last_line_without_a_line_feed_is_no_block_by_itself(tmp_path):
    # Warnings are errors here, and one is due for a block whose lines are all unknown.
    ffjax.embed_file(embeddings(), io.BytesIO(b"Paris\nBerlin\n12345"), tmp_path / "some.npy")


def test_lines_of_a_pipe_that_pauses_come_at_once():
    source, target = os.pipe()
    with open(source, "rb") as file, open(target, "wb", buffering=0) as writer:
        blocks = text_vectors.blocks(file)
        writer.write(b"Paris\nBer")
        assert next(blocks) == b"Paris\n"
        writer.write(b"lin\n\n")
        assert next(blocks) == b"Berlin\n\n"
        writer.write(b"tea")
        writer.close()
        assert list(blocks) == [b"tea"]


def test_lines_of_a_pipe_that_never_pauses_come_soon(monkeypatch):
    source, target = os.pipe()
    with open(source, "rb") as file, open(target, "wb"):

        class Steady:
            fileno = file.fileno
            lines = iter([b"tea\n", b"pot\n"])

            def read1(self, _):
                return next(self.lines, b"")

        monkeypatch.setattr(text_vectors, "_pauses", lambda _: False)
        monkeypatch.setattr(text_vectors, "_LONGEST", -1)
        assert list(text_vectors.blocks(Steady())) == [b"tea\n", b"pot\n"]


def test_a_pipe_that_is_full_comes_in_blocks():
    source, target = os.pipe()
    with open(source, "rb") as file, open(target, "wb", buffering=0) as writer:
        writer.write(b"tea\n" * 5000)
        writer.close()
        sizes = list(map(len, text_vectors.blocks(file, 8000)))
        assert sizes == [8000, 8000, 4000]


def test_static_models(tmp_path):
    model = small(normalize=True)
    assert ffjax.embed_file(model, io.BytesIO(TEXT), tmp_path / "vectors.npy") == 5
    expected, _ = ffjax.embed_text(model, TEXT)
    np.testing.assert_array_equal(np.load(tmp_path / "vectors.npy"), expected)


def test_the_old_file_stays_where_something_fails(tmp_path):
    class Broken(io.BytesIO):
        def read(self, size=-1):
            if self.tell():
                raise OSError(5, "broken")
            return super().read(2)

    target = tmp_path / "vectors.npy"
    target.write_bytes(b"old")
    with pytest.raises(OSError, match="broken"):
        ffjax.embed_file(embeddings(), Broken(TEXT), target)
    with pytest.raises(ValueError, match="`dtype`: expected one of 'float32', .*got 'int8'"):
        ffjax.embed_file(embeddings(), io.BytesIO(TEXT), target, dtype="int8")
    assert target.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


def test_a_text_is_not_written_over(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("a cup of tea\n")
    with pytest.raises(ValueError, match="`target`: expected a different file from `source`"):
        ffjax.embed_file(ffjax.demo(), path, tmp_path / "." / "text.txt")
    assert path.read_text() == "a cup of tea\n"
