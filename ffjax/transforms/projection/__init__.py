"""Vectors in two dimensions: UMAP, t-SNE or principal components, for pictures."""

from ffjax.transforms.projection.plane import METHODS as METHODS
from ffjax.transforms.projection.plane import Neighbors as Neighbors
from ffjax.transforms.projection.plane import nearest_words as nearest_words
from ffjax.transforms.projection.plane import plane as plane
