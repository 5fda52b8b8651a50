"""Vocabularies whose unknown words are sums of their n-grams' rows."""

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int32, UInt8

from ffjax._internal.arguments import check_word
from ffjax._internal.pytree import set_fields, value
from ffjax.strings.string_table import Strings, StringTable
from ffjax.vocab.base import Vocab, init_vocab
from ffjax.vocab.ngrams.base import ngrams
from ffjax.vocab.ngrams.explicit import ExplicitIndexer
from ffjax.vocab.ngrams.hashed import FastTextIndexer, FinalfusionHashIndexer, FloretIndexer
from ffjax.vocab.ngrams.pruned import PrunedIndexer
from ffjax.vocab.rows import Rows


class SubwordVocab(Vocab):
    """What vocabularies with n-grams share: first the rows of words, then those of n-grams.

    Attributes:
        markers: the strings put before and after a word when its n-grams are taken.
    """

    markers: ClassVar[tuple[str, str]] = ("<", ">")

    def __init__(
        self, words: Iterable[str | bytes] | StringTable, indexer: Any, *, rows: Any = None
    ) -> None:
        init_vocab(self, words, rows, indexer)

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

    def subwords(self, item: str, bracket: bool = True) -> list[str]:
        """The n-grams of a word, by start, longest first.

        Examples:
            >>> import ffjax
            >>> vocab = ffjax.FastTextVocab([], ffjax.FastTextIndexer(100, 5, 6))
            >>> vocab.subwords("hello")
            ['<hello', '<hell', 'hello>', 'hello', 'ello>']
        """
        return ngrams(self._marked(item, bracket), self.min_n, self.max_n, bracket=False)

    def subword_indices(
        self, item: str, bracket: bool = True, with_ngrams: bool = False
    ) -> list[int] | list[tuple[str, int]]:
        """The rows of a word's n-grams, in the order of `subwords`, without the word's own row.

        Args:
            item: the word.
            bracket: whether to put the word's markers around it first.
            with_ngrams: whether to give `(ngram, row)` pairs.
        """
        text, first = self._marked(item, bracket), self.n_word_rows
        options = {"bracket": False, "with_ngrams": with_ngrams}
        return self.subword_indexer.subword_indices(text, first, **options)

    def subword_rows(self, item: str) -> np.ndarray:
        """The rows of the n-grams of a word, known or not, `[n]`."""
        ids = self.subword_indexer.marked_ids(self._marked(item))
        return ids.astype(np.int64) + self.n_word_rows

    def subword_row_chunks(self, item: str) -> Iterator[np.ndarray]:
        """The same in chunks, so that a word of any length takes little memory."""
        for ids in self.subword_indexer.marked_id_chunks(self._marked(item)):
            yield ids.astype(np.int64) + self.n_word_rows

    def encode(self, strings: Strings) -> Rows:
        """The row of each known word, and the rows of the n-grams of each unknown one."""
        words = self.find(strings)
        ids = self.ngram_rows(jnp.asarray(strings.bytes), jnp.asarray(strings.lengths))
        return Rows(words, jnp.where((words < 0)[..., None], ids, jnp.int32(-1)))

    def ngram_rows(
        self, data: UInt8[Array, "batch width"], lengths: Int32[Array, " batch"]
    ) -> Int32[Array, "batch slots"]:
        """The rows of the n-grams of packed words, -1 in slots without one; compiled code."""
        bow, eow = self.markers
        ids = self.subword_indexer.indices(data, lengths, bow=bow.encode(), eow=eow.encode())
        return jnp.where(ids >= 0, ids + self.n_word_rows, jnp.int32(-1))

    def _marked(self, item: str, bracket: bool = True) -> str:
        check_word("word", item)
        bow, eow = self.markers
        return f"{bow}{item}{eow}" if bracket else item


class BucketVocab(SubwordVocab):
    """What the vocabularies with hashed n-grams share."""

    def __init__(
        self, words: Iterable[str | bytes] | StringTable, indexer: Any = None, *, rows: Any = None
    ) -> None:
        super().__init__(words, self.indexers[0]() if indexer is None else indexer, rows=rows)

    def to_explicit(self) -> "ExplicitVocab":
        """The vocabulary that keeps the n-grams of the known words, and drops unused buckets.

        N-grams that share a bucket keep sharing a row. The new vocabulary has nothing for other
        n-grams.

        Examples:
            >>> import ffjax
            >>> indexer = ffjax.FinalfusionHashIndexer(10, 4, 5)
            >>> vocab = ffjax.FinalfusionBucketVocab(["tea"], indexer)
            >>> vocab.to_explicit().subword_indexer.ngrams
            ['<tea>', '<tea', 'tea>']
        """
        buckets: dict[str, int] = {}
        for word in self.words:
            buckets.update(self.subword_indices(word, with_ngrams=True))  # type: ignore[arg-type]
        # In the order in which n-grams first occur.
        rows = {bucket: row for row, bucket in enumerate(dict.fromkeys(buckets.values()))}
        index = {ngram: rows[bucket] for ngram, bucket in buckets.items()}
        indexer = ExplicitIndexer(list(buckets), self.min_n, self.max_n, index)
        return ExplicitVocab(self.table, indexer, rows=self.shared_rows)


@value(static=("n_shared_rows",), init=False)
class FinalfusionBucketVocab(BucketVocab, kind="FinalfusionBucketVocab"):
    """Words, and n-grams hashed with finalfusion's 64-bit FNV-1a into `2**buckets_exp` buckets.

    Args:
        words: the words, each once.
        indexer: the n-gram range and number of buckets; by default n-grams of 3 to 6 characters in
            `2**21` buckets.
        rows: the row of each word if words share rows, shape `[n_words]`.

    Raises:
        TypeError: if a word is not text, or `indexer` is of another kind.
        ValueError: if a word occurs twice.

    Examples:
        >>> import ffjax
        >>> vocab = ffjax.FinalfusionBucketVocab(["tea"], ffjax.FinalfusionHashIndexer(4, 3, 3))
        >>> vocab["tea"], vocab["tee"], vocab.upper_bound
        (0, [12, 3, 9], 17)
    """

    indexers = (FinalfusionHashIndexer,)

    subword_indexer: FinalfusionHashIndexer


@value(static=("n_shared_rows",), init=False)
class FastTextVocab(BucketVocab, kind="FastTextVocab"):
    """Words, and n-grams hashed as fastText does into any number of buckets.

    Args:
        words: the words, each once.
        indexer: the n-gram range and number of buckets, and which of them remain if some have
            been dropped; by default n-grams of 3 to 6 characters in 2,000,000 buckets.
        rows: the row of each word if words share rows, shape `[n_words]`.

    Raises:
        TypeError: if a word is not text, or `indexer` is of another kind.
        ValueError: if a word occurs twice.

    Examples:
        >>> import ffjax
        >>> vocab = ffjax.FastTextVocab(["tea"], ffjax.FastTextIndexer(20, 3, 3))
        >>> vocab["tea"], len(vocab["tee"]), vocab.upper_bound
        (0, 3, 21)
    """

    indexers = (FastTextIndexer, PrunedIndexer)

    subword_indexer: FastTextIndexer | PrunedIndexer


@value(static=("n_shared_rows",), init=False)
class ExplicitVocab(SubwordVocab, kind="ExplicitVocab"):
    """Words, and n-grams that are each stored with their row; other n-grams have none.

    Args:
        words: the words, each once.
        indexer: the n-grams and their rows.
        rows: the row of each word if words share rows, shape `[n_words]`.

    Raises:
        TypeError: if a word is not text, or `indexer` is of another kind.
        ValueError: if a word occurs twice.

    Examples:
        >>> import ffjax
        >>> vocab = ffjax.ExplicitVocab(["tea"], ffjax.ExplicitIndexer(["<te", "ea>"], 3, 3))
        >>> vocab["tee"], vocab.idx("coffee"), vocab.upper_bound
        ([1], None, 3)
    """

    indexers = (ExplicitIndexer,)

    subword_indexer: ExplicitIndexer


@value(static=("n_shared_rows", "bow", "eow"), init=False)
class FloretVocab(SubwordVocab, kind="FloretVocab"):
    """No list of words: every word is the sum of the rows that it and its n-grams hash to.

    This is how floret stores words.

    Args:
        indexer: the n-gram range, number of buckets, hashes and seed.
        bow: what marks the beginning of a word.
        eow: what marks its end.

    Raises:
        TypeError: if `indexer` is of another kind.

    Examples:
        >>> import ffjax
        >>> vocab = ffjax.FloretVocab(ffjax.FloretIndexer(1000, 3, 4, 2, 2166136261))
        >>> len(vocab), len(vocab["tea"]), vocab.upper_bound
        (0, 12, 1000)
    """

    has_words = False
    indexers = (FloretIndexer,)

    subword_indexer: FloretIndexer
    bow: str
    eow: str

    def __init__(self, indexer: FloretIndexer, *, bow: str = "<", eow: str = ">") -> None:
        set_fields(self, bow=bow, eow=eow)
        init_vocab(self, [], indexer=indexer)

    @property
    def markers(self) -> tuple[str, str]:  # type: ignore[override]
        """The model's own markers."""
        return (self.bow, self.eow)

    def to_tree(self) -> dict[str, Any]:
        """What a snapshot keeps."""
        markers = {"bow": self.bow, "eow": self.eow}
        return {"kind": self.kind, "indexer": self.subword_indexer, **markers}

    @classmethod
    def from_tree(cls, tree: Any) -> "FloretVocab":
        """The vocabulary of a tree."""
        indexer, bow, eow = tree.indexer("indexer"), tree.text("bow"), tree.text("eow")
        return tree.made(cls, indexer, bow=bow, eow=eow)

    def _details(self) -> str:
        return f", {self.subword_indexer!r}, {self.bow!r}, {self.eow!r}"
