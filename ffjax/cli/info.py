"""`ffjax info`: what a file holds."""

import os
from types import SimpleNamespace
from typing import Any

import ffjax
from ffjax.cli.files import input_of, shown
from ffjax.cli.messages import translated
from ffjax.cli.options import EmbeddingsFile, Format, InputDims, InputFormat, Json, Lossy
from ffjax.cli.output import facts
from ffjax.cli.progress import working

Facts = dict[str, Any]


def info(
    embeddings: EmbeddingsFile,
    format: InputFormat = None,
    lossy: Lossy = False,
    input_dims: InputDims = None,
    json: Json = False,
) -> None:
    """Show what a file of embeddings holds.

    Only snapshots are read as a whole. finalfusion and fastText files are
    mapped; of other formats the first line says enough. Text without a line of
    dimensions is scanned for its words: of a repeated word only the first row
    counts, and repeated_words is the number of the others. Finalfusion files
    with single chunks, such as a vocabulary, are shown too.

    In a pipe each line is a name and a value, separated by a tab.

    Examples:
      ffjax info words.fifu
      ffjax info words.fifu --json | jq .words
      ffjax info cc.de.300.bin
    """
    name = shown(embeddings)
    size = os.path.getsize(embeddings) if os.path.isfile(embeddings) else None
    with working(f"Reading {name}"), translated("load", name):
        values = _read(input_of(embeddings), format, lossy, input_dims)
    facts({"file": name, "bytes": size, **values}, as_json=json)


def _read(source: str | int, format: Format | None, lossy: bool, dims: int | None) -> Facts:
    """The format of a file, the names of its chunks, and what it holds."""
    from ffjax.formats.detect import detect
    from ffjax.formats.io.streams import open_stream
    from ffjax.formats.load import IN_PLACE, load_stream

    with open_stream(source) as stream:
        name = format or detect(stream)
        values: Facts = {"format": name, "chunks": None}
        if name not in IN_PLACE:
            return values | _table(stream, name, lossy, dims)
        is_plain = isinstance(source, str) and stream.size is not None and not stream.wrapping
        if name == "finalfusion" and is_plain:
            return values | _chunks(str(source))
        return values | _facts(load_stream(stream, name, mmap=True, lossy=lossy, dims=dims))


def _facts(emb: Any) -> Facts:
    """Facts of embeddings, or of a file of which some chunks are `None`."""
    values: Facts = {}
    if emb.vocab is not None:
        values |= _vocab(emb.vocab)
    if emb.storage is not None:
        values |= _storage(emb.storage)
    if emb.norms is not None:
        values["norms"] = len(emb.norms)
    if emb.metadata is not None:
        values["metadata"] = list(emb.metadata)
    if (training := emb.training) is not None:
        values["tokens"], values["labels"] = training.n_tokens, len(training.labels)
        values["output_rows"] = None if training.output is None else len(training.output)
    return values


def _table(stream: Any, format: str, lossy: bool, dims: int | None) -> Facts:
    """Facts of a text, word2vec or floret file, by its first line or by its words."""
    from ffjax.formats.floret import read_floret_blocks
    from ffjax.formats.text.read import read_text_blocks
    from ffjax.formats.word2vec import read_word2vec_blocks

    if format == "floret":
        with read_floret_blocks(stream) as table:
            return _vocab(table.vocab) | _matrix(table.n_rows, table.dims)
    if format == "word2vec":
        reader = read_word2vec_blocks(stream, lossy=lossy, values=False)
    else:
        header = format == "textdims"
        reader = read_text_blocks(stream, header=header, dims=dims, lossy=lossy, values=False)
    with reader as blocks:
        n_rows, n_read = blocks.n_rows, 0
        if n_rows is None:
            words = set()
            for block in blocks:
                n_read += len(block)
                words.update(map(block.words.raw, range(len(block))))
            n_rows = len(words)
        values = {"vocabulary": "SimpleVocab", "words": n_rows}
        if n_read > n_rows:
            values["repeated_words"] = n_read - n_rows
        return values | _matrix(n_rows, blocks.dims) | {"norms": n_rows}


def _matrix(rows: int | None, dims: int) -> Facts:
    return {"dims": dims, "storage": "NdArray", "rows": rows, "dtype": "float32"}


def _chunks(file: str) -> Facts:
    """Facts of each chunk of a finalfusion file, and their names in the order of the file."""
    from ffjax.formats.finalfusion.header import MAGIC, STORAGES, VOCABS, ChunkId
    from ffjax.formats.finalfusion.reader import find_chunks
    from ffjax.formats.io.streams import open_source

    with open_source(file, magic=MAGIC, error=ffjax.FinalfusionFormatError) as source:
        chunks = [identifier for identifier, _, _ in find_chunks(source)]
    emb = SimpleNamespace(
        vocab=ffjax.load_vocab(file) if set(VOCABS) & set(chunks) else None,
        storage=ffjax.load_storage(file, mmap=True) if set(STORAGES) & set(chunks) else None,
        norms=ffjax.load_norms(file) if ChunkId.NdNorms in chunks else None,
        metadata=ffjax.load_metadata(file) if ChunkId.Metadata in chunks else None,
        training=None,
    )
    return {"chunks": [chunk.name for chunk in chunks]} | _facts(emb)


def _vocab(vocab: Any) -> Facts:
    values: Facts = {"vocabulary": type(vocab).__name__, "words": len(vocab)}
    if vocab.n_word_rows != len(vocab):
        values["word_rows"] = vocab.n_word_rows
    indexer = getattr(vocab, "subword_indexer", None)
    if indexer is None:
        return values
    values["ngram_lengths"] = f"{vocab.min_n} to {vocab.max_n}"
    if hasattr(indexer, "ngrams"):  # stored ones
        return values | {"ngrams": len(indexer.ngrams), "ngram_rows": indexer.upper_bound}
    if hasattr(indexer, "n_hashes"):
        values["hashes"] = indexer.n_hashes
    return values | {"buckets": indexer.upper_bound}


def _storage(storage: Any) -> Facts:
    rows, dims = storage.shape
    values: Facts = {"dims": dims, "storage": type(storage).__name__, "rows": rows}
    if not hasattr(storage, "quantizer"):
        return values | {"dtype": str(getattr(storage, "codes", storage).dtype)}
    return values | {
        "codes_per_row": storage.quantized_len,
        "centroids": storage.quantizer.n_centroids,
        "rotated": storage.projection is not None,
        "row_norms": storage.norms is not None,
    }
