"""What people hold, on the host: `Embeddings`, with `str` in and NumPy or words out.

Imports functional, storage, vocab, strings, kernels, `_internal` and `errors`.
"""
