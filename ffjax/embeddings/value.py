"""`Embeddings`: a vocabulary and a storage, with the norms and metadata that belong to them."""

from collections.abc import Collection, Iterator
from functools import cached_property
from os import PathLike
from typing import Any

import numpy as np

from ffjax._internal.arguments import list_of_words
from ffjax._internal.pytree import equal, value
from ffjax.embeddings import similarity as neighbours
from ffjax.embeddings.batch_lookup import embed_words, sum_of_long_word
from ffjax.embeddings.metadata import Metadata
from ffjax.embeddings.training_state import TrainingState
from ffjax.embeddings.validate import check_parts
from ffjax.functional.lookup import SimilarityResult
from ffjax.storage import ComposedArray, Storage
from ffjax.storage.norms import Norms
from ffjax.vocab import Vocab

# Characters of a word whose n-grams' rows are read at once.
_LONG = 256

Chunk = Metadata | Vocab | Storage | Norms


@value()
class Embeddings:
    """Words and their vectors: an immutable value that JAX takes like any other array.

    Methods that take a `str` answer on the host, with the names, arguments and answers of finalfusion-python. For
    batches and inside `jit` use the device functions (`embed`, `top_k`, ...), which take the embeddings as an argument.

    Args:
        storage: the rows.
        vocab: the words.
        norms: lengths that the words' rows had before they were scaled to unit length. A `ComposedArray` knows them
            itself.
        metadata: what else is known about the embeddings.
        training: what training left beside the vectors, such as the labels of a classifier.

    Raises:
        TypeError: an argument is of another type.
        ValueError: the storage has more or fewer rows than the vocabulary addresses, or there is not one norm for
            each of the words' rows, or one count for each word.

    Examples:
        >>> import ffjax, numpy as np
        >>> matrix = np.eye(2, 3, dtype=np.float32)
        >>> emb = ffjax.Embeddings(ffjax.NdArray(matrix), ffjax.SimpleVocab(["one", "two"]))
        >>> emb["two"], emb.embedding("three") is None, emb.dims, emb.n_words
        (array([0., 1., 0.], dtype=float32), True, 3, 2)
    """

    storage: Storage
    vocab: Vocab
    own_norms: Norms | None
    metadata: Metadata | None
    training: TrainingState | None

    def __init__(
        self,
        storage: Storage,
        vocab: Vocab,
        norms: Norms | None = None,
        metadata: Metadata | None = None,
        training: TrainingState | None = None,
    ) -> None:
        check_parts(storage, vocab, norms, metadata, training)
        parts = (storage, vocab, norms, metadata, training)
        for name, value in zip(("storage", "vocab", "own_norms", "metadata", "training"), parts, strict=True):
            object.__setattr__(self, name, value)

    @property
    def norms(self) -> Norms | None:
        """The lengths that the words' rows had before they were scaled to unit length, if they are known."""
        return self._composed_norms if self.own_norms is None else self.own_norms

    @property
    def dims(self) -> int:
        """The number of dimensions of each vector."""
        return self.storage.shape[1]

    @property
    def n_words(self) -> int:
        """The number of known words."""
        return len(self.vocab)

    def replace(self, **changes: Any) -> "Embeddings":
        """A copy with other parts: any of `storage`, `vocab`, `norms`, `metadata` and `training`.

        Raises:
            TypeError: another name.
            ValueError: parts that don't fit each other.

        Examples:
            >>> import ffjax
            >>> emb = ffjax.demo()
            >>> emb.replace(norms=None).norms is None
            True
        """
        names = ("storage", "vocab", "norms", "metadata", "training")
        parts = {name: getattr(self, name) for name in names}
        if "storage" not in changes:
            parts["norms"] = self.own_norms
        elif "norms" not in changes and self.own_norms is None and self.norms is not None:
            parts["norms"] = Norms(self.norms.array)  # those that only the old storage knows
        if unknown := sorted(changes.keys() - parts.keys()):
            raise TypeError(f"`replace`: expected names out of {', '.join(parts)}, got {', '.join(unknown)}.")
        return Embeddings(**{**parts, **changes})

    def __getitem__(self, item: str) -> np.ndarray:
        """The vector of a word, through its n-grams if it is unknown.

        Raises:
            KeyError: the word has no vector.
        """
        row = self.vocab.host_index.get(item)
        if row is not None:
            return self.storage.embedding(row)
        found = self._subword_vector(item)
        if found is None:
            raise KeyError(f"{item!r}: not one of the {self.n_words} words, and it has no n-grams with rows")
        return found[0]

    def embedding(
        self, word: str, out: np.ndarray | None = None, default: np.ndarray | None = None
    ) -> np.ndarray | None:
        """The vector of a word, or `default`.

        A known word's vector is its row. An unknown word's is the sum of its n-grams' rows at unit length.

        Args:
            word: the word.
            out: where to write the vector, shape `[dims]`; left as it is if there is neither vector nor `default`.
            default: the answer for words without a vector.

        Returns:
            A vector of shape `[dims]`, which is `out` if that was given; or `default`.

        Examples:
            >>> import ffjax
            >>> emb = ffjax.demo()
            >>> emb.embedding("berlin").shape, emb.embedding("12345") is None
            ((100,), True)
        """
        found = self._find(word, out)
        if found is not None:
            return found[0]
        if out is not None and default is not None:
            out[:] = default
            return out
        return default

    def embedding_with_norm(
        self, word: str, out: np.ndarray | None = None, default: tuple[np.ndarray, Any] | None = None
    ) -> tuple[np.ndarray, Any] | None:
        """The vector of a word and its length before it was scaled to unit length, or `default`.

        The norm of a known word comes from the norms; that of an unknown word is the length of its n-grams' sum.

        Args:
            word: the word.
            out: where to write the vector, shape `[dims]`.
            default: the answer for words without a vector.

        Raises:
            TypeError: the embeddings have no norms.
        """
        if self.norms is None:
            raise TypeError("embeddings don't contain norms: expected `norms`, got None. Add them with `replace`.")
        found = self._find(word, out)
        if found is not None:
            return found  # type: ignore[return-value]
        if out is not None and default is not None:
            out[:] = default[0]
            return out, default[1]
        return default

    def embedding_batch(self, words: Any) -> tuple[np.ndarray, np.ndarray]:
        """The vectors of many words at once, words of any lengths.

        Args:
            words: the words, in whatever form `ffjax.pack` takes them.

        Returns:
            `(vectors, found)`: vectors `[n, dims]`, zeros where `found` (bool `[n]`) is false.

        Examples:
            >>> import ffjax
            >>> vectors, found = ffjax.demo().embedding_batch(["berlin", "12345"])
            >>> vectors.shape, found.tolist()
            ((2, 100), [True, False])
        """
        return embed_words(self, words)

    def analogy(
        self,
        word1: str,
        word2: str,
        word3: str,
        k: int = 1,
        skip: Collection[str] | None = None,
        *,
        method: str = "3cosadd",
    ) -> list[SimilarityResult] | None:
        """Answers "word1 is to word2 as word3 is to what?": the words nearest to `word2 - word1 + word3`.

        Args:
            word1: word1 is to
            word2: word2 like
            word3: word3 is to the answer.
            k: at most how many answers.
            skip: words that are no answers; the three query words if `None`, so pass an empty set to allow those.
            method: `"3cosadd"`, or `"3cosmul"` for the largest product of cosines, see `ffjax.analogy`.

        Returns:
            Answers, best first, or `None` if one of the words has no vector.

        Examples:
            >>> import ffjax
            >>> ffjax.demo().analogy("man", "king", "woman")[0].word
            'queen'
        """
        for name, word in (("word1", word1), ("word2", word2), ("word3", word3)):
            _check_word(name, word)
        vectors = [self.embedding(word) for word in (word1, word2, word3)]
        if any(vector is None for vector in vectors):
            return None
        skip = {word1, word2, word3} if skip is None else skip
        return neighbours.nearest_to_analogy(self, np.array(vectors), k, skip, method)

    def word_similarity(self, query: str, k: int = 10) -> list[SimilarityResult] | None:
        """The words most similar to a word, by the dot product of their vectors, the word itself left out.

        Args:
            query: the word, which may be unknown if it has n-grams.
            k: at most how many words.

        Returns:
            Words, best first, or `None` if the word has no vector.

        Examples:
            >>> import ffjax
            >>> [result.word for result in ffjax.demo().word_similarity("berlin", k=2)]
            ['vienna', 'munich']
        """
        _check_word("query", query)
        vector = self.embedding(query)
        return None if vector is None else neighbours.nearest(self, vector, k, {query})

    def most_similar(
        self, words: Collection[str], k: int = 10, *, metric: str = "dot"
    ) -> list[list[SimilarityResult] | None]:
        """For each of many words what `word_similarity` answers, searched together, which is many times as fast.

        Args:
            words: the words, which may be unknown if they have n-grams.
            k: at most how many words for each.
            metric: `"dot"`, `"cosine"`, `"euclidean"` or `"angular"`, see `ffjax.top_k`.

        Returns:
            For each word a list, best first, or `None` if the word has no vector.

        Raises:
            TypeError: `words` is one word, or holds something else than words.

        Examples:
            >>> import ffjax
            >>> berlin, number = ffjax.demo().most_similar(["berlin", "12345"], k=2)
            >>> [result.word for result in berlin], number
            (['vienna', 'munich'], None)
        """
        return neighbours.most_similar(self, list_of_words(words), k, metric=metric)

    def embedding_similarity(
        self, query: np.ndarray, k: int = 10, skip: Collection[str] | None = None
    ) -> list[SimilarityResult]:
        """The words most similar to a vector, by the dot product.

        Args:
            query: a vector, shape `[dims]`.
            k: at most how many words.
            skip: words to leave out.

        Raises:
            TypeError: the vector is of something else than numbers.
            ValueError: it is of another shape.
        """
        query = np.asarray(query)
        if query.dtype.kind not in "fiuV":  # bfloat16 is of the last kind
            raise TypeError(f"`query`: expected a vector of {self.dims} numbers, got {query.dtype}.")
        if query.shape != (self.dims,):
            raise ValueError(f"`query`: expected shape {(self.dims,)}, got {query.shape}.")
        return neighbours.nearest(self, query, k, () if skip is None else skip)

    def chunks(self) -> list[Chunk]:
        """The parts in the order in which a finalfusion file holds them: metadata, vocabulary, storage, norms."""
        parts = (self.metadata, self.vocab, self.storage, self.norms)
        return [part for part in parts if part is not None]

    def write(self, file: str | bytes | int | PathLike[str]) -> None:
        """Writes a finalfusion file; the old file stays whole until the new one is complete.

        Args:
            file: the path. `training`, for which the format has no place, is left out; `write_finalfusion` asks first.
        """
        # Formats know embeddings, not the other way round; this method is the one exception.
        from ffjax.formats.finalfusion import write_finalfusion

        write_finalfusion(file, self, drop_training=True)

    def bucket_to_explicit(self) -> "Embeddings":
        """Keeps the n-grams of the known words as explicit ones and drops all buckets that none of them uses.

        N-grams that share a bucket keep sharing a row. Metadata is left out, since it no longer describes the result.

        Raises:
            TypeError: the vocabulary has no hashed n-grams.
        """
        # Transforms know embeddings, not the other way round.
        from ffjax.transforms.explicit_ngrams import explicit_parts

        return Embeddings(*explicit_parts(self.storage, self.vocab), self.norms)

    def __contains__(self, item: object) -> bool:
        """Whether a word is known (a word with n-grams alone is not)."""
        return item in self.vocab

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """Words with their vectors, and norms if there are any."""
        rows = self.vocab.host_rows
        for word, row in zip(self.vocab, rows.tolist(), strict=True):
            vector = self.storage.embedding(row)
            yield (word, vector) if self.norms is None else (word, vector, self.norms[row])

    def __len__(self) -> int:
        return len(self.vocab)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Embeddings):
            return NotImplemented
        # Vocabularies compare by their words, not by the capacity of their buffers, so not all parts by `equal`.
        return (
            self.vocab == other.vocab
            and equal(self.storage, other.storage)
            and equal(self.own_norms, other.own_norms)
            and self.metadata == other.metadata
            and self.training == other.training
        )

    def __repr__(self) -> str:
        parts = ", ".join(repr(part) for part in (self.storage, self.vocab, self.norms) if part is not None)
        others = "".join(f", {name}" for name in ("metadata", "training") if getattr(self, name) is not None)
        return f"Embeddings({parts}{others})"

    @cached_property
    def _composed_norms(self) -> Norms | None:
        if not isinstance(self.storage, ComposedArray):
            return None
        return Norms.computed(self.vocab.n_word_rows, self.storage.lengths)

    def _find(self, word: str, out: np.ndarray | None) -> tuple[np.ndarray, Any] | None:
        row = self.vocab.host_index.get(word)
        if row is not None:
            return self.storage.embedding(row, out), None if self.norms is None else self.norms[row]
        return self._subword_vector(word, out)

    def _subword_vector(self, word: str, out: np.ndarray | None = None) -> tuple[np.ndarray, Any] | None:
        if not isinstance(word, str) or len(word) <= _LONG:
            rows = self.vocab.subword_rows(word)
            if not len(rows):
                return None
            total = np.add.reduce(self.storage.embedding(rows), 0, dtype=np.float32)
        else:
            total, count = sum_of_long_word(self, word)
            if not count:
                return None
            total = total.astype(np.float32)
        norm = np.sqrt(total.dot(total))
        if norm > 0:
            total /= norm
        if out is None:
            return total, norm
        out[...] = total
        return out, norm


def _check_word(name: str, word: Any) -> None:
    if not isinstance(word, str):
        raise TypeError(f"`{name}`: expected a word, got {type(word).__name__} {word!r}.")
