"""The nearest neighbours of all words as a Parquet file.

While they are computed, complete blocks are appended to `FILE.partial`: a hash of the rows and the
settings (32 bytes), then for each block int32 rows, float32 scores and a CRC-32 of both.
"""

import os
import zlib
from typing import Any

import numpy as np

from ffjax._internal.arguments import check_embeddings, whole_number
from ffjax._internal.atomic_write import File, Path, name_file, open_output, output_folder
from ffjax._internal.extras import require_arrow
from ffjax._internal.progress import Progress, ignore
from ffjax.embeddings.value import Embeddings
from ffjax.formats.tables.write import word_array
from ffjax.functional.search import check_metric
from ffjax.storage.base import rows_hash
from ffjax.transforms.neighbours import BLOCK_ROWS, neighbour_blocks

try:
    import fcntl
except ImportError:
    fcntl = None

_GROUP_WORDS = 1 << 16
_HASH_BYTES = 32


def neighbours(
    embeddings: Embeddings,
    path: File,
    k: int = 10,
    *,
    metric: str = "cosine",
    progress: Progress | None = None,
) -> None:
    """Writes the exact nearest neighbours of all words to a Parquet file.

    The columns are `word`, and lists with the best neighbour first: `neighbours` (words), `ids`
    (their numbers in the vocabulary and in the file, from 0) and `scores`. A row that several words
    share is called by the first of them, and is not its own neighbour.

    Rows are searched in blocks of 1,024, in bounded memory, wherever they are: memory maps, codes
    and sharded rows too. Complete blocks are kept in `FILE.partial` until the file is complete. If
    the process is killed, the same call continues after the last complete block.

    Args:
        embeddings: the embeddings, with a list of words.
        path: the file to write.
        k: at most how many neighbours of each word, at least 1.
        metric: `"cosine"`, or another metric of `ffjax.top_k`.
        progress: called with the number of rows that have their neighbours, and of all.

    Raises:
        ImportError: if pyarrow is missing.
        TypeError: if the vocabulary does not list its words, or an argument has another type.
        ValueError: if `k` is less than 1, the metric is unknown, or `FILE.partial` belongs to other
            rows or settings, or to a call that runs at the same time.

    Examples:
        >>> import ffjax, tempfile, pyarrow.parquet
        >>> emb = ffjax.select_words(ffjax.demo(), ["tea", "coffee", "berlin", "vienna"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     ffjax.neighbours(emb, folder + "/near.parquet", k=1)
        ...     pyarrow.parquet.read_table(folder + "/near.parquet")["neighbours"].to_pylist()
        [['coffee'], ['tea'], ['vienna'], ['berlin']]
    """
    check_embeddings(embeddings)
    k = whole_number("k", k, 1)
    check_metric(metric)
    require_arrow("`neighbours`")  # before anything is computed
    vocab = embeddings.vocab
    if not vocab.has_words:
        got = f"got embeddings without words, a {type(vocab).__name__}"
        raise TypeError(f"`embeddings`: expected embeddings with a list of words, {got}.")
    if isinstance(path, int) or output_folder(path) is None:
        raise ValueError(f"`path`: expected the path of a file to write, got {path!r}.")
    n_rows = vocab.n_word_rows
    k = max(0, min(k, n_rows - 1))
    partial = os.fsencode(path) + b".partial"
    with open(partial, "a+b", buffering=0) as file:
        _lock(file, partial)
        digest = rows_hash(embeddings.storage, n_rows)
        digest.update(f"k={k} metric={metric} block={BLOCK_ROWS}".encode())
        n_blocks = _resume(file, partial, digest.digest(), k)
        report = progress or ignore
        report(min(n_blocks * BLOCK_ROWS, n_rows), n_rows)
        for block in neighbour_blocks(embeddings, k, metric=metric, first=n_blocks):
            content = block.rows.astype("<i4").tobytes() + block.scores.astype("<f4").tobytes()
            _append(file, content + zlib.crc32(content).to_bytes(4, "little"), path)
            report(block.stop, n_rows)
        _write_table(path, embeddings, _blocks(partial, k))
    os.unlink(partial)


def _lock(file: Any, partial: bytes) -> None:
    """Keeps other processes from appending to the same file, where the system can do that."""
    if fcntl is None:  # Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ValueError(
            f"`path`: {os.fsdecode(partial)} is being written by another call. Wait for its end, "
            "or choose another file."
        ) from error
    except OSError:  # a file system without locks
        return


def _append(file: Any, content: bytes, path: Path) -> None:
    """Writes bytes to a file without a buffer; an error names the file that they are for."""
    unwritten = memoryview(content)
    try:
        while unwritten:
            unwritten = unwritten[file.write(unwritten) :]
    except OSError as error:
        name_file(error, path)
        raise


def _resume(file: Any, partial: bytes, digest: bytes, k: int) -> int:
    """Cuts a file after its last complete block, and returns how many blocks it has."""
    file.seek(0)
    head = file.read(_HASH_BYTES)
    if len(head) < _HASH_BYTES:
        file.truncate(0)
        file.write(digest)
    elif head != digest:
        raise ValueError(
            f"`path`: {os.fsdecode(partial)} comes from a call with other rows, `k` or `metric`. "
            "Delete it, or choose another file."
        )
    blocks, n_blocks = _blocks(partial, k), 0
    for block in blocks:
        if zlib.crc32(block.tobytes()[:-4]) != block["crc"]:
            break
        n_blocks += 1
    end = _HASH_BYTES + n_blocks * blocks.itemsize
    del blocks  # a file that is mapped cannot be cut on Windows
    file.truncate(end)
    return n_blocks


def _blocks(partial: bytes, k: int) -> np.ndarray:
    """The blocks of a file, of which the last ones may be wrong."""
    shape = (BLOCK_ROWS, k)
    kind = np.dtype([("rows", "<i4", shape), ("scores", "<f4", shape), ("crc", "<u4")])
    n = (os.path.getsize(partial) - _HASH_BYTES) // kind.itemsize
    # An empty file cannot be mapped.
    return np.memmap(partial, kind, "r", _HASH_BYTES, (n,)) if n else np.empty(0, kind)


def _write_table(path: Path, emb: Embeddings, blocks: np.ndarray) -> None:
    """Writes the neighbours of all words, a row group for each group of words."""
    pa, pq = require_arrow("`neighbours`")
    vocab, n_words = emb.vocab, len(emb.vocab)
    words = word_array(vocab.table, 0, n_words)
    first_word = np.asarray(vocab.row_words, np.int32)
    kinds = {"neighbours": pa.string(), "ids": pa.int32(), "scores": pa.float32()}
    lists = ((name, pa.list_(kind)) for name, kind in kinds.items())
    schema = pa.schema([("word", pa.string()), *lists])
    with open_output(path) as stream, pq.ParquetWriter(stream, schema) as writer:
        for start in range(0, n_words, _GROUP_WORDS):
            group = slice(start, start + _GROUP_WORDS)
            block, line = np.divmod(vocab.host_rows[group], BLOCK_ROWS)
            nearest, scores = blocks["rows"][block, line], blocks["scores"][block, line]
            valid = nearest >= 0
            offsets = np.append(0, np.cumsum(valid.sum(1))).astype(np.int32)
            ids = pa.array(first_word[nearest[valid]])
            values = words.take(ids), ids, pa.array(scores[valid])
            columns = [pa.ListArray.from_arrays(offsets, column) for column in values]
            writer.write_table(pa.table([words[group], *columns], schema=schema))
