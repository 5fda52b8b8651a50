"""The parts of embeddings: which fit each other, and parts that are made of others."""

from typing import Any

import numpy as np

from ffjax.metadata import Metadata
from ffjax.norms import Norms
from ffjax.storage import NdArray, Storage
from ffjax.training import Training
from ffjax.vocab import ExplicitVocab, FastTextVocab, FinalfusionBucketVocab, Vocab


def check_parts(storage: Any, vocab: Any, norms: Any, metadata: Any, training: Any) -> None:
    """Refuses parts that don't fit each other.

    Raises:
        TypeError: a part is of another type.
        ValueError: the numbers of rows, norms or counts differ.
    """
    for name, value, kind, optional in (
        ("storage", storage, Storage, False),
        ("vocab", vocab, Vocab, False),
        ("norms", norms, Norms, True),
        ("metadata", metadata, Metadata, True),
        ("training", training, Training, True),
    ):
        if not (isinstance(value, kind) or (optional and value is None)):
            raise TypeError(
                f"`{name}`: expected {kind.__name__}{' or None' if optional else ''}, got {type(value).__name__}."
            )
    if storage.shape[0] != vocab.upper_bound:
        raise ValueError(
            f"`storage`: expected {vocab.upper_bound} rows, one for each that the vocabulary addresses, "
            f"got {storage.shape[0]}."
        )
    if norms is not None and len(norms) != vocab.n_word_rows:
        raise ValueError(f"`norms`: expected {vocab.n_word_rows}, one for each word's row, got {len(norms)}.")
    if training is not None and training.n_words != len(vocab):
        raise ValueError(
            f"`training`: expected counts of {len(vocab)} words, got {training.n_words}. "
            "Leave it out, as in `replace(vocab=..., training=None)`, where the words are others."
        )


def explicit_parts(storage: Storage, vocab: Vocab) -> tuple[NdArray, ExplicitVocab]:
    """The rows of words and of the n-grams that they have, and a vocabulary that holds those n-grams.

    Raises:
        TypeError: the vocabulary has no hashed n-grams.
    """
    if not isinstance(vocab, FastTextVocab | FinalfusionBucketVocab):
        raise TypeError(
            "`bucket_to_explicit`: expected a FinalfusionBucketVocab or FastTextVocab, "
            f"got {type(vocab).__name__}. Only hashed n-grams can be made explicit."
        )
    explicit = vocab.to_explicit()
    indexer, offset = explicit.subword_indexer, vocab.n_word_rows
    source = np.arange(explicit.upper_bound)
    for ngram, row in indexer.ngram_index.items():
        bucket = vocab.subword_indexer(ngram)
        if bucket is not None:  # every n-gram of the new table came from a bucket of the old one
            source[offset + row] = offset + bucket
    return NdArray(storage.embedding(source)), explicit
