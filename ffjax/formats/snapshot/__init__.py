"""Snapshots: any embeddings value, exactly, in msgpack."""

from ffjax.formats.snapshot.files import from_bytes, load_snapshot, to_bytes, write_snapshot

__all__ = ["from_bytes", "load_snapshot", "to_bytes", "write_snapshot"]
