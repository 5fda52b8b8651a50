"""Indexers that hash n-grams into buckets: finalfusion's, fastText's and floret's.

Each is a small frozen value; two that are equal share compiled programs. On the host it takes one `str`
(`indexer(ngram)`, `subword_indices`), on a device packed words (`bucket_ids`, `indices`), a whole batch in one
compiled program of 32-bit arithmetic. Both number buckets from 0; a vocabulary adds the number of its words' rows.

Words that are not valid UTF-8 have a `str` too, in which lone surrogates stand for the bytes (PEP 383; `ffjax.pack`
and `unpack` use them), and host and device agree on them: finalfusion's hash takes each such byte for a character of
its own, fastText's and floret's step through the bytes as those programs do.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ffjax.kernels.fnv import FastTextLanes, FinalfusionLanes, fasttext_hash, length_state
from ffjax.kernels.murmur3 import murmur3_pieces
from ffjax.kernels.ngram_hashes import fasttext_ids, finalfusion_ids, floret_ids
from ffjax.vocab.ngrams.base import HashIndexer
from ffjax.vocab.ngrams.chunked import id_pieces, without_edges
from ffjax.vocab.ngrams.definition import check_range, check_word, whole_number

# What fastText puts at the end of a line, with markers.
_EOS = b"<</s>>"

# N-grams of more bytes (invalid UTF-8 has them) are hashed one by one: lanes would take the square of the length.
_LONGEST_LANES = 64


@dataclass(frozen=True, repr=False)
class FinalfusionHashIndexer(HashIndexer):
    """Hashes n-grams into `2**buckets_exp` buckets with 64-bit FNV-1a, as finalfusion does.

    Args:
        buckets_exp: the number of buckets as an exponent of two, 1 to 63; on a device at most 31.
        min_n: the length of the shortest n-grams, in characters.
        max_n: the length of the longest.

    Raises:
        TypeError: an argument is not a whole number.
        ValueError: an argument is out of range.

    Examples:
        >>> import ffjax
        >>> indexer = ffjax.FinalfusionHashIndexer(buckets_exp=10)
        >>> indexer.subword_indices("tea")
        [930, 861, 955, 31, 6, 524]
        >>> indexer("tea"), indexer.upper_bound
        (6, 1024)
    """

    buckets_exp: int = 21
    min_n: int = 3
    max_n: int = 6

    def __post_init__(self) -> None:
        _set_range(self)
        _set(self, "buckets_exp", 1, 63, "Buckets are numbered in 64 bits.")

    @property
    def upper_bound(self) -> int:
        """The number of buckets."""
        return 1 << self.buckets_exp

    def __call__(self, ngram: str) -> int:
        """The bucket of an n-gram of any length.

        Raises:
            TypeError: `ngram` is no `str`.
        """
        check_word(ngram)
        if not ngram:
            return length_state(0) % self.upper_bound
        return int(self._lanes.hashes(ngram, len(ngram), len(ngram))[0])

    def __repr__(self) -> str:
        return f"FinalfusionHashIndexer(buckets_exp={self.buckets_exp}, min_n={self.min_n}, max_n={self.max_n})"

    def _hash(self, text: str) -> np.ndarray:
        if len(text) < self.min_n:
            return np.zeros(0, np.uint64)
        hashes = self._lanes.hashes(text, self.min_n, min(self.max_n, len(text)))
        return hashes.take(self._order(len(text)).places)

    def _hash_pieces(self, text: str) -> Iterator[np.ndarray]:
        return id_pieces(self._hash, lambda begin, end: text[begin:end], len(text), self.max_n)

    def _names(self, text: str) -> list[str]:
        starts, ends, _ = self._order(len(text))
        return [text[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]

    def _hash_planes(self, planes: Array, totals: Array) -> tuple[Array, Array]:
        return finalfusion_ids(planes, totals, self.min_n, self.max_n, self.buckets_exp)

    @property
    def _skips_edges(self) -> bool:
        return False

    @cached_property
    def _lanes(self) -> FinalfusionLanes:
        return FinalfusionLanes(self.buckets_exp, self.max_n)


@jax.tree_util.register_static  # so that a vocabulary may hold it in the place of one with arrays
@dataclass(frozen=True, repr=False)
class FastTextIndexer(HashIndexer):
    """Hashes n-grams into any number of buckets with fastText's 32-bit hash.

    fastText leaves out n-grams of one character at either end of `<word>`, that is, the brackets by themselves;
    finalfusion-python does not. The two differ if `min_n` is 1, and `skip_edge_unigrams` chooses. To fastText `</s>`,
    the end of a line, is no word but a sign; `bare_eos` chooses that.

    Args:
        n_buckets: the number of buckets, 1 to `2**32 - 1`; on a device at most `2**31`.
        min_n: the length of the shortest n-grams, in characters. A 0 in a fastText file means 1.
        max_n: the length of the longest.
        skip_edge_unigrams: whether to leave out one-character n-grams at either end, as fastText does.
        bare_eos: whether `</s>` has no n-grams, as in fastText.

    Raises:
        TypeError: an argument is not a whole number.
        ValueError: an argument is out of range.

    Examples:
        >>> import ffjax
        >>> indexer = ffjax.FastTextIndexer(n_buckets=1000)
        >>> indexer.subword_indices("tea")
        [191, 59, 8, 757, 337, 895]
        >>> ffjax.FastTextIndexer(1000, 1, 2, skip_edge_unigrams=True).subword_indices("a", with_ngrams=True)
        [('<a', 750), ('a>', 806), ('a', 220)]
    """

    n_buckets: int = 2_000_000
    min_n: int = 3
    max_n: int = 6
    skip_edge_unigrams: bool = False
    bare_eos: bool = False

    def __post_init__(self) -> None:
        _set_range(self)
        _set(self, "n_buckets", 1, 2**32 - 1, "Hashes have 32 bits.")
        _set_flag(self, "skip_edge_unigrams")
        _set_flag(self, "bare_eos")

    @property
    def upper_bound(self) -> int:
        """The number of buckets."""
        return self.n_buckets

    def __call__(self, ngram: str) -> int:
        """The bucket of an n-gram of any length.

        Raises:
            TypeError: `ngram` is no `str`.
            ValueError: UTF-8 cannot hold the n-gram.
        """
        check_word(ngram)
        return fasttext_hash(_encoded(ngram)) % self.n_buckets

    def __repr__(self) -> str:
        flags = "".join(f", {name}=True" for name in ("skip_edge_unigrams", "bare_eos") if getattr(self, name))
        return f"FastTextIndexer(n_buckets={self.n_buckets}, min_n={self.min_n}, max_n={self.max_n}{flags})"

    def _hash(self, text: str) -> np.ndarray:
        raw = _encoded(text)
        if self.bare_eos and raw == _EOS:
            return np.zeros(0, np.uint64)
        if raw.isascii():
            if len(raw) < self.min_n:
                return np.zeros(0, np.uint64)
            hashes = self._lanes.hashes(raw, self.min_n, min(self.max_n, len(raw)))
            return hashes.take(self._order(len(raw)).places) % self._modulus
        edges = _edges(raw)
        starts, ends, _ = self._order(len(edges) - 1)
        if not len(starts):
            return np.zeros(0, np.uint64)
        starts, ends = edges[starts], edges[ends]
        sizes = ends - starts
        longest = int(sizes.max())
        if longest > _LONGEST_LANES:
            pieces = zip(starts.tolist(), ends.tolist(), strict=True)
            hashes = np.array([fasttext_hash(raw[start:end]) for start, end in pieces], np.uint64)
        else:
            hashes = self._lanes.hashes(raw, 1, longest).take((longest - sizes) * len(raw) + starts)
        return hashes % self._modulus

    def _hash_pieces(self, text: str) -> Iterator[np.ndarray]:
        # Pieces are no words: nothing is left out at their ends.
        plain = replace(self, skip_edge_unigrams=False, bare_eos=False)
        return _long_pieces(self, plain._hash, _encoded(text), 1)

    def _names(self, text: str) -> list[str]:
        raw = _encoded(text)
        if self.bare_eos and raw == _EOS:
            return []
        return [piece.decode("utf-8", "surrogateescape") for piece in _pieces(self, raw)]

    def _hash_planes(self, planes: Array, totals: Array) -> tuple[Array, Array]:
        ids, counts = fasttext_ids(planes, totals, self.min_n, self.max_n, self.n_buckets, self.skip_edge_unigrams)
        if self.bare_eos and planes.shape[0] >= len(_EOS):
            mark = np.frombuffer(_EOS, np.uint8).astype(np.uint32)[:, None]
            eos = (totals == len(_EOS)) & (planes[: len(_EOS)] == mark).all(0)
            ids, counts = jnp.where(eos[None], np.uint32(0), ids), jnp.where(eos, 0, counts)
        return ids, counts

    @property
    def _skips_edges(self) -> bool:
        return self.skip_edge_unigrams

    @cached_property
    def _lanes(self) -> FastTextLanes:
        return FastTextLanes()

    @cached_property
    def _modulus(self) -> np.uint64:
        return np.uint64(self.n_buckets)


@dataclass(frozen=True)
class FloretIndexer(HashIndexer):
    """Hashes a word and each of its n-grams with MurmurHash3 x64 128 into one to four buckets, as floret does.

    The buckets of the marked word come first, then those of its n-grams, `n_hashes` of each.

    floret leaves out n-grams of one character at either end of the marked word; spaCy, which reads floret's tables,
    and finalfusion's Rust code do not. They differ if `min_n` is 1, and `skip_edge_unigrams` chooses.

    Args:
        n_buckets: the number of buckets, 1 to `2**32 - 1`; on a device at most `2**31`.
        min_n: the length of the shortest n-grams, in characters.
        max_n: the length of the longest.
        n_hashes: how many 32-bit quarters of the hash are used, 1 to 4.
        seed: the seed of the hash, 0 to `2**32 - 1`; floret's own by default.
        skip_edge_unigrams: whether to leave out one-character n-grams at either end, as floret does.

    Raises:
        TypeError: an argument is not a whole number.
        ValueError: an argument is out of range.

    Examples:
        >>> import ffjax
        >>> indexer = ffjax.FloretIndexer(n_buckets=1000, min_n=4, max_n=4, n_hashes=2)
        >>> indexer.subword_indices("tea", with_ngrams=True)[:4]
        [('<tea>', 865), ('<tea>', 214), ('<tea', 646), ('<tea', 351)]
    """

    n_buckets: int = 2_000_000
    min_n: int = 3
    max_n: int = 6
    n_hashes: int = 1
    seed: int = 2166136261
    skip_edge_unigrams: bool = True

    def __post_init__(self) -> None:
        _set_range(self)
        _set(self, "n_buckets", 1, 2**32 - 1, "Hashes have 32 bits.")
        _set(self, "n_hashes", 1, 4, "A hash of 128 bits has four quarters.")
        _set(self, "seed", 0, 2**32 - 1, "The seed has 32 bits.")
        _set_flag(self, "skip_edge_unigrams")

    @property
    def upper_bound(self) -> int:
        """The number of buckets."""
        return self.n_buckets

    def __call__(self, ngram: str) -> list[int]:
        """The `n_hashes` buckets of an n-gram, or of a marked word.

        Raises:
            TypeError: `ngram` is no `str`.
            ValueError: UTF-8 cannot hold the n-gram.
        """
        check_word(ngram)
        return self._buckets([_encoded(ngram)]).tolist()

    def _hash(self, text: str) -> np.ndarray:
        raw = _encoded(text)
        return self._buckets([raw, *_pieces(self, raw)])

    def _hash_pieces(self, text: str) -> Iterator[np.ndarray]:
        raw = _encoded(text)
        plain = replace(self, skip_edge_unigrams=False)
        yield self._buckets([raw])
        # The buckets of a piece as a word come before those of its n-grams.
        yield from _long_pieces(self, lambda piece: plain._hash(piece)[self.n_hashes :], raw, self.n_hashes)

    def _names(self, text: str) -> list[str]:
        raw = _encoded(text)
        pieces = [raw, *_pieces(self, raw)]
        return [piece.decode("utf-8", "surrogateescape") for piece in pieces for _ in range(self.n_hashes)]

    def _hash_planes(self, planes: Array, totals: Array) -> tuple[Array, Array]:
        return floret_ids(
            planes, totals, self.min_n, self.max_n, self.n_buckets, self.n_hashes, self.seed, self.skip_edge_unigrams
        )

    def _buckets(self, pieces: list[bytes]) -> np.ndarray:
        hashes = murmur3_pieces(pieces, self.seed)[:, : self.n_hashes].reshape(-1)
        return hashes.astype(np.uint64) % np.uint64(self.n_buckets)

    @property
    def _skips_edges(self) -> bool:
        return self.skip_edge_unigrams


def _edges(raw: bytes) -> np.ndarray:
    """Where each character starts, and where the last ends: at bytes that are no continuation bytes."""
    return np.flatnonzero(np.frombuffer(raw + b"\0", np.int8) > -65)


def _pieces(indexer: HashIndexer, raw: bytes) -> list[bytes]:
    """The bytes of each n-gram."""
    edges = _edges(raw)
    starts, ends, _ = indexer._order(len(edges) - 1)
    pairs = zip(edges[starts].tolist(), edges[ends].tolist(), strict=True)
    return [raw[start:end] for start, end in pairs]


def _long_pieces(indexer: HashIndexer, ids: Callable[[str], np.ndarray], raw: bytes, each: int) -> Iterator[np.ndarray]:
    """The ids of the n-grams of a long word, where characters start at bytes that are no continuation bytes."""
    edges = _edges(raw)
    total = len(edges) - 1

    def cut(begin: int, end: int) -> str:
        return raw[edges[begin] : edges[end]].decode("utf-8", "surrogateescape")

    pieces = id_pieces(ids, cut, total, indexer.max_n)
    skips = indexer._skips_edges and indexer.min_n == 1
    return without_edges(pieces, min(indexer.max_n, total), each) if skips else pieces


def _encoded(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise ValueError(f"`word`: expected text that UTF-8 can hold, got {text!r} ({error.reason}).") from error


def _set_range(indexer: Any) -> None:
    for name, value in zip(("min_n", "max_n"), check_range(indexer.min_n, indexer.max_n), strict=True):
        object.__setattr__(indexer, name, value)


def _set(indexer: Any, name: str, least: int, most: int, why: str) -> None:
    value = whole_number(name, getattr(indexer, name))
    if not least <= value <= most:
        raise ValueError(f"`{name}`: expected {least} to {most}, got {value}. {why}")
    object.__setattr__(indexer, name, value)


def _set_flag(indexer: Any, name: str) -> None:
    value = getattr(indexer, name)
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"`{name}`: expected True or False, got {type(value).__name__} {value!r}.")
    object.__setattr__(indexer, name, bool(value))
