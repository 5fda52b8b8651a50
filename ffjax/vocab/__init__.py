"""Vocabularies: from words to the rows of a storage."""

from ffjax.vocab.base import Vocab
from ffjax.vocab.rows import Rows
from ffjax.vocab.simple import SimpleVocab
from ffjax.vocab.subword import (
    ExplicitVocab,
    FastTextVocab,
    FinalfusionBucketVocab,
    FloretVocab,
    SubwordVocab,
)

__all__ = [
    "ExplicitVocab",
    "FastTextVocab",
    "FinalfusionBucketVocab",
    "FloretVocab",
    "Rows",
    "SimpleVocab",
    "SubwordVocab",
    "Vocab",
]
