"""Hashed n-grams to explicit ones."""

import numpy as np

from ffjax.storage import NdArray, Storage
from ffjax.vocab import ExplicitVocab, Vocab


def explicit_ngrams(storage: Storage, vocab: Vocab) -> tuple[NdArray, ExplicitVocab]:
    """The rows of words and of the n-grams that they have, and a vocabulary of those n-grams."""
    if not hasattr(vocab, "to_explicit"):
        raise TypeError(
            "`bucket_to_explicit`: expected a FinalfusionBucketVocab or FastTextVocab, "
            f"got {type(vocab).__name__}. Only hashed n-grams can be made explicit."
        )
    explicit, first = vocab.to_explicit(), vocab.n_word_rows  # type: ignore[attr-defined]
    source = np.arange(explicit.upper_bound)
    for ngram, row in explicit.subword_indexer.ngram_index.items():
        bucket = vocab.subword_indexer(ngram)
        if bucket is not None:  # every n-gram of the new table came from a bucket of the old one
            source[first + row] = first + bucket
    return NdArray(storage.read(source)), explicit
