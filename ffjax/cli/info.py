"""`ffjax info`: what a file holds."""

import os
from typing import TYPE_CHECKING, Any

from ffjax.cli.files import reading, shown
from ffjax.cli.options import EmbeddingsFile, Format, InputFormat, Json, Lossy
from ffjax.cli.output import facts
from ffjax.cli.progress import working

if TYPE_CHECKING:
    from ffjax import Metadata, Norms, Storage, TrainingState, Vocab


def info(embeddings: EmbeddingsFile, format: InputFormat = None, lossy: Lossy = False, json: Json = False) -> None:
    """Show what a file of embeddings holds.

    No matrix is read but those of snapshots: those of finalfusion and
    fastText files are mapped, of other formats the first line says enough.
    Text without a line of dimensions is gone through for its words; of one
    that occurs again only the first row counts, and repeated_words says how
    many others there are. With such a line the numbers are those that it says.
    Finalfusion files that hold a part of embeddings, such as a vocabulary
    alone, are shown too. In a pipe
    each line is a name and a value with a tab between.

    Examples:
      ffjax info words.fifu
      ffjax info words.fifu --json | jq .words
      ffjax info cc.de.300.bin
    """
    facts(describe(embeddings, format, lossy), as_json=json)


def describe(file: str, format: Format | None = None, lossy: bool = False) -> dict[str, Any]:
    """Names and values that say what a file holds; a value is `None` if the file has nothing of the kind."""
    seen, described, chunks = reading(file, lambda source: _read(source, file, format, lossy))
    size = os.path.getsize(file) if os.path.isfile(file) else None
    return {"file": shown(file), "bytes": size, "format": seen, "chunks": chunks} | described


def _read(source: Any, file: str, format: Format | None, lossy: bool) -> tuple[str, dict[str, Any], list[str] | None]:
    """The format of a file, what it holds, and the names of its chunks."""
    with working(f"Reading {shown(file)}"):
        from ffjax.formats.detect import detect
        from ffjax.formats.io.streams import open_stream
        from ffjax.formats.load import IN_PLACE, load_in_place

        with open_stream(source) as stream:
            seen = detect(stream) if format is None else format.value
            if seen not in IN_PLACE:
                return seen, _rows_in_order(stream, seen, lossy), None
            in_place = isinstance(source, str) and stream.size is not None and not stream.wrapping
            if seen == Format.finalfusion and in_place:
                found, chunks = _parts(source)
            else:
                emb = load_in_place(stream, source, seen, mmap=True, lossy=lossy, limit=None)
                found, chunks = [emb.vocab, emb.storage, emb.norms, emb.metadata, emb.training], None
    described: dict[str, Any] = {}
    for part in found:
        described |= _described(part)
    return seen, described, chunks


def _rows_in_order(stream: Any, format: str, lossy: bool) -> dict[str, Any]:
    """What a text, word2vec or floret file holds, by its first line, or by its words if that says nothing."""
    from ffjax.formats.floret import read_floret_blocks
    from ffjax.formats.text.read import read_text_blocks
    from ffjax.formats.word2vec import read_word2vec_blocks

    if format == Format.floret:
        with read_floret_blocks(stream) as table:
            return _vocab(table.vocab) | _matrix(table.n_rows, table.dims)
    if format == Format.word2vec:
        reading = read_word2vec_blocks(stream, lossy=lossy, values=False)
    else:
        reading = read_text_blocks(stream, header=format == Format.textdims, lossy=lossy, values=False)
    with reading as blocks:
        rows, repeated = (blocks.n_rows, 0) if blocks.n_rows is not None else _counted(blocks)
        facts = {"vocabulary": "SimpleVocab", "words": rows} | ({"repeated_words": repeated} if repeated else {})
        return facts | _matrix(rows, blocks.dims) | {"norms": rows}


def _counted(blocks: Any) -> tuple[int, int]:
    """How many different words there are, and how many rows have a word that an earlier one has."""
    rows, seen = 0, set()
    for block in blocks:
        rows += len(block)
        seen.update(map(block.words.raw, range(len(block))))
    return len(seen), rows - len(seen)


def _matrix(rows: int | None, dims: int) -> dict[str, Any]:
    return {"dims": dims, "storage": "NdArray", "rows": rows, "dtype": "float32"}


def _described(part: "Vocab | Storage | Norms | Metadata | TrainingState | None") -> dict[str, Any]:
    from ffjax import Metadata, Norms, Storage, TrainingState, Vocab

    if isinstance(part, Vocab):
        return _vocab(part)
    if isinstance(part, Storage):
        return _storage(part)
    if isinstance(part, Norms):
        return {"norms": len(part)}
    if isinstance(part, TrainingState):
        output = None if part.output is None else part.output.shape[0]
        return {"tokens": part.n_tokens, "labels": len(part.labels), "output_rows": output}
    return {"metadata": list(part)} if isinstance(part, Metadata) else {}


def _vocab(vocab: "Vocab") -> dict[str, Any]:
    from ffjax import ExplicitVocab, FloretVocab, SubwordVocab

    facts: dict[str, Any] = {"vocabulary": type(vocab).__name__, "words": len(vocab)}
    if vocab.n_word_rows != len(vocab):
        facts["word_rows"] = vocab.n_word_rows
    if isinstance(vocab, SubwordVocab):
        indexer = vocab.subword_indexer
        facts["ngram_lengths"] = f"{vocab.min_n} to {vocab.max_n}"
        if isinstance(vocab, ExplicitVocab):
            facts["ngrams"] = len(indexer.ngrams)
        if isinstance(vocab, FloretVocab):
            facts["hashes"] = indexer.n_hashes
        facts["ngram_rows" if isinstance(vocab, ExplicitVocab) else "buckets"] = indexer.upper_bound
    return facts


def _storage(storage: "Storage") -> dict[str, Any]:
    from ffjax import Int8Array, QuantizedArray

    rows, dims = storage.shape
    facts: dict[str, Any] = {"dims": dims, "storage": type(storage).__name__, "rows": rows}
    if isinstance(storage, QuantizedArray):
        facts["codes_per_row"] = storage.quantized_len
        facts["centroids"] = storage.quantizer.n_centroids
        facts["rotated"] = storage.projection is not None
        facts["row_norms"] = storage.norms is not None
    else:
        held = storage.codes if isinstance(storage, Int8Array) else storage
        facts["dtype"] = str(held.dtype)  # type: ignore[attr-defined]
    return facts


def _parts(file: str) -> tuple[list[Any], list[str]]:
    """The chunks of a finalfusion file, whichever they are, and their names in the order of the file."""
    from ffjax.errors import FinalfusionFormatError
    from ffjax.formats.finalfusion import load_metadata, load_norms, load_storage, load_vocab
    from ffjax.formats.finalfusion.header import MAGIC, STORAGES, VOCABS, ChunkId
    from ffjax.formats.finalfusion.reader import find_chunks
    from ffjax.formats.io.streams import open_source

    with open_source(file, magic=MAGIC, error=FinalfusionFormatError) as source:
        chunks = [identifier for identifier, _, _ in find_chunks(source)]
    found: list[Any] = []
    if not set(VOCABS).isdisjoint(chunks):
        found.append(load_vocab(file))
    if not set(STORAGES).isdisjoint(chunks):
        found.append(load_storage(file, mmap=True))
    found += [load_norms(file)] if ChunkId.NdNorms in chunks else []
    found += [load_metadata(file)] if ChunkId.Metadata in chunks else []
    return found, [chunk.name for chunk in chunks]
