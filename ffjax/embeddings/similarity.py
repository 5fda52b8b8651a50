"""Searches that take and answer words: the methods of `Embeddings`, and what they are made of."""

import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from ffjax._internal.arguments import check_word, is_real, list_of_words, whole_number
from ffjax._internal.arrays import padded_size
from ffjax._internal.file_arguments import wrong_type, wrong_value
from ffjax.embeddings.batch_lookup import embed_words
from ffjax.functional.analogy import host_answer
from ffjax.functional.search import EmbeddingsLike, TopK, nearest_rows
from ffjax.storage import Storage
from ffjax.vocab import Vocab

# Words that are searched at once, so that few answers are in memory.
_SEARCHED_WORDS = 4096


def _by_similarity(compare: Callable[[float, float], bool]) -> Any:
    """A comparison of the similarities of two results; of tuples otherwise."""

    def method(self: Any, other: Any) -> Any:
        is_result = isinstance(other, SimilarityResult)
        return compare(self.similarity, other.similarity) if is_result else NotImplemented

    return method


class SimilarityResult(NamedTuple):
    """A word and its similarity to the query; results compare by similarity only.

    A result is a tuple like the pairs of gensim.

    Attributes:
        word: the word.
        similarity: the score: the cosine from `most_similar` and the other everyday verbs; from
            finalfusion's methods (`word_similarity`, `embedding_similarity`, `analogy`) the dot
            product, which is the cosine if rows have unit length. `metric=` chooses another.
    """

    word: str
    similarity: float

    __eq__ = _by_similarity(operator.eq)
    __ne__ = _by_similarity(operator.ne)
    __lt__ = _by_similarity(operator.lt)
    __le__ = _by_similarity(operator.le)
    __gt__ = _by_similarity(operator.gt)
    __ge__ = _by_similarity(operator.ge)

    def __repr__(self) -> str:
        return f"SimilarityResult({self.word!r}, {self.similarity:.3f})"


class WordSearches:
    """The searches of `Embeddings` that take and answer words, on the host."""

    storage: Storage
    vocab: Vocab
    norms: Any  # a property
    embedding: Callable[..., np.ndarray | None]

    def analogy(
        self,
        word1: str,
        word2: str,
        word3: str,
        k: int = 1,
        skip: Iterable[str] | None = None,
        *,
        method: str = "3cosadd",
        metric: str = "dot",
        topn: int | None = None,
    ) -> list[SimilarityResult] | None:
        """Answers "word1 is to word2 as word3 is to ?": the words nearest to word2 - word1 + word3.

        Args:
            word1: the first word of the analogy.
            word2: what word1 is to.
            word3: the word that the answer is to.
            k: at most how many answers.
            skip: words that are not answers; the three query words if `None`, so pass an empty set
                to allow those.
            method: `"3cosadd"`, or `"3cosmul"` for the largest product of cosines, see
                `ffjax.analogy`.
            metric: for `"3cosadd"`, how to score, see `ffjax.analogy`. The dot product, which
                finalfusion takes, is the cosine for rows of unit length.
            topn: another name for `k`.

        Returns:
            Answers, best first, or `None` if one of the words has no vector.

        Examples:
            >>> import ffjax
            >>> ffjax.demo().analogy("man", "king", "woman")[0].word
            'queen'
        """
        words = {"word1": word1, "word2": word2, "word3": word3}
        for name, word in words.items():
            check_word(name, word)
        vectors = [self.embedding(word) for word in words.values()]
        if any(vector is None for vector in vectors):
            return None
        n = number_of_answers("k", k, "topn", topn, default=1)
        exclude = _excluded_rows(self, words.values() if skip is None else skip)
        options = {"method": method, "metric": metric, "exclude": exclude}
        queries = np.array(vectors, np.float32)[:, None]
        best = host_answer(self, queries, min(n, self.vocab.n_word_rows), **options)
        return named(self, best)[0]

    def word_similarity(
        self, query: str, k: int = 10, *, metric: str = "dot", topn: int | None = None
    ) -> list[SimilarityResult] | None:
        """The other words most similar to a word, by the dot product of their vectors.

        As in finalfusion-python. The dot product is the cosine for rows of unit length, such as all
        readers and `from_vectors` make; of other rows the long ones come first. `most_similar`
        takes the cosine in any case.

        Args:
            query: the word, which may be unknown if it has n-grams.
            k: at most how many words.
            metric: `"dot"`, `"cosine"`, `"euclidean"` or `"angular"`, see `ffjax.top_k`.
            topn: another name for `k`.

        Returns:
            Words, best first, or `None` if the word has no vector.

        Examples:
            >>> import ffjax
            >>> [result.word for result in ffjax.demo().word_similarity("berlin", k=2)]
            ['vienna', 'munich']
        """
        check_word("query", query)
        vector = self.embedding(query)
        n = number_of_answers("k", k, "topn", topn)
        return None if vector is None else self._nearest(vector, n, {query}, metric=metric)

    def most_similar_batch(
        self,
        words: Iterable[str],
        k: int = 10,
        *,
        metric: str = "cosine",
        candidates: Any = None,
        topn: int | None = None,
    ) -> list[list[SimilarityResult] | None]:
        """The other words most similar to each of many words, searched together.

        That is many times as fast as one search for each word.

        Args:
            words: the words.
            k: at most how many words for each.
            metric: `"cosine"`, or another metric of `ffjax.top_k`.
            candidates: the rows that may be answers, see `ffjax.top_k`.
            topn: another name for `k`.

        Returns:
            For each word a list, best first, or `None` if the word has no vector.

        Raises:
            TypeError: if `words` is a single word, or holds something other than words.

        Examples:
            >>> import ffjax
            >>> berlin, number = ffjax.demo().most_similar_batch(["berlin", "12345"], k=2)
            >>> [result.word for result in berlin], number
            (['munich', 'vienna'], None)
        """
        words = list_of_words(words)
        n = min(number_of_answers("k", k, "topn", topn), self.vocab.n_word_rows)
        answers: list[list[SimilarityResult] | None] = []
        for start in range(0, len(words), _SEARCHED_WORDS):
            block = words[start : start + _SEARCHED_WORDS]
            vectors, rows, found = vectors_of(self, block)
            options = {"metric": metric, "exclude": rows[:, None], "candidates": candidates}
            best = nearest_rows(self, vectors, n, **options)
            results = zip(named(self, best), found.tolist(), strict=True)
            answers += [result if has_vector else None for result, has_vector in results]
        return answers

    def embedding_similarity(
        self,
        query: np.ndarray,
        k: int = 10,
        skip: Iterable[str] | None = None,
        *,
        metric: str = "dot",
        topn: int | None = None,
    ) -> list[SimilarityResult]:
        """The words most similar to a vector, by the dot product, as in finalfusion-python.

        It is the cosine if the vector and the rows have unit length, see `word_similarity`.

        Args:
            query: a vector, shape `[dims]`.
            k: at most how many words.
            skip: words to leave out.
            metric: `"dot"`, `"cosine"`, `"euclidean"` or `"angular"`, see `ffjax.top_k`.
            topn: another name for `k`.

        Raises:
            TypeError: if the vector does not hold numbers.
            ValueError: if it has another shape.
        """
        query, dims = np.asarray(query), self.storage.shape[1]
        if not is_real(query.dtype):
            raise TypeError(f"`query`: expected a vector of {dims} numbers, got {query.dtype}.")
        if query.shape != (dims,):
            raise wrong_value("query", f"shape {(dims,)}", query.shape)
        n = number_of_answers("k", k, "topn", topn)
        return self._nearest(query, n, () if skip is None else skip, metric=metric)

    def _nearest(
        self, query: np.ndarray, k: int, skip: Iterable[str], *, metric: str, candidates: Any = None
    ) -> list[SimilarityResult]:
        """The words nearest to one vector, except those in `skip`."""
        k, queries = min(k, self.vocab.n_word_rows), np.asarray(query, np.float32)[None]
        options = {"exclude": _excluded_rows(self, skip), "candidates": candidates}
        return named(self, nearest_rows(self, queries, k, metric=metric, **options))[0]


def number_of_answers(
    name: str, n: Any, other_name: str, other: Any, *, default: int = 10, hint: str = ""
) -> int:
    """An argument, or its value under another name; both only if they are equal."""
    if other is None:
        return whole_number(name, n, hint=hint)
    if n not in (default, other):
        raise TypeError(
            f"`{name}`, `{other_name}`: expected one of them, since both are the number of "
            f"answers, got {n!r} and {other!r}."
        )
    return whole_number(other_name, other, hint=hint)


def weighted(name: str, keys: Any, weight: float) -> Iterator[tuple[Any, float]]:
    """The words and vectors of an argument, each with its weight."""
    if keys is None:
        return
    is_vector = getattr(keys, "ndim", 0) == 1 and is_real(np.asarray(keys).dtype)
    keys = [keys] if isinstance(keys, str | bytes) or is_vector else keys
    if not isinstance(keys, Iterable):
        raise wrong_type(name, "words or vectors", keys)
    for key in keys:
        if not isinstance(key, tuple):
            yield key, weight
        elif len(key) == 2 and isinstance(key[1], Real):
            yield key[0], float(key[1])
        else:
            raise TypeError(f"`{name}`: expected pairs of a word and a weight, got {key!r}.")


def vectors_of(emb: EmbeddingsLike, words: Sequence[str]) -> tuple[np.ndarray, ...]:
    """Vectors (float32) and rows (-1 for unknown words), and which words have a vector."""
    vectors, found = embed_words(emb, words)
    return vectors.astype(np.float32, copy=False), emb.vocab.rows_of(words), found


def named(emb: EmbeddingsLike, best: TopK) -> list[list[SimilarityResult]]:
    """Rows as words with scores: a row that several words share is called by the first of them."""
    rows, scores = np.asarray(best.rows), np.asarray(best.scores)
    exist = rows >= 0
    words = emb.vocab.words_of_rows(rows[exist].tolist())
    results = map(SimilarityResult, words, scores[exist].tolist())
    return [list(islice(results, n)) for n in exist.sum(1).tolist()]


def _excluded_rows(emb: EmbeddingsLike, skip: Any) -> np.ndarray:
    """The rows of known words, padded with -1, shape `[1, n]`."""
    rows = emb.vocab.rows_of(list_of_words(skip, "skip"))
    exclude = np.full(padded_size(len(rows), 4, coarse=True), -1, np.int32)
    exclude[: len(rows)] = rows
    return exclude[None]
