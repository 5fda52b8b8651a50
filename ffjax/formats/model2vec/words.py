"""Static models of complete words as embeddings."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from ffjax._internal.arrays import release_pages
from ffjax.formats.io.streams import Stream
from ffjax.formats.model2vec.reader import load_static_model
from ffjax.formats.rows.row_blocks import Block, BlockReader, Blocks
from ffjax.strings.string_table import StringTable

_BLOCK_ROWS = 1 << 12


@contextmanager
def read_word_blocks(
    stream: Stream, *, limit: int | None = None, unit: bool = False
) -> Iterator[Blocks]:
    """The words of a static model and their vectors; an error if its tokens are not words."""
    model = load_static_model(stream, mmap=True)
    kind, added, vocab = model.settings.kind, model.settings.added, model.settings.vocab
    if kind != "WordLevel":
        raise stream.error(
            None,
            "word vectors",
            f"a static model with {kind} tokens",
            hint="It embeds texts: use `ffjax.load_static_model(path)`. In Python, "
            "`ffjax.load_static_model(path).embeddings` has its tokens as words.",
        )
    words = [word for word in model.tokens if word not in added][:limit]
    rows, ids = model.token_rows, np.array([vocab[word] for word in words], np.int64)
    reader = BlockReader(stream, len(words), rows.rows.shape[1], unit=unit)

    def blocks() -> Iterator[Block]:
        for start in range(0, len(words), _BLOCK_ROWS):
            block = slice(start, start + _BLOCK_ROWS)
            vectors = np.array(rows.read(ids[block]), np.float32)
            yield Block(StringTable.from_strings(words[block]), vectors, *reader.norms(vectors))
            release_pages(rows.rows)

    yield Blocks(reader.dims, reader.n_rows, blocks(), unit=unit)
