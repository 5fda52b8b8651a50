"""Words with their rows in blocks: collected by readers, exported by writers.

Imports `formats/io` and the values that it makes: embeddings, storages, vocabularies.
"""
