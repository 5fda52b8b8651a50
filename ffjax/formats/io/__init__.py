"""Bytes of files: streams, compression, archives, and cursors over files in place.

Nothing here reads words or vectors; errors about files of another format come from the registry.
"""
