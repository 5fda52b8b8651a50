"""Static word embeddings as first-class JAX values."""

__version__ = "0.1.0.dev0"
