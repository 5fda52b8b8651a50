"""Benchmarks of embeddings: analogies, and the similarity of pairs of words as people judge it.

May import everything but the command.
"""

from ffjax.evaluate.analogies import AnalogyAnswer, AnalogyResult, AnalogySection, analogies
from ffjax.evaluate.similarity import PairsResult, similarity

__all__ = [
    "AnalogyAnswer", "AnalogyResult", "AnalogySection", "PairsResult",
    "analogies", "similarity",
]
