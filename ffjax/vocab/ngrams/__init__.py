"""N-grams of words, and the indexers that give each its row."""

from ffjax.vocab.ngrams.base import ngrams as ngrams
from ffjax.vocab.ngrams.explicit import ExplicitIndexer as ExplicitIndexer
from ffjax.vocab.ngrams.hashed import FastTextIndexer as FastTextIndexer
from ffjax.vocab.ngrams.hashed import FinalfusionHashIndexer as FinalfusionHashIndexer
from ffjax.vocab.ngrams.hashed import FloretIndexer as FloretIndexer
from ffjax.vocab.ngrams.pruned import PrunedIndexer as PrunedIndexer
