"""The n-grams of one very long word, some thousands of characters at a time, so that their lists stay small.

    piece     characters [begin, begin + PIECE + max_n - 1)    all n-grams that start in its first PIECE characters
    overlap   its last max_n - 1 characters                    their own n-grams belong to the next piece

Ids come in the order of the n-grams' starts, so those of the overlap are the last ids of a piece: as many as the
overlap by itself has. That is so for every indexer, those that leave n-grams out included.
"""

from collections.abc import Callable, Iterator

import numpy as np

# Characters of a piece. N-grams of a word of fewer are found at once.
PIECE = 1 << 13


def id_pieces(
    ids: Callable[[str], np.ndarray], cut: Callable[[int, int], str], total: int, max_n: int
) -> Iterator[np.ndarray]:
    """The ids of a long text's n-grams, in order, in pieces.

    Args:
        ids: gives those of the n-grams of a short text, ordered by where they start.
        cut: gives the characters from one number to before another.
        total: how many characters there are.
        max_n: the length of the longest n-grams.

    Yields:
        Ids of the n-grams that start in so many characters that their number is bounded.

    Example:
        >>> starts = lambda text: np.array([ord(c) for c in text[:-1]], np.int64)  # n-grams of two characters
        >>> text = "ab" * PIECE + "c"
        >>> found = list(id_pieces(starts, lambda a, b: text[a:b], len(text), 2))
        >>> [len(piece) for piece in found], np.array_equal(np.concatenate(found), starts(text))
        ([8192, 8192], True)
    """
    overlap = max_n - 1
    # A piece is no shorter than what it shares with the next, or the text would be read many times over.
    step = max(PIECE, overlap)
    begin = 0
    while total - begin >= 2 * step:
        end = begin + step
        found = ids(cut(begin, end + overlap))
        shared = len(ids(cut(end, end + overlap)))
        yield found[: len(found) - shared]
        begin = end
    yield ids(cut(begin, total))


def without_edges(pieces: Iterator[np.ndarray], first: int, each: int) -> Iterator[np.ndarray]:
    """Takes the one-character n-grams at both ends of a text out of its pieces.

    Args:
        pieces: ids of all n-grams, `min_n` being 1.
        first: how many n-grams start at the first character; the shortest is the last of them.
        each: ids of an n-gram.
    """
    held = next(pieces)
    held = np.delete(held, slice((first - 1) * each, first * each))
    for piece in pieces:
        yield held
        held = piece
    yield held[: len(held) - each]
