"""Bytes of files: streams, compression, archives, and cursors over files in place.

Imports `_internal` and `errors` only: nothing here knows words or vectors.
"""
