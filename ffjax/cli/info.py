"""`ffjax info`: what a file holds."""

import os
from typing import TYPE_CHECKING, Any

from ffjax.cli.files import load, reading, shown
from ffjax.cli.options import EmbeddingsFile, Format, InputFormat, Json, Lossy
from ffjax.cli.output import facts

if TYPE_CHECKING:
    from ffjax import Metadata, Norms, Storage, Vocab


def info(embeddings: EmbeddingsFile, format: InputFormat = None, lossy: Lossy = False, json: Json = False) -> None:
    """Show what a file of embeddings holds.

    The matrix is mapped, not read, where the format allows it. Finalfusion
    files that hold a part of embeddings, such as a vocabulary alone, are
    shown too. In a pipe each line is a name and a value with a tab between.

    Examples:
      ffjax info words.fifu
      ffjax info words.fifu --json | jq .words
      ffjax info cc.de.300.bin
    """
    facts(describe(embeddings, format, lossy), as_json=json)


def describe(file: str, format: Format | None = None, lossy: bool = False) -> dict[str, Any]:
    """Names and values that say what a file holds; a value is `None` if the file has nothing of the kind."""
    seen, bare = (format, True) if format is not None else _seen(file)
    if seen == Format.finalfusion and bare and file != "-":
        found, chunks = _parts(file)
    else:
        emb = load(file, format, mmap=True, lossy=lossy)
        found, chunks = [emb.vocab, emb.storage, emb.norms, emb.metadata], None
    described: dict[str, Any] = {"file": shown(file), "bytes": None if file == "-" else os.path.getsize(file)}
    described |= {"format": None if seen is None else seen.value, "chunks": chunks}
    for part in found:
        described |= _described(part)
    return described


def _described(part: "Vocab | Storage | Norms | Metadata | None") -> dict[str, Any]:
    from ffjax import Metadata, Norms, Storage, Vocab

    if isinstance(part, Vocab):
        return _vocab(part)
    if isinstance(part, Storage):
        return _storage(part)
    if isinstance(part, Norms):
        return {"norms": len(part)}
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
    from ffjax import QuantizedArray

    rows, dims = storage.shape
    facts: dict[str, Any] = {"dims": dims, "storage": type(storage).__name__, "rows": rows}
    if isinstance(storage, QuantizedArray):
        facts["codes_per_row"] = storage.quantized_len
        facts["centroids"] = storage.quantizer.n_centroids
        facts["rotated"] = storage.projection is not None
        facts["row_norms"] = storage.norms is not None
    else:
        facts["dtype"] = str(storage.dtype)  # type: ignore[attr-defined]
    return facts


def _seen(file: str) -> tuple[Format | None, bool]:
    """The format of a regular file, and whether it is as it stands, not compressed or in an archive."""
    if not os.path.isfile(file):
        return None, False  # a pipe must not be read twice; what is missing is reported when it is loaded
    from ffjax.formats.detect import detect
    from ffjax.formats.streams import open_stream

    def read(file: str) -> tuple[Format, bool]:
        with open_stream(file) as stream:
            return Format(detect(stream)), not stream.wrapping

    return reading(file, read)


def _parts(file: str) -> tuple[list[Any], list[str]]:
    """The chunks of a finalfusion file, whichever they are, and their names in the order of the file."""
    from ffjax.errors import FinalfusionFormatError
    from ffjax.formats.binary import open_source
    from ffjax.formats.finalfusion import load_metadata, load_norms, load_storage, load_vocab
    from ffjax.formats.finalfusion.header import MAGIC, STORAGES, VOCABS, ChunkId
    from ffjax.formats.finalfusion.reader import find_chunks

    def read(file: str) -> tuple[list[Any], list[str]]:
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

    return reading(file, read)
