"""Embeddings to embeddings: fewer or more words, fewer rows or dimensions, smaller rows.

Written against `Storage` and `Vocab`; may import everything below: embeddings, functional, storage,
vocab, strings and kernels.
"""
