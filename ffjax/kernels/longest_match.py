"""Runs of text to the tokens of a vocabulary, the longest first, many runs at a time in NumPy.

The tokens are in a trie of bytes, whose nodes are numbered level by level, so that the children of
a node have numbers in a row, by their bytes. A node has 256 bits for the bytes that go on from it,
in four numbers; a child's number is that of the first child of these 64 bytes, and as many more as
there are bits below the child's.
"""

from typing import NamedTuple

import numpy as np

from ffjax.kernels.ragged import Ragged

_ONE = np.uint64(1)


class Trie(NamedTuple):
    """Tokens that begin a run of text, below node 0, and those that go on in it, below node 1.

    Attributes:
        bits: the bytes that go on from each node, uint64 `[4 * n_nodes]`.
        children: the first child of each node for these bytes, int32 `[4 * n_nodes]`.
        tokens: the number of the token that ends at each node, -1 for none, int32 `[n_nodes]`.
    """

    bits: np.ndarray
    children: np.ndarray
    tokens: np.ndarray

    @classmethod
    def build(cls, first: dict[bytes, int], rest: dict[bytes, int]) -> "Trie":
        """Makes a trie of the numbers of tokens, none of which is empty."""
        texts = [*first, *rest]
        data = np.frombuffer(b"".join(texts), np.uint8)
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        starts = np.cumsum(lengths) - lengths
        nodes = np.repeat([0, 1], [len(first), len(rest)])
        edges, n_nodes = [np.zeros(0, np.int64)], 2
        for level in range(int(lengths.max(initial=0))):
            longer = np.flatnonzero(lengths > level)
            keys = nodes[longer] << 8 | data[starts[longer] + level]
            keys, index = np.unique(keys, return_inverse=True)
            nodes[longer] = n_nodes + index
            n_nodes += len(keys)
            edges.append(keys)
        tokens = np.full(n_nodes, -1, np.int32)
        tokens[nodes] = [*first.values(), *rest.values()]

        keys = np.concatenate(edges)
        firsts = np.flatnonzero(np.diff(keys >> 6, prepend=-1))
        slots = keys[firsts] >> 6
        bits, children = np.zeros(4 * n_nodes, np.uint64), np.zeros(4 * n_nodes, np.int32)
        if firsts.size:
            bits[slots] = np.bitwise_or.reduceat(_ONE << (keys & 63).astype(np.uint64), firsts)
            children[slots] = 2 + firsts
        return cls(bits, children, tokens)

    def longest_first(self, data: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> Ragged:
        """The tokens of each run of bytes; none if tokens cannot make it up.

        A byte that is in no token must follow each run.

        Examples:
            >>> trie = Trie.build({b"a": 0, b"tea": 1}, {b"m": 2, b"s": 3})
            >>> data = np.frombuffer(b"teams ab ", np.uint8)
            >>> tokens = trie.longest_first(data, np.array([0, 6]), np.array([5, 8]))
            >>> tokens.values.tolist(), tokens.counts.tolist()
            ([1, 2, 3], [3, 0])
        """
        n = len(starts)
        runs, at, nodes = np.arange(n), starts, np.zeros(n, np.int64)
        best, best_ends = np.full(n, -1, np.int32), starts
        failed = np.zeros(n, bool)
        of_runs, tokens = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
        while runs.size:
            byte = data[at]
            slots = nodes * 4 + (byte >> 6)
            bits, bit = self.bits[slots], _ONE << (byte & 63).astype(np.uint64)
            goes_on = (bits & bit) != 0
            nodes = self.children[slots] + np.bitwise_count(bits & (bit - _ONE))
            at = at + 1
            ending = np.where(goes_on, self.tokens[np.where(goes_on, nodes, 0)], -1)
            longer = ending >= 0
            best, best_ends = np.where(longer, ending, best), np.where(longer, at, best_ends)

            stops = np.flatnonzero(~goes_on)
            failed[runs[stops[best[stops] < 0]]] = True
            matched = stops[best[stops] >= 0]
            of_runs.append(runs[matched])
            tokens.append(best[matched])
            at[matched], nodes[matched], best[matched] = best_ends[matched], 1, -1
            goes_on[matched] = best_ends[matched] < ends[runs[matched]]
            runs, at, nodes = runs[goes_on], at[goes_on], nodes[goes_on]
            best, best_ends = best[goes_on], best_ends[goes_on]
        of_runs, tokens = np.concatenate(of_runs), np.concatenate(tokens)
        order = np.argsort(of_runs, kind="stable")
        order = order[~failed[of_runs[order]]]
        return Ragged.of(tokens[order], np.bincount(of_runs[order], minlength=n))
