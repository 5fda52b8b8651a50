"""floret's table: a header and one row of numbers for each bucket, as text.

    buckets SP dims SP minn SP maxn SP hashes SP seed SP bow SP eow LF
    bucket SP value SP ... value [SP] LF
    ...

`floret.save_floret_vectors` writes it, spaCy reads it (`spacy init vectors --mode floret`). Buckets come in order.
There are no words: every word is hashed to several rows.
"""

import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import numpy as np

from ffjax._internal.atomic_write import open_output
from ffjax._internal.released_pages import release_pages
from ffjax.embeddings.value import Embeddings
from ffjax.formats.io.binary import File
from ffjax.formats.io.streams import Stream, open_stream
from ffjax.formats.rows.export import check_plain
from ffjax.formats.rows.row_blocks import Block, Blocks, RowBuffer, RowSink, stored
from ffjax.formats.text.format_floats import format_rows
from ffjax.formats.text.lines import shown
from ffjax.formats.text.read import MOST_DIMS, TextReader, begin_text, check_rows, cut_lines
from ffjax.vocab import FloretVocab
from ffjax.vocab.ngrams import FloretIndexer

_HEADER_BYTES = 4096
_FIELDS = ("buckets", "dims", "minn", "maxn", "hashes", "seed", "bow", "eow")
_BLOCK_ROWS = 1 << 12


class FloretBlocks(Blocks):
    """The rows of a floret table in blocks; the words of a block are the numbers of its buckets.

    Attributes:
        vocab: the vocabulary that the header describes.
    """

    vocab: FloretVocab

    def __init__(self, dims: int, n_rows: int, blocks: Iterator[Block], vocab: FloretVocab) -> None:
        super().__init__(dims, n_rows, blocks)
        object.__setattr__(self, "vocab", vocab)


def load_floret(file: File | Stream, *, skip_edge_unigrams: bool = True) -> Embeddings:
    r"""Reads a floret table.

    Rows are kept as they are, and there are no norms: a word's vector is made of several rows. The file may be
    compressed (gzip, bzip2, xz, zstd) or the one file in a zip or tar archive. Rows with NaN or infinity are kept, with
    one warning.

    Args:
        file: a path, or a descriptor, which is closed afterwards as `open` does.
        skip_edge_unigrams: whether n-grams of one character at either end of a marked word are left out, as floret
            does and spaCy does not. The file does not say; it matters if its `minn` is 1.

    Returns:
        Embeddings with a `FloretVocab` and an `NdArray`, without norms.

    Raises:
        FormatError: the first line is no header of floret's, a row has fewer or more values than it says, a bucket is
            missing, or what the file is wrapped in is corrupt.
        OSError: the file cannot be read.

    Examples:
        >>> import ffjax, tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "table.floret"
        >>> _ = path.write_text("2 2 3 4 1 2166136261 < >\n0 1.0 0.0 \n1 0.0 1.0 \n")
        >>> ffjax.load_floret(path)
        Embeddings(NdArray(2 x 2), FloretVocab(0 words, FloretIndexer(...), '<', '>'))
    """
    with read_floret_blocks(file, skip_edge_unigrams=skip_edge_unigrams) as blocks:
        return collect_table(blocks, blocks.vocab, RowBuffer(blocks.dims))


def collect_table(blocks: Blocks, vocab: FloretVocab, rows: RowSink) -> Embeddings:
    """Puts the blocks of a table together. Rows with NaN or infinity are kept; a warning says how many there are.

    Args:
        blocks: the blocks.
        vocab: the vocabulary that the header describes.
        rows: what the rows are put into.
    """
    odd = 0
    for block in blocks:
        odd += int(np.count_nonzero(~np.isfinite(block.rows).all(axis=1)))
        rows.append(block.rows)
    if odd:
        warnings.warn(f"{odd} rows hold NaN or infinity; they are kept as they are", stacklevel=3)
    return Embeddings(stored(rows.finish()), vocab)


@contextmanager
def read_floret_blocks(file: File | Stream, *, skip_edge_unigrams: bool = True) -> Iterator[FloretBlocks]:
    """Opens a floret table to read it a block of rows at a time, in memory for a few blocks.

    Args:
        file: a path, or a descriptor, which is closed afterwards as `open` does.
        skip_edge_unigrams: as in `load_floret`.

    Raises:
        FormatError: as `load_floret`; most errors come while the blocks are gone through.
    """
    with open_stream(file) as stream:
        begin_text(stream)
        (n_rows, dims), vocab = _read_header(stream, skip_edge_unigrams)
        check_rows(stream, n_rows, 2 * dims + 2)
        reader = TextReader(stream, dims, exact=False, lossy=False, unit=False, values=True)
        with closing(reader.read(cut_lines(stream), n_rows, None)) as blocks:
            yield FloretBlocks(dims, n_rows, _in_bucket_order(stream, blocks), vocab)


def _in_bucket_order(stream: Stream, blocks: Iterator[Block]) -> Iterator[Block]:
    done = 0
    for block in blocks:
        for i, name in enumerate(block.words.strings, done):
            if name != str(i):
                raise stream.error(
                    None,
                    chunk=f"row {i + 1}",
                    field="bucket",
                    expected=f"{i}, since buckets come in order",
                    got=shown(name.encode("utf-8", "surrogateescape")),
                )
        done += len(block)
        yield block


def _read_header(stream: Stream, skip_edge_unigrams: bool) -> tuple[tuple[int, int], FloretVocab]:
    head = stream.head(_HEADER_BYTES)
    line, feed, _ = head.partition(b"\n")
    fields = line.split()
    if not feed or not is_header(line):
        got = shown(line) if line else "an empty file" if not head else "an empty line"
        raise stream.error(0, chunk="header", expected=f"`{' '.join(_FIELDS)}`", got=got)
    n_rows, dims, min_n, max_n, n_hashes, seed = map(int, fields[:6])
    if not 1 <= dims <= MOST_DIMS:
        raise stream.error(0, chunk="header", field="dims", expected=f"1 to {MOST_DIMS}", got=str(dims))
    try:
        indexer = FloretIndexer(n_rows, min_n, max_n, n_hashes, seed, skip_edge_unigrams=skip_edge_unigrams)
        vocab = FloretVocab(indexer, bow=fields[6].decode(), eow=fields[7].decode())
    except (ValueError, OverflowError) as error:
        raise stream.error(0, chunk="header", got=f"{shown(line)}: {error}") from error
    stream.read(len(line) + 1)
    return (n_rows, dims), vocab


def is_header(line: bytes) -> bool:
    """Whether a line is a floret header: six whole numbers and two markers."""
    fields = line.split()
    return len(fields) == len(_FIELDS) and all(field.isdigit() and len(field) <= 18 for field in fields[:6])


def write_floret(
    file: File,
    embeddings: Embeddings,
    *,
    drop_metadata: bool = False,
    drop_training: bool = False,
    reconstruct: bool = False,
) -> None:
    """Writes a floret table, which floret's own tools and spaCy read.

    Numbers are the shortest that read back as the same float32. The old file stays whole until the new one is complete.

    Args:
        file: a path, or a descriptor, which is closed afterwards as `open` does.
        embeddings: what to write, with a `FloretVocab`.
        drop_metadata: whether to leave metadata out.
        drop_training: whether to leave counts, labels and the output matrix out.
        reconstruct: whether to write quantized vectors as the plain ones that they stand for.

    Raises:
        TypeError: `embeddings` is something else, or its vocabulary is.
        ValueError: `embeddings` has metadata, `training` or quantized vectors and the option that allows for it is not
            set, or its markers are empty or hold whitespace.
        OSError: the file cannot be written.

    Examples:
        >>> import ffjax, tempfile, pathlib, numpy as np
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "table.floret"
        >>> vocab = ffjax.FloretVocab(ffjax.FloretIndexer(2, 3, 4))
        >>> ffjax.write_floret(path, ffjax.Embeddings(ffjax.NdArray(np.eye(2, dtype=np.float32)), vocab))
        >>> path.read_text().splitlines()
        ['2 2 3 4 1 2166136261 < >', '0 1.0 0.0', '1 0.0 1.0']
    """
    allowed = {"drop_metadata": drop_metadata, "drop_training": drop_training, "reconstruct": reconstruct}
    vocab, indexer = _checked(embeddings, **allowed)
    storage = embeddings.storage
    if indexer.min_n == 1 and not indexer.skip_edge_unigrams:
        warnings.warn(
            "floret files cannot say that single characters at the edges of words are n-grams; floret leaves them out, "
            "spaCy takes them",
            stacklevel=2,
        )
    header = (*storage.shape, indexer.min_n, indexer.max_n, indexer.n_hashes, indexer.seed, vocab.bow, vocab.eow)
    with open_output(file) as out:
        out.write((" ".join(map(str, header)) + "\n").encode())
        for start in range(0, len(storage), _BLOCK_ROWS):
            rows = storage.embedding(slice(start, start + _BLOCK_ROWS)).astype(np.float32, copy=False)
            lines = [b"%d %s\n" % row for row in enumerate(format_rows(rows), start)]
            out.write(b"".join(lines))
            release_pages(storage)


def _checked(embeddings: Any, **allowed: bool) -> tuple[FloretVocab, FloretIndexer]:
    vocab = check_plain(embeddings, "floret files", **allowed).vocab
    if not isinstance(vocab, FloretVocab):
        raise TypeError(
            f"`embeddings`: expected a FloretVocab, since floret files hold no words and floret's hashes only, "
            f"got {vocab!r}."
        )
    for marker in vocab.markers:
        if len(marker.split()) != 1 or marker != marker.strip():
            raise ValueError(f"`embeddings`: expected markers without whitespace, not empty, got {marker!r}.")
    return vocab, vocab.subword_indexer
