"""`Embeddings`: a vocabulary and a storage, with the norms and metadata that belong to them."""

from collections.abc import Iterator
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from ffjax._internal.arguments import check_instance, check_out, check_word
from ffjax._internal.file_arguments import wrong_value
from ffjax._internal.names_elsewhere import missing_attribute, names_elsewhere
from ffjax._internal.pytree import check_names, set_fields, value
from ffjax.embeddings.batch_lookup import embed_words, oov_vector
from ffjax.embeddings.everyday import EverydayVerbs
from ffjax.embeddings.metadata import Metadata
from ffjax.embeddings.training_state import TrainingState
from ffjax.storage import ComposedArray, Storage
from ffjax.storage.norms import Norms
from ffjax.vocab import Vocab

Chunk = Metadata | Vocab | Storage | Norms

_MANY_WORDS = "For many words use `embedding_batch`."
_ARGUMENTS = ("storage", "vocab", "norms", "metadata", "training")


@value()
class Embeddings(EverydayVerbs):
    """Words and their vectors: an immutable value that JAX takes like any other array.

    Methods that take a `str` answer on the host, with the names, arguments and answers of
    finalfusion-python, gensim and fastText. For batches and inside `jit` use the device functions
    (`embed`, `top_k`, ...), which take the embeddings as an argument.

    A word has a vector if it is known, or through its n-grams. `emb[word]`, `similarity`,
    `most_similar` and the other verbs of gensim and fastText raise `KeyError` for a word without
    one; `get` and finalfusion's methods return `None`; batches mark each such word.

    Args:
        storage: the rows, taken as they are; `from_vectors` scales them to unit length.
        vocab: the words.
        norms: the norms that the words' rows had before they were scaled to unit length. A
            `ComposedArray` computes them itself.
        metadata: what else is known about the embeddings.
        training: what training saved with the vectors, such as the labels of a classifier.

    Raises:
        TypeError: if an argument is of another type.
        ValueError: if the storage has more or fewer rows than the vocabulary addresses, or there is
            not one norm for each of the words' rows, or not one count for each word.

    Examples:
        >>> import ffjax, numpy as np
        >>> matrix = np.eye(2, 3, dtype=np.float32)
        >>> emb = ffjax.Embeddings(ffjax.NdArray(matrix), ffjax.SimpleVocab(["one", "two"]))
        >>> emb["two"], emb.embedding("three") is None, emb.dims, emb.n_words
        (array([0., 1., 0.], dtype=float32), True, 3, 2)
    """

    storage: Storage
    vocab: Vocab
    # The norms of the constructor. `norms` are these, or those that the storage computes.
    stored_norms: Norms | None
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
        check_instance("storage", storage, Storage)
        check_instance("vocab", vocab, Vocab)
        check_instance("norms", norms, Norms, optional=True)
        check_instance("metadata", metadata, Metadata, optional=True)
        check_instance("training", training, TrainingState, optional=True)
        if storage.shape[0] != vocab.upper_bound:
            expected = f"{vocab.upper_bound} rows, one for each that the vocabulary addresses"
            raise wrong_value("storage", expected, storage.shape[0])
        if norms is not None and len(norms) != vocab.n_word_rows:
            raise wrong_value("norms", f"{vocab.n_word_rows}, one for each word's row", len(norms))
        if training is not None and training.n_words != len(vocab):
            hint = "For other words leave it out, as in `replace(vocab=..., training=None)`."
            raise wrong_value("training", f"counts of {len(vocab)} words", training.n_words, hint)
        fields = {"storage": storage, "vocab": vocab, "stored_norms": norms}
        set_fields(self, **fields, metadata=metadata, training=training)

    @property
    def norms(self) -> Norms | None:
        """The norms of the words' rows before they were scaled to unit length, if available."""
        return self._composed_norms if self.stored_norms is None else self.stored_norms

    @property
    def dims(self) -> int:
        """The number of dimensions of each vector."""
        return self.storage.shape[1]

    @property
    def n_words(self) -> int:
        """The number of known words."""
        return len(self.vocab)

    def replace(self, **changes: Any) -> "Embeddings":
        """A copy with other values for any of the constructor's arguments.

        Norms that only the old storage can compute are kept for a new storage.

        Raises:
            TypeError: for another name.
            ValueError: if the values don't fit each other.

        Examples:
            >>> import ffjax
            >>> emb = ffjax.demo()
            >>> emb.replace(norms=None).norms is None
            True
        """
        check_names("replace", changes, _ARGUMENTS)
        fields = {name: getattr(self, name) for name in _ARGUMENTS}
        fields["norms"] = self.stored_norms
        if "storage" in changes and "norms" not in changes and self.norms is not None:
            fields["norms"] = Norms(self.norms.array)
        return Embeddings(**(fields | changes))

    def __getitem__(self, item: str) -> np.ndarray:
        """The vector of a word, through its n-grams if it is unknown.

        Raises:
            KeyError: if the word has no vector.
            TypeError: if it is not one word.
        """
        try:
            row = self.vocab.row_of(item)
        except TypeError:
            check_word("word", item, _MANY_WORDS)
            raise
        if row is not None:
            return self.storage.read(row)
        answer = oov_vector(self, item)
        if answer is None:
            raise KeyError(
                f"{item!r}: not one of the {self.n_words} words, and it has no n-grams with rows"
            )
        return answer[0]

    def embedding(
        self, word: str, out: np.ndarray | None = None, default: np.ndarray | None = None
    ) -> np.ndarray | None:
        """The vector of a word, or `default`.

        A known word's vector is its row. An unknown word's is the sum of its n-grams' rows at unit
        length.

        Args:
            word: the word.
            out: where to write the vector, shape `[dims]`; left unchanged if there is neither a
                vector nor a `default`.
            default: the answer for words without a vector.

        Returns:
            A vector of shape `[dims]` in the type of the rows, which is `out` if that was given; or
            `default`.

        Raises:
            TypeError: if `word` is not a `str`, or `out` is not an array.
            ValueError: if `out` has another shape or cannot hold floats.

        Examples:
            >>> import ffjax
            >>> emb = ffjax.demo()
            >>> emb.embedding("berlin").shape, emb.embedding("12345") is None
            ((100,), True)
        """
        row = self._known_row(word, out)
        if row is not None:
            return self.storage.read(row, out)
        answer = oov_vector(self, word)
        return _written(default if answer is None else answer[0], out)

    def embedding_with_norm(
        self,
        word: str,
        out: np.ndarray | None = None,
        default: tuple[np.ndarray, Any] | None = None,
    ) -> tuple[np.ndarray, Any] | None:
        """The vector of a word and its norm before it was scaled to unit length, or `default`.

        The norm of a known word comes from `norms`; that of an unknown word is the norm of its
        n-grams' sum.

        Args:
            word: the word.
            out: where to write the vector, shape `[dims]`.
            default: the answer for words without a vector.

        Raises:
            TypeError: if the embeddings have no norms, `word` is not a `str`, or `out` is not an
                array.
            ValueError: if `out` has another shape or cannot hold floats.
        """
        if self.norms is None:
            hint = "Add them with `replace`."
            if not len(self.vocab):
                call = "ffjax.embed(emb, ffjax.pack([word]), unnormalize=True)"
                hint = f"Call `{call}` for vectors of their original lengths."
            raise TypeError(f"`norms`: embeddings don't contain norms. {hint}")
        row = self._known_row(word, out)
        if row is not None:
            return self.storage.read(row, out), self.norms[row]
        answer = oov_vector(self, word) or default
        return None if answer is None else (_written(answer[0], out), answer[1])

    def embedding_batch(self, words: Any) -> tuple[np.ndarray, np.ndarray]:
        """The vectors of many words at once, words of any lengths.

        Args:
            words: the words, in any form that `ffjax.pack` takes.

        Returns:
            `(vectors, found)`: vectors `[n, dims]`, zeros where `found` (bool `[n]`) is false.

        Raises:
            TypeError: as `pack`.

        Examples:
            >>> import ffjax
            >>> vectors, found = ffjax.demo().embedding_batch(["berlin", "12345"])
            >>> vectors.shape, found.tolist()
            ((2, 100), [True, False])
        """
        return embed_words(self, words)

    def chunks(self) -> list[Chunk]:
        """The chunks of a finalfusion file in its order: metadata, vocabulary, storage, norms."""
        chunks = (self.metadata, self.vocab, self.storage, self.norms)
        return [chunk for chunk in chunks if chunk is not None]

    def write(self, file: str | bytes | int | PathLike[str]) -> None:
        """Writes a finalfusion file; an existing file is replaced when the new one is complete.

        Args:
            file: the path. `training` is left out, since the format cannot hold it;
                `write_finalfusion` requires `drop_training`.
        """
        # Formats import embeddings, so that this import is not at the top.
        from ffjax.formats.finalfusion.writer import write_finalfusion

        write_finalfusion(file, self, drop_training=True)

    def explore(self, path: Any = None, **options: Any) -> Any:
        """A page to explore the words on a map; see `ffjax.explore` for the arguments.

        Args:
            path: where to write the page; a notebook shows it without.
            **options: those of `ffjax.explore`.

        Returns:
            An `ExplorerPage`.
        """
        # Formats import embeddings, so that this import is not at the top.
        from ffjax.formats.explorer.api import explore

        return explore(self, path, **options)

    def bucket_to_explicit(self) -> "Embeddings":
        """Makes the n-grams of the known words explicit and drops all other buckets.

        N-grams that share a bucket keep sharing a row. Metadata is left out, since it no longer
        describes the result.

        Raises:
            TypeError: if the vocabulary has no hashed n-grams.
        """
        # Transforms import embeddings, so that this import is not at the top.
        from ffjax.transforms.words import explicit_ngrams

        return Embeddings(*explicit_ngrams(self.storage, self.vocab), self.norms)

    def __contains__(self, item: object) -> bool:
        """Whether a word is known (a word that only has n-grams is not)."""
        return item in self.vocab

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """Words with their vectors, and norms if there are any."""
        for word, row in zip(self.vocab, self.vocab.host_rows.tolist(), strict=True):
            vector = self.storage.read(row)
            yield (word, vector) if self.norms is None else (word, vector, self.norms[row])

    def __len__(self) -> int:
        return len(self.vocab)

    def __repr__(self) -> str:
        fields = (self.storage, self.vocab, self.norms)
        fields = [repr(field) for field in fields if field is not None]
        fields += [name for name in ("metadata", "training") if getattr(self, name) is not None]
        return f"Embeddings({', '.join(fields)})"

    if not TYPE_CHECKING:  # type checkers would take every name for an attribute

        def __getattr__(self, name: str) -> Any:
            return missing_attribute(self, name, names_elsewhere()[0].get(name))

    def _known_row(self, word: str, out: np.ndarray | None) -> int | None:
        """The row of a known word; checks both arguments."""
        if out is not None:
            check_out(out, (self.dims,), self.storage.dtype)
        try:
            return self.vocab.row_of(word)
        except TypeError:
            check_word("word", word, _MANY_WORDS)
            raise

    @cached_property
    def _composed_norms(self) -> Norms | None:
        if not isinstance(self.storage, ComposedArray):
            return None
        return Norms.of_storage(self.storage, self.vocab.n_word_rows)


def _written(vector: Any, out: np.ndarray | None) -> Any:
    if out is None or vector is None:
        return vector
    out[...] = vector
    return out
