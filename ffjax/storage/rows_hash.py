"""A hash of rows, which guards files that were made of them."""

import hashlib

from ffjax.storage.base import Storage


def rows_hash(storage: Storage, n_rows: int | None = None) -> "hashlib.blake2b":
    """A hash of the first rows as float32, wherever and however they are stored."""
    n_rows = len(storage) if n_rows is None else n_rows
    digest = hashlib.blake2b(f"{n_rows} x {storage.shape[1]}".encode(), digest_size=32)
    for _, rows in storage.row_blocks(0, n_rows):
        digest.update(rows.astype("<f4", order="C", copy=False).data)
    return digest
