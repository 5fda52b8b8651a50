"""Text embeddings: reading and writing lines of a word and its values.

Imports `formats/io` and `formats/rows`; the modules that parse and format numbers know NumPy only.
"""
