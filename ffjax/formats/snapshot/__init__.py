"""Snapshots: any embeddings value, exactly, in msgpack."""
