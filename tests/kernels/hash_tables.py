"""Hash tables of words, and what they should answer."""

import jax
import numpy as np

from ffjax.kernels.perfect_hash import HashTable, find

find_jit = jax.jit(find)


def blob(words, slack=64):
    """The words in one buffer, with their offsets."""
    data = np.frombuffer(b"".join(words) + bytes(slack), np.uint8)
    return data, np.cumsum([0, *map(len, words)]).astype(np.int32)


def batch(queries, width, fill=b"\0"):
    data = b"".join(query.ljust(width, fill)[:width] for query in queries)
    lengths = np.array([len(query) for query in queries], np.int32)
    return np.frombuffer(data, np.uint8).reshape(len(queries), width), lengths


def find_by_dict(data, offsets, strings, lengths):
    """The same with a `dict`."""
    data, offsets, strings, lengths = map(np.asarray, (data, offsets, strings, lengths))
    bounds = zip(offsets[:-1], offsets[1:], strict=True)
    rows = {data[begin:end].tobytes(): row for row, (begin, end) in enumerate(bounds)}
    found = [
        rows.get(row[:n].tobytes(), -1) if 0 <= n <= row.size else -1
        for row, n in zip(strings, lengths, strict=True)
    ]
    return np.array(found, np.int32)


def check(words, queries, width=16, fill=b"\0", slack=64):
    """Asks for all queries at once, compiled and on the host, and compares with a `dict`."""
    data, offsets = blob(words, slack)
    table = HashTable.build(data, offsets)
    rows = {word: row for row, word in enumerate(words)}
    expected = [rows.get(query, -1) if len(query) <= width else -1 for query in queries]
    strings, lengths = batch(queries, width, fill)
    found = find_jit(table, data, offsets, strings, lengths)
    assert found.dtype == np.int32 and found.tolist() == expected
    return table


def misses(words):
    """Words that are not in the table, most of them nearly."""
    near = [w + b"\0" for w in words] + [w[:-1] for w in words] + [w[1:] for w in words]
    near += [w[:-1] + bytes([w[-1] ^ bit]) for w in words if w for bit in (1, 128)]
    return [w for w in near if w not in set(words)] + [b"", b"\0", b"quite unknown"]
