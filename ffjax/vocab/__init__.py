"""Vocabularies: from words to the rows of a storage."""

from ffjax.vocab.base import Vocab as Vocab
from ffjax.vocab.kinds import ExplicitVocab as ExplicitVocab
from ffjax.vocab.kinds import FastTextVocab as FastTextVocab
from ffjax.vocab.kinds import FinalfusionBucketVocab as FinalfusionBucketVocab
from ffjax.vocab.kinds import FloretVocab as FloretVocab
from ffjax.vocab.kinds import SimpleVocab as SimpleVocab
from ffjax.vocab.kinds import SubwordVocab as SubwordVocab
from ffjax.vocab.rows import Rows as Rows
