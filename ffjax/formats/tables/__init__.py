"""Tables of words and vectors: NumPy's files, safetensors, Parquet and Arrow.

A reader finds the words and the vectors by their types and names, and yields them in blocks.
"""
