"""fastText's binary format: `.bin`, and quantized `.ftz`."""

from ffjax.formats.fasttext.reader import load_fasttext, read_embeddings
from ffjax.formats.fasttext.writer import write_fasttext

__all__ = ["load_fasttext", "read_embeddings", "write_fasttext"]
