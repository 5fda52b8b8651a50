"""Vocabularies: from words to the rows of a storage. Imports `strings` and `kernels`."""

from ffjax.vocab.base import Vocab as Vocab
from ffjax.vocab.rows import Rows as Rows
from ffjax.vocab.simple import SimpleVocab as SimpleVocab
from ffjax.vocab.subword import ExplicitVocab as ExplicitVocab
from ffjax.vocab.subword import FastTextVocab as FastTextVocab
from ffjax.vocab.subword import FinalfusionBucketVocab as FinalfusionBucketVocab
from ffjax.vocab.subword import FloretVocab as FloretVocab
from ffjax.vocab.subword import SubwordVocab as SubwordVocab
