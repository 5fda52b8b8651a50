"""Indexers that hash n-grams into buckets: finalfusion's, fastText's and floret's.

Each is a small frozen value; two that are equal share compiled programs. All number their buckets
from 0; a vocabulary adds the number of its words' rows.

Words that are not valid UTF-8 have a `str` too, in which lone surrogates stand for the bytes
(PEP 383; `ffjax.pack` and `unpack` use them), and host and device agree on them: finalfusion's hash
takes each such byte for a character, fastText's and floret's step through the bytes as those
programs do.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jax import Array

from ffjax._internal.arguments import check_flag, whole_number
from ffjax._internal.pytree import set_fields, static_value
from ffjax.kernels import ngram_hashes as device
from ffjax.kernels import ngrams_numpy as host
from ffjax.kernels.fnv import fasttext_hash, finalfusion_extend, length_state
from ffjax.kernels.murmur3 import murmur3_spans
from ffjax.kernels.ngram_hashes import BYTES, CODE_POINTS, Tile
from ffjax.kernels.ngrams_numpy import Line, Ngrams
from ffjax.strings.codec import encode_word
from ffjax.vocab.ngrams.base import EOS, NgramIndexer, check_ngram, check_range

# The least and the largest value of settings, and why.
_LIMITS = {
    "buckets_exp": (1, 63, "Buckets are numbered in 64 bits."),
    "n_buckets": (1, 2**32 - 1, "Hashes have 32 bits."),
    "n_hashes": (1, 4, "A hash of 128 bits has four quarters."),
    "seed": (0, 2**32 - 1, "The seed has 32 bits."),
}


class HashIndexer(NgramIndexer):
    """An indexer that is nothing but settings, which snapshots keep by name."""

    n_buckets: int

    def __post_init__(self) -> None:
        min_n, max_n = check_range(self.min_n, self.max_n)
        checked: dict[str, Any] = {"min_n": min_n, "max_n": max_n}
        for name, value in vars(self).items():
            if name in ("skip_edge_unigrams", "bare_eos"):
                checked[name] = check_flag(name, value)
            elif name in _LIMITS:
                least, most, why = _LIMITS[name]
                checked[name] = number = whole_number(name, value, None)
                if not least <= number <= most:
                    raise ValueError(f"`{name}`: expected {least} to {most}, got {number}. {why}")
        set_fields(self, **checked)

    @property
    def upper_bound(self) -> int:  # type: ignore[override]
        """The number of buckets."""
        return self.n_buckets

    def to_tree(self) -> dict[str, Any]:
        """What a snapshot keeps."""
        old_names = {"buckets_exp": "bucket_exp"}
        return {old_names.get(name, name): x for name, x in super().to_tree().items()}

    @classmethod
    def from_tree(cls, tree: Any) -> "HashIndexer":
        """The indexer of a tree."""
        names: Any = {"bucket_exp": "buckets_exp"}
        settings = {names.get(name, name): x for name, x in tree.entries.items() if name != "kind"}
        return tree.made(cls, **settings)


@static_value
@dataclass(frozen=True)
class FinalfusionHashIndexer(HashIndexer, kind="FinalfusionHashIndexer"):
    """Hashes n-grams into `2**buckets_exp` buckets with 64-bit FNV-1a, as finalfusion does.

    Args:
        buckets_exp: the number of buckets as an exponent of two, 1 to 63; on a device at most 31.
        min_n: the length of the shortest n-grams, in characters.
        max_n: the length of the longest.

    Raises:
        TypeError: if an argument is not a whole number.
        ValueError: if an argument is out of range.

    Examples:
        >>> import ffjax
        >>> indexer = ffjax.FinalfusionHashIndexer(buckets_exp=10)
        >>> indexer.subword_indices("tea")
        [930, 861, 955, 31, 6, 524]
        >>> indexer("tea"), indexer.upper_bound
        (6, 1024)
    """

    rule = CODE_POINTS

    buckets_exp: int = 21
    min_n: int = 3
    max_n: int = 6

    @property
    def n_buckets(self) -> int:  # type: ignore[override]
        """The number of buckets."""
        return 1 << self.buckets_exp

    def __call__(self, ngram: str) -> int:
        """The bucket of an n-gram of any length."""
        check_ngram(ngram)
        raw = ngram.encode("utf-32-le", "surrogatepass")
        state = np.full(1, length_state(len(ngram)), np.uint64)
        for code in np.frombuffer(raw, np.uint32).astype(np.uint64)[:, None]:
            state = finalfusion_extend(state, code)
        return int(state[0]) % self.upper_bound

    def device_ids(self, tile: Tile) -> Array:
        """The rows of the n-grams at each start of a tile, -1 for none; compiled code."""
        hashes, exist = device.finalfusion_hashes(tile, self.min_n, self.longest(tile.reach))
        buckets = hashes & np.uint32(self.upper_bound - 1)
        return jnp.where(exist, buckets.astype(jnp.int32), -1)

    def host_ids(self, line: Line, ngrams: Ngrams) -> np.ndarray:
        """The rows of n-grams, `n_hashes` of each."""
        return host.finalfusion_hashes(line, ngrams) & np.uint64(self.upper_bound - 1)


@static_value  # so that a vocabulary may hold it in the place of one with arrays
@dataclass(frozen=True, repr=False)
class FastTextIndexer(HashIndexer, kind="FastTextIndexer"):
    """Hashes n-grams into any number of buckets with fastText's 32-bit hash.

    fastText leaves out n-grams of one character at either end of `<word>`, that is, the brackets by
    themselves; finalfusion-python does not. The two differ if `min_n` is 1, and
    `skip_edge_unigrams` chooses. fastText takes `</s>`, the end of a line, for a sign and not a
    word; `bare_eos` chooses that.

    Args:
        n_buckets: the number of buckets, 1 to `2**32 - 1`; on a device at most `2**31`.
        min_n: the length of the shortest n-grams, in characters. A 0 in a fastText file means 1.
        max_n: the length of the longest.
        skip_edge_unigrams: whether to leave out one-character n-grams at either end, as fastText
            does.
        bare_eos: whether `</s>` has no n-grams, as in fastText.

    Raises:
        TypeError: if an argument is not a whole number.
        ValueError: if an argument is out of range.

    Examples:
        >>> import ffjax
        >>> indexer = ffjax.FastTextIndexer(n_buckets=1000)
        >>> indexer.subword_indices("tea")
        [191, 59, 8, 757, 337, 895]
        >>> indexer = ffjax.FastTextIndexer(1000, 1, 2, skip_edge_unigrams=True)
        >>> indexer.subword_indices("a", with_ngrams=True)
        [('<a', 750), ('a>', 806), ('a', 220)]
    """

    rule = BYTES

    n_buckets: int = 2_000_000
    min_n: int = 3
    max_n: int = 6
    skip_edge_unigrams: bool = False
    bare_eos: bool = False

    kept_buckets: ClassVar[None] = None  # of a `PrunedIndexer` those that remain

    @property
    def hashing(self) -> "FastTextIndexer":
        """This indexer; for a `PrunedIndexer`, the one that finds the buckets."""
        return self

    def __call__(self, ngram: str) -> int:
        """The bucket of an n-gram of any length."""
        check_ngram(ngram)
        return fasttext_hash(encode_word(ngram)) % self.n_buckets

    def __repr__(self) -> str:
        flags = [name for name in ("skip_edge_unigrams", "bare_eos") if getattr(self, name)]
        settings = "".join(f", {name}=True" for name in flags)
        lengths = f"min_n={self.min_n}, max_n={self.max_n}"
        return f"FastTextIndexer(n_buckets={self.n_buckets}, {lengths}{settings})"

    def device_ids(self, tile: Tile) -> Array:
        """The rows of the n-grams at each start of a tile, -1 for none; compiled code."""
        hashes, exist = device.fasttext_hashes(tile, self.min_n, self.longest(tile.reach))
        if self.skip_edge_unigrams and self.min_n == 1:
            exist &= ~device.edge_unigrams(tile, exist.shape[1])
        if self.bare_eos and len(tile.bytes) >= len(EOS):
            mark = (tile.bytes[: len(EOS)] == np.array([*EOS], np.uint32)[:, None]).all(0)
            exist &= ~(mark & (tile.remaining == len(EOS)))[None, None]
        return jnp.where(exist, (hashes % np.uint32(self.n_buckets)).astype(jnp.int32), -1)

    def host_ids(self, line: Line, ngrams: Ngrams) -> np.ndarray:
        """The rows of n-grams, `n_hashes` of each."""
        hashes, divisor = host.fasttext_hashes(line, ngrams), np.uint32(self.n_buckets)
        # NumPy divides by one number faster than it takes the remainder.
        return hashes - hashes // divisor * divisor


@static_value
@dataclass(frozen=True)
class FloretIndexer(HashIndexer, kind="FloretIndexer"):
    """Hashes a word and each of its n-grams with MurmurHash3 x64 128, as floret does.

    Each has one to four buckets: those of the marked word come first, then those of its n-grams.

    floret leaves out n-grams of one character at either end of the marked word; spaCy, which reads
    floret's tables, and finalfusion's Rust code do not. They differ if `min_n` is 1, and
    `skip_edge_unigrams` chooses.

    Args:
        n_buckets: the number of buckets, 1 to `2**32 - 1`; on a device at most `2**31`.
        min_n: the length of the shortest n-grams, in characters.
        max_n: the length of the longest.
        n_hashes: how many 32-bit quarters of the hash are used, 1 to 4.
        seed: the seed of the hash, 0 to `2**32 - 1`; floret's own by default.
        skip_edge_unigrams: whether to leave out one-character n-grams at either end, as floret
            does.

    Raises:
        TypeError: if an argument is not a whole number.
        ValueError: if an argument is out of range.

    Examples:
        >>> import ffjax
        >>> indexer = ffjax.FloretIndexer(n_buckets=1000, min_n=4, max_n=4, n_hashes=2)
        >>> indexer.subword_indices("tea", with_ngrams=True)[:4]
        [('<tea>', 865), ('<tea>', 214), ('<tea', 646), ('<tea', 351)]
    """

    rule = BYTES

    n_buckets: int = 2_000_000
    min_n: int = 3
    max_n: int = 6
    n_hashes: int = 1
    seed: int = 2166136261
    skip_edge_unigrams: bool = True

    def __call__(self, ngram: str) -> list[int]:
        """The `n_hashes` buckets of an n-gram, or of a marked word."""
        check_ngram(ngram)
        data = np.frombuffer(encode_word(ngram), np.uint8)
        return self._buckets(data, np.zeros(1, np.int64), np.array([data.size])).tolist()

    def device_ids(self, tile: Tile) -> Array:
        """The rows of the n-grams at each start of a tile, -1 for none; compiled code."""
        settings = self.min_n, self.longest(tile.reach), self.seed
        quarters, exist = device.murmur3_hashes(tile, *settings)
        if self.skip_edge_unigrams and self.min_n == 1:
            exist &= ~device.edge_unigrams(tile, exist.shape[1])
        number = np.arange(self.n_hashes)[None, None, :, None]
        hashes = quarters[0][:, :, None]
        for i in range(1, self.n_hashes):  # XLA doesn't vectorize `stack`
            hashes = jnp.where(number == i, quarters[i][:, :, None], hashes)
        buckets = (hashes % np.uint32(self.n_buckets)).astype(jnp.int32)
        ids = jnp.where(exist[:, :, None], buckets, -1)
        return ids.reshape(tile.n_starts, -1, ids.shape[-1])

    def extra_slots(self) -> int:
        """How many rows the marked word has."""
        return self.n_hashes

    def word_ids(self, data: np.ndarray, splits: np.ndarray) -> np.ndarray:
        """The rows of the marked words, `n_hashes` of each."""
        return self._buckets(data, splits[:-1], np.diff(splits))

    def host_ids(self, line: Line, ngrams: Ngrams) -> np.ndarray:
        """The rows of n-grams, `n_hashes` of each."""
        return self._buckets(line.units, *host.unit_spans(line, ngrams))

    def _buckets(self, data: np.ndarray, begins: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        hashes = murmur3_spans(data, begins, sizes, self.seed)[:, : self.n_hashes].reshape(-1)
        return hashes % np.uint32(self.n_buckets)
