"""floret's table: a header and one row of numbers for each bucket, as text.

    buckets SP dims SP minn SP maxn SP hashes SP seed SP bow SP eow LF
    bucket SP value SP ... value [SP] LF
    ...

`floret.save_floret_vectors` writes it, spaCy reads it (`spacy init vectors --mode floret`). Buckets
come in order. There are no words: every word is hashed to several rows.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Unpack

from ffjax._internal.atomic_write import open_output
from ffjax._internal.file_arguments import check_no_limit
from ffjax._internal.warn import warn_user
from ffjax.embeddings.value import Embeddings
from ffjax.formats.io.binary import File
from ffjax.formats.io.streams import Stream, open_stream
from ffjax.formats.rows.export import TableOptions, check_plain
from ffjax.formats.rows.row_blocks import Block, Blocks, collect
from ffjax.formats.text import header as headers
from ffjax.formats.text.fields import shown
from ffjax.formats.text.format_floats import format_rows
from ffjax.formats.text.line_chunks import cut_lines
from ffjax.formats.text.read import read_rows
from ffjax.formats.text.table import TextTable
from ffjax.vocab import FloretVocab
from ffjax.vocab.ngrams import FloretIndexer

_BLOCK_ROWS = 1 << 12


def load_floret(path: File | Stream, *, skip_edge_unigrams: bool = True) -> Embeddings:
    r"""Reads a floret table.

    Rows are not scaled, and there are no norms: a word's vector is the mean of several rows. The
    file may be compressed (gzip, bzip2, xz, zstd) or the one file in a zip or tar archive. Rows
    with NaN or infinity are kept, with one warning.

    Args:
        path: a path, or a descriptor, which is closed afterwards as `open` does.
        skip_edge_unigrams: whether n-grams of one character at either end of a marked word are
            left out, as floret does and spaCy does not. The file does not say; it matters if its
            `minn` is 1.

    Returns:
        Embeddings with a `FloretVocab` and an `NdArray`, without norms.

    Raises:
        FormatError: if the first line is not a floret header, a row has fewer or more values
            than that says, a bucket is missing, or what wraps the file is corrupt.
        OSError: if the file cannot be read.

    Examples:
        >>> import ffjax, tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "table.floret"
        >>> _ = path.write_text("2 2 3 4 1 2166136261 < >\n0 1.0 0.0 \n1 0.0 1.0 \n")
        >>> ffjax.load_floret(path)
        Embeddings(NdArray(2 x 2), FloretVocab(0 words, FloretIndexer(...), '<', '>'))
    """
    with read_floret_blocks(path, skip_edge_unigrams=skip_edge_unigrams) as blocks:
        return collect(blocks)


@contextmanager
def read_floret_blocks(
    path: File | Stream, *, limit: int | None = None, skip_edge_unigrams: bool = True
) -> Iterator[Blocks]:
    """Opens a floret table to read it a block of rows at a time; `limit` must be `None`."""
    check_no_limit(limit)
    with open_stream(path) as stream:
        headers.begin_text(stream)
        line, n_rows, dims, *hashing, bow, eow = headers.read_floret_header(stream)
        try:
            indexer = FloretIndexer(n_rows, *hashing, skip_edge_unigrams=skip_edge_unigrams)
            vocab = FloretVocab(indexer, bow=bow, eow=eow)
        except (ValueError, OverflowError) as error:
            raise stream.error(0, None, f"{shown(line)}: {error}", chunk="header") from error
        headers.check_rows(stream, n_rows, 2 * dims + 2)
        table = TextTable(stream, dims, n_rows, cut_lines(stream))
        with closing(read_rows(table, is_numbered=True)) as blocks:
            yield Blocks(dims, n_rows, _check_buckets(stream, blocks), vocab=vocab)


def _check_buckets(stream: Stream, blocks: Iterator[Block]) -> Iterator[Block]:
    """The same blocks; buckets out of order are an error."""
    n_read = 0
    for block in blocks:
        for i, name in enumerate(block.words.strings, n_read):
            if name != str(i):
                got = shown(name.encode("utf-8", "surrogateescape"))
                where = {"chunk": f"row {i + 1}", "field": "bucket"}
                raise stream.error(None, f"{i}, since buckets come in order", got, **where)
        n_read += len(block)
        yield block


def write_floret(path: File, embeddings: Embeddings, **options: Unpack[TableOptions]) -> None:
    """Writes a floret table, which floret's own tools and spaCy read.

    Numbers are the shortest that read back as the same float32. The old file stays complete until
    the new one is. If the table cannot hold something, you get an error naming the option that
    permits dropping it.

    Args:
        path: a path, or a descriptor, which is closed afterwards as `open` does.
        embeddings: what to write, with a `FloretVocab`.
        **options: what to drop: `drop_metadata` the metadata, `drop_training` the counts, labels
            and output matrix. `reconstruct` writes quantized vectors as the plain ones that they
            stand for.

    Raises:
        TypeError: if `embeddings` or its vocabulary is something else, or an option does not exist.
        ValueError: if something would be lost without its option, or the markers are empty or hold
            whitespace.
        OSError: if the file cannot be written.

    Examples:
        >>> import ffjax, tempfile, pathlib, numpy as np
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "table.floret"
        >>> rows = ffjax.NdArray(np.eye(2, dtype=np.float32))
        >>> vocab = ffjax.FloretVocab(ffjax.FloretIndexer(2, 3, 4))
        >>> ffjax.write_floret(path, ffjax.Embeddings(rows, vocab))
        >>> path.read_text().splitlines()
        ['2 2 3 4 1 2166136261 < >', '0 1.0 0.0', '1 0.0 1.0']
    """
    vocab = check_plain(embeddings, "floret files", options, TableOptions).vocab
    if not isinstance(vocab, FloretVocab):
        expected = "expected a FloretVocab, since floret files hold no words"
        raise TypeError(f"`embeddings`: {expected}, got {vocab!r}.")
    for marker in vocab.markers:
        if marker.split() != [marker]:
            expected = "expected markers without whitespace, not empty"
            raise ValueError(f"`embeddings`: {expected}, got {marker!r}.")
    storage, indexer = embeddings.storage, vocab.subword_indexer
    if indexer.min_n == 1 and not indexer.skip_edge_unigrams:
        warn_user(
            "floret files cannot say that single characters at the edges of words are n-grams; "
            "floret leaves them out, spaCy takes them"
        )
    lengths = (0, 0) if indexer.min_n == headers.NO_NGRAMS else (indexer.min_n, indexer.max_n)
    header = (*storage.shape, *lengths, indexer.n_hashes, indexer.seed, vocab.bow, vocab.eow)
    with open_output(path) as out:
        out.write((" ".join(map(str, header)) + "\n").encode())
        for start, rows in storage.row_blocks(rows=_BLOCK_ROWS):
            lines = enumerate(format_rows(rows), start)
            out.write(b"".join(b"%d %s\n" % line for line in lines))
