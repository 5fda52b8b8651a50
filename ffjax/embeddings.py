"""`Embeddings`: a vocabulary and a storage, with the norms and metadata that belong to them."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from typing import Any

import jax.numpy as jnp
import numpy as np

from ffjax import functional
from ffjax._pytree import equal, pytree
from ffjax.functional import SimilarityResult
from ffjax.metadata import Metadata
from ffjax.norms import Norms
from ffjax.search import checked_k
from ffjax.storage import ComposedArray, NdArray, Storage
from ffjax.strings import pack
from ffjax.training import Training
from ffjax.vocab import FastTextVocab, FinalfusionBucketVocab, Vocab

Chunk = Metadata | Vocab | Storage | Norms


@pytree()
@dataclass(frozen=True, eq=False, init=False, repr=False)
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
    training: Training | None

    def __init__(
        self,
        storage: Storage,
        vocab: Vocab,
        norms: Norms | None = None,
        metadata: Metadata | None = None,
        training: Training | None = None,
    ) -> None:
        for name, value, kind, optional in (
            ("storage", storage, Storage, False),
            ("vocab", vocab, Vocab, False),
            ("norms", norms, Norms, True),
            ("metadata", metadata, Metadata, True),
            ("training", training, Training, True),
        ):
            if not (isinstance(value, kind) or (optional and value is None)):
                raise TypeError(
                    f"`{name}`: expected {kind.__name__}{' or None' if optional else ''}, got {type(value).__name__}."
                )
        if storage.shape[0] != vocab.upper_bound:
            raise ValueError(
                f"`storage`: expected {vocab.upper_bound} rows, one for each that the vocabulary addresses, "
                f"got {storage.shape[0]}."
            )
        if norms is not None and len(norms) != vocab.n_word_rows:
            raise ValueError(f"`norms`: expected {vocab.n_word_rows}, one for each word's row, got {len(norms)}.")
        if training is not None and training.n_words != len(vocab):
            raise ValueError(
                f"`training`: expected counts of {len(vocab)} words, got {training.n_words}. "
                "Leave it out, as in `replace(vocab=..., training=None)`, where the words are others."
            )
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
        rows = self.vocab.subword_rows(item)
        if not len(rows):
            raise KeyError(f"{item!r}: not one of the {self.n_words} words, and it has no n-grams with rows")
        return self._subword_vector(rows)[0]

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
            >>> emb.embedding("berlin").shape, emb.embedding("blorp") is None
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

    def embedding_batch(self, words: Collection[str]) -> tuple[np.ndarray, np.ndarray]:
        """The vectors of many words at once.

        Args:
            words: the words.

        Returns:
            `(vectors, found)`: vectors `[n, dims]`, zeros where `found` (bool `[n]`) is false.

        Examples:
            >>> import ffjax
            >>> vectors, found = ffjax.demo().embedding_batch(["berlin", "blorp"])
            >>> vectors.shape, found.tolist()
            ((2, 100), [True, False])
        """
        words = list(words)
        vectors, found = functional.embed(self, pack(words))
        return np.asarray(vectors)[: len(words)], np.asarray(found)[: len(words)]

    def analogy(
        self, word1: str, word2: str, word3: str, k: int = 1, skip: Collection[str] | None = None
    ) -> list[SimilarityResult] | None:
        """Answers "word1 is to word2 as word3 is to what?": the words nearest to `word2 - word1 + word3`.

        Args:
            word1: word1 is to
            word2: word2 like
            word3: word3 is to the answer.
            k: at most how many answers.
            skip: words that are no answers; the three query words if `None`, so pass an empty set to allow those.

        Returns:
            Answers, best first, or `None` if one of the words has no vector.

        Examples:
            >>> import ffjax
            >>> ffjax.demo().analogy("man", "king", "woman")[0].word
            'queen'
        """
        vectors = [self.embedding(word) for word in (word1, word2, word3)]
        if any(vector is None for vector in vectors):
            return None
        a, b, c = (np.asarray(vector, np.float32) for vector in vectors)
        target = c + (b - a)
        length = np.linalg.norm(target)
        if length > 0:
            target /= length
        return self._similar(target, k, {word1, word2, word3} if skip is None else skip)

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
            ['munich', 'vienna']
        """
        vector = self.embedding(query)
        return None if vector is None else self._similar(vector, k, {query})

    def embedding_similarity(
        self, query: np.ndarray, k: int = 10, skip: Collection[str] | None = None
    ) -> list[SimilarityResult]:
        """The words most similar to a vector, by the dot product.

        Args:
            query: a vector, shape `[dims]`.
            k: at most how many words.
            skip: words to leave out.

        Raises:
            ValueError: the vector is of another shape.
        """
        query = np.asarray(query)
        if query.shape != (self.dims,):
            raise ValueError(f"`query`: expected shape {(self.dims,)}, got {query.shape}.")
        return self._similar(query, k, () if skip is None else skip)

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
        vocab = self.vocab
        if not isinstance(vocab, FastTextVocab | FinalfusionBucketVocab):
            raise TypeError(
                "`bucket_to_explicit`: expected a FinalfusionBucketVocab or FastTextVocab, "
                f"got {type(vocab).__name__}. Only hashed n-grams can be made explicit."
            )
        explicit = vocab.to_explicit()
        indexer, offset = explicit.subword_indexer, vocab.n_word_rows
        source = np.arange(explicit.upper_bound)
        for ngram, row in indexer.ngram_index.items():
            bucket = vocab.subword_indexer(ngram)
            if bucket is not None:  # every n-gram of the new table came from a bucket of the old one
                source[offset + row] = offset + bucket
        return Embeddings(NdArray(self.storage.embedding(source)), explicit, self.norms)

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

    __hash__ = None  # type: ignore[assignment]

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
        rows = self.vocab.subword_rows(word)
        return self._subword_vector(rows, out) if len(rows) else None

    def _subword_vector(self, rows: np.ndarray, out: np.ndarray | None = None) -> tuple[np.ndarray, Any]:
        total = np.add.reduce(self.storage.embedding(rows), 0, dtype=np.float32)
        norm = np.sqrt(total.dot(total))
        if norm > 0:
            total /= norm
        if out is None:
            return total, norm
        out[...] = total
        return out, norm

    def _similar(self, query: np.ndarray, k: int, skip: Collection[str]) -> list[SimilarityResult]:
        k = checked_k(k)
        if isinstance(skip, str):
            raise TypeError(f"`skip`: expected words, got the single word {skip!r}. Write {{{skip!r}}}.")
        index = self.vocab.host_index
        rows = [row for row in map(index.get, skip) if row is not None]
        # A few sizes of the list of rows to leave out, so that searches share compiled programs.
        exclude = np.full(max(4, 1 << max(len(rows) - 1, 0).bit_length()), -1, np.int32)
        exclude[: len(rows)] = rows
        k = min(k, self.vocab.n_word_rows)
        best = functional.top_k(self, jnp.asarray(query, jnp.float32), k, exclude=exclude)
        words, first = self.vocab.words, self.vocab.row_words
        scores, rows = np.asarray(best.scores), np.asarray(best.rows)
        return [
            SimilarityResult(words[first[row]], score)
            for row, score in zip(rows.tolist(), scores, strict=True)
            if row >= 0
        ]
