"""finalfusion files, against a reader of one field after the other; accepted ones are rewritten."""

import struct
from unittest.mock import patch

import numpy as np

import ffjax
from ffjax import FinalfusionFormatError
from ffjax.formats.finalfusion import string_list
from ffjax.formats.finalfusion.reader import read_embeddings
from ffjax.formats.io.binary import ByteSource
from tests import builders
from tests.fuzz.fasttext_files import FOLDER

_FILE = FOLDER / "file.fifu"
_MADE = (
    "simple-dense",
    "buckets-dense",
    "fasttext-pq_norms",
    "explicit-dense",
    "floret-pq",
    "simple-opq",
)


def _made(kind: str) -> bytes:
    builders.embeddings(*kind.split("-"), metadata={"name": kind}).write(_FILE)
    return _FILE.read_bytes()


def _parts() -> bytes:
    vocab, rows = ffjax.SimpleVocab(["one", "", "größer"]), np.eye(3, 2, dtype=np.float32)
    ffjax.write_chunks(_FILE, [vocab, ffjax.NdArray(rows), ffjax.Norms(np.ones(3, np.float32))])
    return _FILE.read_bytes()


SEEDS = [*map(_made, _MADE), _parts()]


# Blocks so small that their borders are everywhere.
@patch.object(string_list, "_SCAN_BYTES", 32)
@patch.object(string_list, "_BLOCK_STRINGS", 2)
def target(data: bytes) -> None:
    """Reads embeddings and single chunks as the slow reader does; they survive writing."""
    _FILE.write_bytes(data)
    for load in (ffjax.load_vocab, ffjax.load_storage, ffjax.load_norms, ffjax.load_metadata):
        try:
            load(_FILE)
        except FinalfusionFormatError as error:
            assert error.expected and error.got
    try:
        emb = read_embeddings(ByteSource(None, data, FinalfusionFormatError))
    except FinalfusionFormatError as error:
        assert error.expected and error.got and error.offset is not None
        return
    mapped = ffjax.load_finalfusion(_FILE, mmap=True)
    assert mapped.vocab == emb.vocab and mapped.metadata == emb.metadata
    _check(data, emb)
    emb.write(_FILE)
    written = _FILE.read_bytes()
    again = ffjax.load_finalfusion(_FILE)
    assert again.vocab == emb.vocab and again.metadata == emb.metadata
    again.write(_FILE)
    assert _FILE.read_bytes() == written
    _check(written, emb)


def _check(data: bytes, emb: ffjax.Embeddings) -> None:
    """Steps through the chunks and compares words, matrix and norms with what was read."""
    at = 12 + 4 * struct.unpack_from("<I", data, 8)[0]
    while at < len(data):
        identifier, length = struct.unpack_from("<IQ", data, at)
        body = at + 12
        if identifier in (1, 3, 7, 8):
            (n_words,) = struct.unpack_from("<Q", data, body)
            position = body + {1: 8, 3: 20, 7: 20, 8: 24}[identifier]
            words = []
            for _ in range(n_words):
                (size,) = struct.unpack_from("<I", data, position)
                words.append(data[position + 4 : position + 4 + size])
                position += 4 + size
            assert [emb.vocab.table.raw(i) for i in range(len(emb.vocab))] == words
            if (
                identifier == 8
            ):  # a length that finalfusion-python wrote leaves the rows of n-grams out
                for _ in range(struct.unpack_from("<Q", data, body + 8)[0]):
                    position += 12 + struct.unpack_from("<I", data, position)[0]
                length = position - body
        elif identifier == 2:
            rows, dims, _ = struct.unpack_from("<QII", data, body)
            _same(data, body + 16, (rows, dims), np.asarray(emb.storage))
        elif identifier == 6:
            (n,) = struct.unpack_from("<Q", data, body)
            _same(data, body + 12, (n,), np.asarray(emb.norms))
        at = body + length


def _same(data: bytes, at: int, shape: tuple[int, ...], got: np.ndarray) -> None:
    numbers = np.frombuffer(data, "<f4", int(np.prod(shape)), at + 4 - at % 4).reshape(shape)
    assert numbers.tobytes() == got.tobytes()
