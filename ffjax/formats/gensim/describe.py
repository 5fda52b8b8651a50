"""What a model of gensim holds, without its words and rows."""

from typing import Any

from ffjax.formats.gensim.model import open_model
from ffjax.formats.io.streams import Stream


def describe(stream: Stream) -> dict[str, Any]:
    """The number of words, the shape of the rows, and how n-grams are hashed."""
    with open_model(stream) as model:
        vectors, ngrams = model.vectors(), model.ngrams()
        rows, dims = vectors.shape
        dtype = "float16" if vectors.dtype.itemsize == 2 else "float32"
        facts: dict[str, Any] = {"vocabulary": "SimpleVocab", "words": model.n_words}
        if ngrams is not None:
            facts |= {
                "vocabulary": "FastTextVocab",
                "ngram_lengths": f"{ngrams.min_n} to {ngrams.max_n}",
                "buckets": ngrams.n_buckets,
                "norms": model.n_words,
            }
            rows, dtype = model.n_words + ngrams.rows.shape[0], "float32"
        return facts | {"dims": dims, "storage": "NdArray", "rows": rows, "dtype": dtype}
