"""The neighbours of all words, beside NumPy; calls that were killed go on."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import ffjax
from tests.builders import storage
from tests.builders import vocab as small_vocab

pq = pytest.importorskip("pyarrow.parquet")

N, DIMS, K = 2100, 6, 3
WORDS = [f"word{i}" for i in range(N)]
# Words 0 and 1 share a row, and so do the last ones.
SHARED = np.array([0, *range(N - 2), N - 3], np.int32)

KILLED = """
import os, signal, sys, ffjax
def progress(count, total):
    if count >= 1024:
        os.kill(os.getpid(), signal.SIGKILL)
ffjax.neighbours(ffjax.load(sys.argv[1], mmap=True), sys.argv[2], 3, progress=progress)
"""


def expected_neighbours(rows, k):
    """The numbers of the nearest other rows by the cosine, and the cosines."""
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -np.inf)
    ids = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
    return ids, np.take_along_axis(cosines, ids, 1)


def check_file(path, emb, rows_of_words, first_words):
    table = pq.read_table(path).to_pydict()
    ids, scores = expected_neighbours(np.asarray(emb.storage, np.float32), K)
    assert table["word"] == emb.vocab.words
    np.testing.assert_array_equal(table["ids"], first_words[ids[rows_of_words]])
    np.testing.assert_allclose(table["scores"], scores[rows_of_words], atol=1e-5)
    words = np.array(emb.vocab.words)
    np.testing.assert_array_equal(table["neighbours"], words[np.array(table["ids"])])
    assert not os.path.exists(f"{path}.partial")


def test_neighbours_are_those_of_numpy(tmp_path):
    path, counts = tmp_path / "near.parquet", []
    emb = ffjax.Embeddings(storage(N - 2, DIMS), ffjax.SimpleVocab(WORDS, rows=SHARED))
    ffjax.neighbours(emb, path, K, progress=lambda *count: counts.append(count))
    first_words = np.array([0, *range(2, N - 1)])
    check_file(path, emb, SHARED, first_words)
    assert counts == [(0, N - 2), (1024, N - 2), (2048, N - 2), (N - 2, N - 2)]


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_call_goes_on_where_it_was(tmp_path):
    source, path, counts = tmp_path / "words.fifu", tmp_path / "near.parquet", []
    emb = ffjax.Embeddings(storage(N, DIMS), ffjax.SimpleVocab(WORDS))
    emb.write(source)
    emb = ffjax.load_finalfusion(source, mmap=True)
    result = subprocess.run([sys.executable, "-c", KILLED, source, path], check=False)
    assert result.returncode == -signal.SIGKILL and not path.exists()
    partial = tmp_path / "near.parquet.partial"
    with open(partial, "ab") as file:
        file.write(b"a block that was being written")
    with pytest.raises(ValueError, match="`path`: .*partial comes from a call with other rows"):
        ffjax.neighbours(emb, path, K + 1)
    other = emb.replace(storage=storage(N, DIMS, seed=1))
    with pytest.raises(ValueError, match="comes from a call with other rows, `k` or `metric`"):
        ffjax.neighbours(other, path, K)
    ffjax.neighbours(emb, path, K, progress=lambda *count: counts.append(count))
    assert counts == [(1024, N), (2048, N), (N, N)]
    check_file(path, emb, np.arange(N), np.arange(N))


def test_blocks_that_are_not_whole_are_computed_again(tmp_path):
    path, partial, counts = tmp_path / "near.parquet", tmp_path / "near.parquet.partial", []
    emb = ffjax.Embeddings(storage(N, DIMS), ffjax.SimpleVocab(WORDS))

    def stop_at(count, total):
        if count == 2048:
            raise KeyboardInterrupt("stopped")

    with pytest.raises(KeyboardInterrupt, match="stopped"):
        ffjax.neighbours(emb, path, K, progress=stop_at)
    content = bytearray(partial.read_bytes())
    content[-100] ^= 1
    partial.write_bytes(content)
    ffjax.neighbours(emb, path, K, progress=lambda *count: counts.append(count))
    assert counts[0] == (1024, N)
    check_file(path, emb, np.arange(N), np.arange(N))


@pytest.mark.skipif(sys.platform == "win32", reason="no locks")
def test_two_calls_at_once_do_not_write_the_same_file(tmp_path):
    emb, path = ffjax.Embeddings(storage(N, DIMS), ffjax.SimpleVocab(WORDS)), tmp_path / "a.parquet"
    counts = []

    def other_call(count, total):
        counts.append(count)
        if count == 1024:
            with pytest.raises(ValueError, match="`path`: .*partial is being written by another"):
                ffjax.neighbours(emb, path, K)

    ffjax.neighbours(emb, path, K, progress=other_call)
    assert 1024 in counts
    check_file(path, emb, np.arange(N), np.arange(N))


@pytest.mark.skipif(sys.platform == "win32", reason="no limits")
def test_a_file_that_becomes_too_large_is_named(tmp_path):
    import resource

    emb = ffjax.Embeddings(storage(N, DIMS), ffjax.SimpleVocab(WORDS))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large: '.*a.parquet'"):
            ffjax.neighbours(emb, tmp_path / "a.parquet", K)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("words", [[], ["alone"], ["one", "two"]])
def test_few_words(words, tmp_path):
    emb = ffjax.Embeddings(storage(len(words), DIMS), ffjax.SimpleVocab(words))
    ffjax.neighbours(emb, tmp_path / "near.parquet")
    lists = pq.read_table(tmp_path / "near.parquet")["neighbours"].to_pylist()
    assert lists == [[other for other in words if other != word] for word in words]


def test_bad_arguments(tmp_path):
    emb = ffjax.Embeddings(storage(2, DIMS), ffjax.SimpleVocab(["one", "two"]))
    floret = small_vocab("floret")
    with pytest.raises(TypeError, match="expected embeddings with a list of words, got"):
        ffjax.neighbours(ffjax.Embeddings(storage(floret.upper_bound), floret), tmp_path / "a")
    with pytest.raises(ValueError, match="`k`: expected 1 or more, got 0"):
        ffjax.neighbours(emb, tmp_path / "a", 0)
    with pytest.raises(ValueError, match="`metric`: expected one of"):
        ffjax.neighbours(emb, tmp_path / "a", metric="l2")
    with pytest.raises(ValueError, match="`path`: expected the path of a file to write, got 1"):
        ffjax.neighbours(emb, 1)
    assert not list(tmp_path.iterdir())


@pytest.mark.devices
def test_rows_on_several_devices(tmp_path):
    import jax
    from jax.sharding import NamedSharding, PartitionSpec

    mesh = jax.make_mesh((jax.device_count(),), ("rows",))
    emb = ffjax.Embeddings(storage(N, DIMS), ffjax.SimpleVocab(WORDS))
    sharded = ffjax.ShardedArray(emb.storage, NamedSharding(mesh, PartitionSpec("rows")))
    ffjax.neighbours(emb.replace(storage=sharded), tmp_path / "near.parquet", K)
    check_file(tmp_path / "near.parquet", emb, np.arange(N), np.arange(N))
