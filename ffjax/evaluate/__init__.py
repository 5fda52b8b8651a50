"""Benchmarks of embeddings: questions of analogies, and the similarity of pairs of words as people judge it."""

from ffjax.evaluate.pairs import PairsResult, similarity
from ffjax.evaluate.questions import AnalogyAnswer, AnalogyResult, AnalogySection, analogies

__all__ = ["AnalogyAnswer", "AnalogyResult", "AnalogySection", "PairsResult", "analogies", "similarity"]
