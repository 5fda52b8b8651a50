"""fastText models, against a reader of one field after the other; accepted ones are rewritten."""

import struct
from unittest.mock import patch

import numpy as np

import ffjax
from ffjax.formats.fasttext import dictionary, reader
from ffjax.formats.fasttext.reader import read_embeddings
from ffjax.formats.io.binary import ByteSource
from tests.formats.fasttext import files
from tests.fuzz.fasttext_files import FOLDER, quantized, write

_SMALL = {"dims": 2, "buckets": 3}

SEEDS = [
    files.model(["</s>", "tea", "crème"], **_SMALL),
    files.model(["tea", b"\xff"], kind=files.SUPERVISED, labels=["__label__x"], loss=3, **_SMALL),
    files.model(["a"], min_n=0, max_n=0, version=11, dims=1, buckets=0),
    files.model(
        ["a", "b"],
        max_n=0,
        word_ngrams=2,
        kind=files.SUPERVISED,
        labels=["__label__x"],
        loss=1,
        **_SMALL,
    ),
    quantized(3, norms=False, pruned=True),
    quantized(2, norms=True, pruned=False),
]


# Words' rows stay as they are in the file, so that no input compiles a program of its own.
@patch.object(reader, "compose", lambda *_: iter(()))
@patch.object(dictionary, "_MIN_WINDOW_BYTES", 32)
def target(data: bytes) -> None:
    """Reads a model, mapped and from memory, as the slow reader does; it survives writing."""
    path = write(data)
    for lossy in (False, True):
        try:
            emb = ffjax.load_fasttext(path, mmap=True, lossy=lossy)
        except ffjax.FormatError as error:
            assert error.chunk and error.expected and error.got and error.offset is not None
            continue
        inside = read_embeddings(ByteSource(None, data), lossy=lossy)
        assert (
            inside.vocab == emb.vocab
            and inside.metadata == emb.metadata
            and len(inside.norms) == len(emb.norms)
        )
        assert inside.training.labels == emb.training.labels
        _check_words(data, emb, lossy)
        if not lossy:
            _check_written(data, emb)


def _check_words(data: bytes, emb: ffjax.Embeddings, lossy: bool) -> None:
    at, entries = 92, []
    n_words, n_labels, n_tokens = struct.unpack_from("<iiq", data, 68)
    for _ in range(n_words + n_labels):
        end = data.index(b"\0", at)
        count, kind = struct.unpack_from("<qb", data, end + 1)
        entries.append((data[at:end], count, kind))
        at = end + 10
    words, counts, kinds = zip(*entries, strict=True) if entries else ((), (), ())
    assert list(kinds) == [0] * n_words + [1] * n_labels
    assert [*emb.training.counts, *emb.training.label_counts] == list(
        counts
    ) and emb.training.n_tokens == n_tokens
    read = [emb.vocab.table.raw(i) for i in range(n_words)]
    if not lossy:
        assert read == list(words[:n_words])
    else:
        assert all(
            a in (b, b.decode(errors="replace").encode()) for a, b in zip(read, words, strict=False)
        )


def _check_written(data: bytes, emb: ffjax.Embeddings) -> None:
    again = FOLDER / "again"
    ffjax.write_fasttext(again, emb)
    read = ffjax.load_fasttext(again, mmap=True)
    assert read.vocab == emb.vocab
    assert read.training.labels == emb.training.labels
    assert np.array_equal(read.training.counts, emb.training.counts)
    actual, expected = (_word_rows(e) for e in (read, emb))
    np.testing.assert_array_equal(actual, expected)


def _word_rows(emb: ffjax.Embeddings) -> np.ndarray:
    storage = emb.storage
    return np.asarray(
        storage.word_rows if isinstance(storage, ffjax.ComposedArray) else emb.training.original
    )
