"""Device functions: pure, compiled, over values. Imports `storage`, `vocab`, `strings`, `kernels`.

Lookup, out-of-vocabulary words, text, analogies and search. No function here takes a Python string.
"""
