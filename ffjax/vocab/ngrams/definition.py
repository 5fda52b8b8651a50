"""N-grams of words: stretches of `min_n` to `max_n` characters, by start, longest first."""

import operator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Int32, UInt8

from ffjax._internal.arrays import AnyArray
from ffjax.kernels.compaction import left_pack
from ffjax.kernels.utf8 import CODE_POINTS, byte_planes, later, offsets, pull, starts_of


def ngrams(word: str, min_n: int = 3, max_n: int = 6, bracket: bool = True) -> list[str]:
    """The n-grams of a word, by start, longest first.

    Args:
        word: the word.
        min_n: the length of the shortest n-grams, in characters (code points).
        max_n: the length of the longest.
        bracket: whether to put `<` and `>` around the word first.

    Returns:
        The n-grams; none if the word is shorter than `min_n`, its brackets counted.

    Raises:
        TypeError: `word` is no `str`, or a length is not a whole number.
        ValueError: not `1 <= min_n <= max_n`.

    Examples:
        >>> import ffjax
        >>> ffjax.ngrams("tea", 3, 4)
        ['<tea', '<te', 'tea>', 'tea', 'ea>']
    """
    check_word(word)
    min_n, max_n = check_range(min_n, max_n)
    if bracket:
        word = f"<{word}>"
    return [word[start:end] for start, end in bounds(len(word), min_n, max_n).tolist()]


def bounds(length: int, min_n: int, max_n: int) -> np.ndarray:
    """Where the n-grams of a word of `length` characters start and end, int64 `[n_ngrams, 2]`."""
    top = min(max_n, length)
    if top < min_n:
        return np.zeros((0, 2), np.int64)
    start, n = np.meshgrid(np.arange(length - min_n + 1), np.arange(top, min_n - 1, -1), indexing="ij")
    pairs = np.stack([start, start + n], -1).reshape(-1, 2)
    return pairs[pairs[:, 1] <= length]


def check_range(min_n: Any, max_n: Any) -> tuple[int, int]:
    """The n-gram range as two `int`.

    Raises:
        TypeError: a length is not a whole number.
        ValueError: not `1 <= min_n <= max_n`, or more than 32 bits.
    """
    least, most = whole_number("min_n", min_n), whole_number("max_n", max_n)
    if not 1 <= least <= most < 2**32:
        raise ValueError(
            f"`min_n`, `max_n`: expected 1 <= min_n <= max_n < 2**32, got min_n={least} and max_n={most}. "
            "N-grams have at least one character, and the longest are not shorter than the shortest."
        )
    return least, most


def whole_number(name: str, value: Any) -> int:
    """A number as `int`; NumPy's whole numbers are taken, fractions and `bool` are not."""
    if not isinstance(value, (bool, np.bool_)):
        try:
            return operator.index(value)
        except TypeError:
            pass
    raise TypeError(f"`{name}`: expected a whole number, got {type(value).__name__} {value!r}.")


def check_word(word: object) -> None:
    """Refuses what is no `str`."""
    if not isinstance(word, str):
        raise TypeError(f"`word`: expected a str to take n-grams of, got {type(word).__name__} {word!r}.")


@partial(jax.jit, static_argnames=("min_n", "max_n", "bow", "eow"))
def ngram_windows(
    data: UInt8[AnyArray, "batch width"],
    lengths: Int32[AnyArray, " batch"],
    min_n: int,
    max_n: int,
    *,
    bow: bytes = b"<",
    eow: bytes = b">",
) -> tuple[UInt8[Array, "batch slots window"], Int32[Array, "batch slots"]]:
    """The bytes of each n-gram of each packed word, to look them up in a table.

    Slots are in the order of `ngrams`, packed to the left. In words that are not valid UTF-8, each byte outside of a
    valid sequence is a character, as in the `str` that `unpack` gives.

    Args:
        data: the words' bytes, uint8 `[batch, width]`.
        lengths: bytes in each word, int32 `[batch]`; negative for rows that hold no word.
        min_n: the length of the shortest n-grams, in characters.
        max_n: the length of the longest.
        bow: bytes to put before each word.
        eow: bytes to put behind each word.

    Returns:
        `(windows, sizes)`: uint8 `[batch, slots, window]` with zeros behind each n-gram, and int32 `[batch, slots]`
        bytes in each, -1 in slots behind a word's last n-gram.
    """
    planes, totals = byte_planes(jnp.asarray(data), jnp.asarray(lengths), bow, eow)
    positions, batch = planes.shape
    top = min(max_n, positions)
    if top < min_n:
        return jnp.zeros((batch, 0, 4), jnp.uint8), jnp.zeros((batch, 0), jnp.int32)
    starts = starts_of(planes, totals, CODE_POINTS)
    counts = starts.sum(0, dtype=jnp.int32)
    edges = offsets(starts, totals, top)
    n_starts = positions - min_n + 1
    sizes = jnp.stack([edges[n : n + n_starts] - edges[:n_starts] for n in range(top, min_n - 1, -1)])
    sizes, n_ngrams = left_pack(sizes, counts, min_n)

    # Four bytes at a time, from each character on; an n-gram's first bytes are those of its start.
    quads = planes
    for k in (1, 2, 3):
        quads = quads | later(planes, k) << np.uint32(8 * k)
    n_words = -(-min(4 * top, positions) // 4)
    words = pull(jnp.stack([later(quads, 4 * k) for k in range(n_words)]), starts)
    words = words[:, :n_starts]
    spread = top - min_n + 1
    packed = []
    for k in range(n_words):
        word, _ = left_pack(jnp.broadcast_to(words[k], (spread, *words[k].shape)), counts, min_n)
        used = jnp.clip(sizes - 4 * k, 0, 4)
        kept = jnp.where(used == 4, word, word & ((np.uint32(1) << (8 * used).astype(jnp.uint32)) - np.uint32(1)))
        packed.append(kept)
    windows = lax.bitcast_convert_type(jnp.stack(packed, -1), jnp.uint8)  # [slots, batch, words, 4], little endian
    slots = sizes.shape[0]
    windows = windows.reshape(slots, batch, 4 * n_words).swapaxes(0, 1)
    held = lax.broadcasted_iota(jnp.int32, (slots, batch), 0) < n_ngrams[None]
    return windows, jnp.where(held, sizes, -1).T
