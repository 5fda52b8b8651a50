"""N-grams of words, and the indexers that give each its row."""

from ffjax.subword.explicit import ExplicitIndexer
from ffjax.subword.indexers import FastTextIndexer, FinalfusionHashIndexer, FloretIndexer
from ffjax.subword.ngrams import ngrams
from ffjax.subword.pruned import PrunedIndexer

__all__ = ["ExplicitIndexer", "FastTextIndexer", "FinalfusionHashIndexer", "FloretIndexer", "PrunedIndexer", "ngrams"]
