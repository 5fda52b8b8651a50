"""N-grams of words, and the indexers that give each its row."""

from ffjax.vocab.ngrams.definition import ngrams
from ffjax.vocab.ngrams.explicit import ExplicitIndexer
from ffjax.vocab.ngrams.hashed import FastTextIndexer, FinalfusionHashIndexer, FloretIndexer
from ffjax.vocab.ngrams.pruned import PrunedIndexer

__all__ = [
    "ExplicitIndexer",
    "FastTextIndexer",
    "FinalfusionHashIndexer",
    "FloretIndexer",
    "PrunedIndexer",
    "ngrams",
]
