"""Vocabularies with subwords: an unknown word is the sum of its n-grams' rows."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int32, UInt8

from ffjax._internal.arrays import AnyArray
from ffjax._internal.pytree import value
from ffjax.kernels.perfect_hash import HashTable
from ffjax.strings.string_table import StringTable
from ffjax.strings.strings import Strings
from ffjax.vocab.base import Vocab, init_words
from ffjax.vocab.ngrams.definition import ngrams
from ffjax.vocab.ngrams.explicit import ExplicitIndexer
from ffjax.vocab.ngrams.hashed import FastTextIndexer, FinalfusionHashIndexer, FloretIndexer
from ffjax.vocab.ngrams.pruned import PrunedIndexer
from ffjax.vocab.rows import Rows

Indexer = FinalfusionHashIndexer | FastTextIndexer | PrunedIndexer | ExplicitIndexer | FloretIndexer


class SubwordVocab(Vocab):
    """What vocabularies with n-grams share: rows `[0, n_word_rows)` are words, the rest n-grams.

    Attributes:
        subword_indexer: maps n-grams to rows (counted from 0 behind the words' rows).
    """

    subword_indexer: Any

    @property
    def upper_bound(self) -> int:
        """The number of rows: those of the words, then those of the n-grams."""
        return self.n_word_rows + self.subword_indexer.upper_bound

    @property
    def min_n(self) -> int:
        """The length of the shortest n-grams, in characters."""
        return self.subword_indexer.min_n

    @property
    def max_n(self) -> int:
        """The length of the longest n-grams, in characters."""
        return self.subword_indexer.max_n

    @property
    @abstractmethod
    def markers(self) -> tuple[str, str]:
        """What is put before and behind a word when its n-grams are taken."""

    def subwords(self, item: str, bracket: bool = True) -> list[str]:
        """The n-grams of a word, by start, longest first.

        Examples:
            >>> import ffjax
            >>> vocab = ffjax.FastTextVocab([], ffjax.FastTextIndexer(100, 5, 6))
            >>> vocab.subwords("hello")
            ['<hello', '<hell', 'hello>', 'hello', 'ello>']
        """
        _check_word(item)
        return ngrams(self._marked(item) if bracket else item, self.min_n, self.max_n, bracket=False)

    def subword_indices(
        self, item: str, bracket: bool = True, with_ngrams: bool = False
    ) -> list[int] | list[tuple[str, int]]:
        """The rows of a word's n-grams, in the order of `subwords`; the row of a known word is not among them.

        Args:
            item: the word.
            bracket: whether to put the word's markers around it first.
            with_ngrams: whether to give `(ngram, row)` pairs.
        """
        _check_word(item)
        return self.subword_indexer.subword_indices(
            self._marked(item) if bracket else item, offset=self.n_word_rows, bracket=False, with_ngrams=with_ngrams
        )

    def subword_rows(self, item: str) -> np.ndarray:
        """The rows of the n-grams of a word, known or not, `[n]`."""
        _check_word(item)
        ids = self.subword_indexer.marked_ids(self._marked(item))
        return ids.astype(np.int64) + self.n_word_rows

    def subword_row_chunks(self, item: str) -> Iterator[np.ndarray]:
        """The same, some rows at a time: of a word however long, in memory that hardly grows with it."""
        _check_word(item)
        for ids in self.subword_indexer.marked_id_chunks(self._marked(item)):
            yield ids.astype(np.int64) + self.n_word_rows

    def encode(self, strings: Strings) -> Rows:
        """The row of each known word, the rows of the n-grams of the others."""
        words = self.find(strings)
        ids = self.ngram_rows(jnp.asarray(strings.bytes), jnp.asarray(strings.lengths))
        return Rows(words, jnp.where((words < 0)[..., None], ids, jnp.int32(-1)))

    def ngram_rows(
        self, data: UInt8[Array, "batch width"], lengths: Int32[Array, " batch"]
    ) -> Int32[Array, "batch slots"]:
        """The rows of the n-grams of packed words, known or not, -1 in slots without one; compiled code."""
        bow, eow = self.markers
        ids = self.subword_indexer.indices(data, lengths, bow=bow.encode(), eow=eow.encode())
        return jnp.where(ids >= 0, ids + self.n_word_rows, jnp.int32(-1))

    def _marked(self, item: str) -> str:
        bow, eow = self.markers
        return f"{bow}{item}{eow}"

    def _settings(self) -> tuple[Any, ...]:
        return (self.subword_indexer,)


class BucketVocab(SubwordVocab):
    """What the vocabularies with hashed n-grams share."""

    @property
    def markers(self) -> tuple[str, str]:
        """Angle brackets."""
        return ("<", ">")

    def to_explicit(self) -> "ExplicitVocab":
        """The vocabulary that keeps each n-gram of the known words, and drops the buckets that none of them uses.

        N-grams that share a bucket keep sharing a row. The new vocabulary has nothing for other n-grams.

        Examples:
            >>> import ffjax
            >>> vocab = ffjax.FinalfusionBucketVocab(["tea"], ffjax.FinalfusionHashIndexer(10, 4, 5))
            >>> vocab.to_explicit().subword_indexer.ngrams
            ['<tea>', '<tea', 'tea>']
        """
        buckets: dict[str, int] = {}
        for word in self.words:
            # Pairs come in the order of the n-grams, so the first of each n-gram decides its place.
            for ngram, row in self.subword_indices(word, with_ngrams=True):  # type: ignore[misc]
                buckets.setdefault(ngram, row)  # type: ignore[arg-type]
        rows: dict[int, int] = {}
        index = [rows.setdefault(bucket, len(rows)) for bucket in buckets.values()]
        indexer = ExplicitIndexer(list(buckets), self.min_n, self.max_n, dict(zip(buckets, index, strict=True)))
        return ExplicitVocab(self.table, indexer, rows=self.shared_rows)


@value(static=("n_shared_rows", "subword_indexer"))
class FinalfusionBucketVocab(BucketVocab):
    """Words, and n-grams hashed with finalfusion's 64-bit FNV-1a into `2**buckets_exp` buckets.

    Args:
        words: the words, each once.
        indexer: the n-gram range and number of buckets; n-grams of 3 to 6 in `2**21` buckets without it.
        rows: the row of each word if words share rows, shape `[n_words]`.

    Raises:
        TypeError: a word is not text, or `indexer` is of another kind.
        ValueError: a word occurs twice.

    Examples:
        >>> import ffjax
        >>> vocab = ffjax.FinalfusionBucketVocab(["tea"], ffjax.FinalfusionHashIndexer(4, 3, 3))
        >>> vocab["tea"], vocab["tee"], vocab.upper_bound
        (0, [12, 3, 9], 17)
    """

    table: StringTable
    index: HashTable
    shared_rows: Int32[AnyArray, " n_words"] | None
    n_shared_rows: int | None
    subword_indexer: FinalfusionHashIndexer

    def __init__(
        self,
        words: Iterable[str | bytes] | StringTable,
        indexer: FinalfusionHashIndexer | None = None,
        *,
        rows: Any = None,
    ) -> None:
        indexer = FinalfusionHashIndexer() if indexer is None else _checked(indexer, FinalfusionHashIndexer)
        object.__setattr__(self, "subword_indexer", indexer)
        init_words(self, words, rows)


@value(static=("n_shared_rows",))
class FastTextVocab(BucketVocab):
    """Words, and n-grams hashed as fastText does into any number of buckets.

    Args:
        words: the words, each once.
        indexer: the n-gram range and number of buckets, and where some buckets have been dropped, which are left;
            n-grams of 3 to 6 in 2,000,000 buckets without it.
        rows: the row of each word if words share rows, shape `[n_words]`.

    Raises:
        TypeError: a word is not text, or `indexer` is of another kind.
        ValueError: a word occurs twice.

    Examples:
        >>> import ffjax
        >>> vocab = ffjax.FastTextVocab(["tea"], ffjax.FastTextIndexer(20, 3, 3))
        >>> vocab["tea"], len(vocab["tee"]), vocab.upper_bound
        (0, 3, 21)
    """

    table: StringTable
    index: HashTable
    shared_rows: Int32[AnyArray, " n_words"] | None
    n_shared_rows: int | None
    subword_indexer: FastTextIndexer | PrunedIndexer

    def __init__(
        self,
        words: Iterable[str | bytes] | StringTable,
        indexer: FastTextIndexer | PrunedIndexer | None = None,
        *,
        rows: Any = None,
    ) -> None:
        indexer = FastTextIndexer() if indexer is None else _checked(indexer, FastTextIndexer, PrunedIndexer)
        object.__setattr__(self, "subword_indexer", indexer)
        init_words(self, words, rows)


@value(static=("n_shared_rows",))
class ExplicitVocab(SubwordVocab):
    """Words, and n-grams that are each stored with their row; n-grams that are not stored have none.

    Args:
        words: the words, each once.
        indexer: the n-grams and their rows.
        rows: the row of each word if words share rows, shape `[n_words]`.

    Raises:
        TypeError: a word is not text, or `indexer` is of another kind.
        ValueError: a word occurs twice.

    Examples:
        >>> import ffjax
        >>> vocab = ffjax.ExplicitVocab(["tea"], ffjax.ExplicitIndexer(["<te", "ea>"], 3, 3))
        >>> vocab["tee"], vocab.idx("coffee"), vocab.upper_bound
        ([1], None, 3)
    """

    table: StringTable
    index: HashTable
    shared_rows: Int32[AnyArray, " n_words"] | None
    n_shared_rows: int | None
    subword_indexer: ExplicitIndexer

    def __init__(
        self, words: Iterable[str | bytes] | StringTable, indexer: ExplicitIndexer, *, rows: Any = None
    ) -> None:
        object.__setattr__(self, "subword_indexer", _checked(indexer, ExplicitIndexer))
        init_words(self, words, rows)

    @property
    def markers(self) -> tuple[str, str]:
        """Angle brackets."""
        return ("<", ">")


@value(static=("n_shared_rows", "subword_indexer", "bow", "eow"))
class FloretVocab(SubwordVocab):
    """No words of its own: every word is the sum of the rows that it and its n-grams hash to, as in floret.

    Args:
        indexer: the n-gram range, number of buckets, hashes and seed.
        bow: what marks the beginning of a word.
        eow: what marks its end.

    Raises:
        TypeError: `indexer` is of another kind.

    Examples:
        >>> import ffjax
        >>> vocab = ffjax.FloretVocab(ffjax.FloretIndexer(1000, 3, 4, 2, 2166136261))
        >>> len(vocab), len(vocab["tea"]), vocab.upper_bound
        (0, 12, 1000)
    """

    table: StringTable
    index: HashTable
    shared_rows: Int32[AnyArray, " n_words"] | None
    n_shared_rows: int | None
    subword_indexer: FloretIndexer
    bow: str
    eow: str

    def __init__(self, indexer: FloretIndexer, *, bow: str = "<", eow: str = ">") -> None:
        object.__setattr__(self, "subword_indexer", _checked(indexer, FloretIndexer))
        object.__setattr__(self, "bow", bow)
        object.__setattr__(self, "eow", eow)
        init_words(self, StringTable.from_buffer(b"", np.zeros(1, np.int64)), None)

    @property
    def markers(self) -> tuple[str, str]:
        """The model's own markers."""
        return (self.bow, self.eow)

    def _settings(self) -> tuple[Any, ...]:
        return (self.subword_indexer, self.bow, self.eow)


def _checked(indexer: Any, *kinds: type) -> Any:
    if not isinstance(indexer, kinds):
        names = " or ".join(kind.__name__ for kind in kinds)
        raise TypeError(f"`indexer`: expected {names}, got {type(indexer).__name__} {indexer!r}.")
    return indexer


def _check_word(item: object) -> None:
    if not isinstance(item, str):
        raise TypeError(f"`item`: expected a str to take n-grams of, got {type(item).__name__}.")
