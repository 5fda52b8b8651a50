"""What is not written; and paths, descriptors, pipes and devices to read from and write to."""

import os
import threading
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import ffjax
from ffjax import FinalfusionFormatError
from ffjax.formats.io.streams import open_source
from tests import builders

WORDS = builders.WORDS


# What finalfusion cannot hold


def no_file(folder: Path) -> bool:
    return not list(folder.iterdir())


def test_other_floats_are_refused(tmp_path):
    storage = ffjax.NdArray(jnp.ones((len(WORDS), 2), jnp.bfloat16))
    embeddings = ffjax.Embeddings(storage, builders.vocab("simple"))
    with pytest.raises(
        FinalfusionFormatError,
        match="x.fifu: NdArray: type: expected float32, .* got bfloat16. Convert",
    ):
        embeddings.write(tmp_path / "x.fifu")
    assert no_file(tmp_path)


def test_words_that_share_rows_are_refused(tmp_path):
    vocab = ffjax.SimpleVocab(["a", "b", "c"], rows=[0, 1, 0])
    with pytest.raises(
        FinalfusionFormatError,
        match="words: expected a row for each word.*got 3 words that share 2 rows",
    ):
        ffjax.write_chunks(tmp_path / "x.fifu", [vocab])
    assert no_file(tmp_path)


@pytest.mark.parametrize("kind", ["simple", "buckets", "fasttext", "explicit"])
def test_words_that_are_not_utf8_are_refused(tmp_path, kind):
    vocab = builders.vocab(kind)
    words = [*(word.encode() for word in WORDS), b"caf\xe9"]
    if kind == "simple":
        vocab = ffjax.SimpleVocab(words)
    elif kind != "explicit":
        vocab = type(vocab)(words, vocab.subword_indexer)
    else:
        vocab = ffjax.ExplicitVocab(["a"], ffjax.ExplicitIndexer(["ab", "a\udce9"], 2, 2))
    with pytest.raises(
        FinalfusionFormatError, match=r"(word 10|n-gram 1): expected UTF-8, .* got b'.*\\xe9'.*0xe9"
    ):
        ffjax.write_chunks(tmp_path / "x.fifu", [vocab])
    assert no_file(tmp_path)


def test_ngrams_left_out_at_the_edges_are_refused(tmp_path):
    fasttext = ffjax.FastTextVocab(["a"], ffjax.FastTextIndexer(9, 1, 3, skip_edge_unigrams=True))
    floret = ffjax.FloretVocab(ffjax.FloretIndexer(9, 1, 3))
    for vocab in (fasttext, floret):
        with pytest.raises(
            FinalfusionFormatError,
            match="min_n: expected at least 2, .* got 1, .*skip_edge_unigrams=True",
        ):
            ffjax.write_chunks(tmp_path / "x.fifu", [vocab])
    pruned = ffjax.FastTextVocab(["a"], ffjax.PrunedIndexer(ffjax.FastTextIndexer(9), [1, 5]))
    with pytest.raises(
        FinalfusionFormatError, match="a row for each bucket, got 2 rows for 9 buckets"
    ):
        ffjax.write_chunks(tmp_path / "x.fifu", [pruned])
    assert no_file(tmp_path)


def test_what_readers_refuse_is_not_written(tmp_path):
    no_codes = ffjax.QuantizedArray(
        ffjax.PQ(np.zeros((0, 4, 2), np.float32)), np.zeros((3, 0), np.uint8)
    )
    with pytest.raises(
        FinalfusionFormatError, match="QuantizedArray: subquantizers: expected at least 1, got 0"
    ):
        ffjax.write_chunks(tmp_path / "x.fifu", [no_codes])
    long = ffjax.Metadata.from_toml("#" * (1 << 22) + "\n")
    with pytest.raises(
        FinalfusionFormatError, match="Metadata: text: expected at most 4194304 bytes, got 4194305"
    ):
        ffjax.write_chunks(tmp_path / "x.fifu", [long])
    assert no_file(tmp_path)


@pytest.mark.usefixtures("as_users_see")
def test_only_chunks_are_written(tmp_path):
    path = tmp_path / "x.fifu"
    with pytest.raises(
        TypeError,
        match="`embeddings`: expected Embeddings, got SimpleVocab. Write parts with `write_chunks`",
    ):
        ffjax.write_finalfusion(path, builders.vocab("simple"))
    with pytest.raises(
        TypeError,
        match=r"`chunks`: expected a list of chunks, got one SimpleVocab. Write `\[chunk\]`",
    ):
        ffjax.write_chunks(path, builders.vocab("simple"))
    with pytest.raises(ValueError, match="`chunks`: expected at least one, got none"):
        ffjax.write_chunks(path, [])
    with pytest.raises(TypeError, match="`chunks`: expected Metadata, .*, got int"):
        ffjax.write_chunks(path, [3])
    assert no_file(tmp_path)


# Kinds of files


def test_paths_of_every_kind(tmp_path):
    embeddings = builders.embeddings()
    path = tmp_path / "wörter.fifu"
    for given in (path, str(path), os.fsencode(path)):
        embeddings.write(given)
        for mmap in (False, True):
            assert ffjax.load_finalfusion(given, mmap=mmap) == embeddings
        path.unlink()


def test_descriptors_are_read_and_written_and_closed(tmp_path):
    embeddings = builders.embeddings()
    path = tmp_path / "x.fifu"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    embeddings.write(descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    for mmap in (False, True):
        descriptor = os.open(path, os.O_RDONLY)
        assert ffjax.load_finalfusion(descriptor, mmap=mmap) == embeddings
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


def test_pipes_are_read_and_written(tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("needs named pipes")
    embeddings = builders.embeddings("explicit", "opq")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for mmap in (False, True):
        thread = threading.Thread(target=embeddings.write, args=(pipe,))
        thread.start()
        assert ffjax.load_finalfusion(pipe, mmap=mmap) == embeddings
        thread.join()
        assert pipe.is_fifo()


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="needs /dev/zero")
def test_an_endless_device_is_not_read_to_its_end():
    with pytest.raises(
        FinalfusionFormatError,
        match="/dev/zero: byte 0: header: magic: expected b'FiFu', got b'.x00",
    ):
        ffjax.load_finalfusion("/dev/zero")


def test_other_files_are_refused(tmp_path):
    for content, got in ((b"", "an empty file"), (b"Fi", "b'Fi'"), (b"one 1 2 3\n", "b'one '")):
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(FinalfusionFormatError, match=f"magic: expected b'FiFu', got {got}"):
            ffjax.load_finalfusion(tmp_path / "x")
    with pytest.raises(FileNotFoundError, match="nothing.fifu"):
        ffjax.load_finalfusion(tmp_path / "nothing.fifu")
    with pytest.raises(IsADirectoryError, match="directory"):
        ffjax.load_finalfusion(tmp_path)
    with pytest.raises(
        IsADirectoryError, match="expected the path of a file to write, got a folder"
    ):
        builders.embeddings().write(tmp_path)


def test_a_file_that_shrinks_while_it_is_read_is_refused(tmp_path):
    (tmp_path / "x").write_bytes(bytes(1000))
    with open_source(tmp_path / "x", error=FinalfusionFormatError) as source:
        os.truncate(tmp_path / "x", 100)
        with pytest.raises(
            FinalfusionFormatError,
            match="byte 100: expected 400 more bytes, got the end of the file",
        ):
            source.read_into(0, np.empty(500, np.uint8))
