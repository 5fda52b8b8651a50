"""finalfusion files (`.fifu`): a header, then chunks; one module a chunk."""

from ffjax.formats.finalfusion.reader import (
    load_finalfusion,
    load_metadata,
    load_norms,
    load_storage,
    load_vocab,
    read_embeddings,
)
from ffjax.formats.finalfusion.writer import write_chunks, write_finalfusion

__all__ = [
    "load_finalfusion",
    "load_metadata",
    "load_norms",
    "load_storage",
    "load_vocab",
    "read_embeddings",
    "write_chunks",
    "write_finalfusion",
]
