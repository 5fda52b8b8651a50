"""The first words of embeddings that have been read, with all of their n-grams."""

import numpy as np

from ffjax.embeddings.value import Embeddings
from ffjax.transforms.select import take_words
from ffjax.vocab import FloretVocab


def first_words(embeddings: Embeddings, limit: int | None) -> Embeddings:
    """Embeddings with the first `limit` words and all n-grams; as they are if they have no more.

    Args:
        embeddings: embeddings from a finalfusion file.
        limit: how many words, or `None` for all.

    Raises:
        ValueError: they have n-grams and no words.
    """
    vocab = embeddings.vocab
    if limit is None or limit >= len(vocab) > 0:
        return embeddings
    if isinstance(vocab, FloretVocab):
        raise ValueError(f"`limit`: expected None for floret embeddings, which have no words, got {limit}.")
    return take_words(embeddings, np.arange(min(limit, len(vocab))))
