"""What a table holds, by its head; importing this does not import JAX."""

from typing import Any

from ffjax.formats.io.streams import Stream
from ffjax.formats.tables.layout import metadata_in, open_layout, words_beside

_NO_WORDS = "none in the file; name the words with `words=`"


def describe(
    stream: Stream, *, format: str, words: Any = None, vectors: str | None = None
) -> dict[str, Any]:
    """The number of rows, their shape and type, and what lies beside them."""
    with open_layout(stream, format, words, vectors) as layout:
        n_rows = layout.n_rows
        facts = {"vocabulary": "SimpleVocab", "words": n_rows, "storage": "NdArray"}
        facts |= {"rows": n_rows, "dims": layout.dims, "dtype": layout.dtype}
        if layout.norms is not None or not layout.is_exact:
            facts["norms"] = n_rows
        if (metadata := metadata_in(layout, stream.file)) is not None:
            facts["metadata"] = list(metadata)
        if words is None and layout.words is None and not _has_words_beside(stream):
            facts |= {"vocabulary": _NO_WORDS, "words": 0}
        return facts


def _has_words_beside(stream: Stream) -> bool:
    try:
        return bool(words_beside(stream.file))
    except ValueError:  # an error of the format too
        return False
