"""The verbs that users of gensim, fastText and spaCy type: methods of `Embeddings`.

Each is a thin shell: words to vectors, one search or product, rows back to words. All of them mean
the cosine. A word without a vector is a `KeyError`; `get` answers `None` instead.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import compress
from types import MappingProxyType
from typing import Any

import numpy as np

from ffjax._internal.arguments import check_word, decode_hint, is_real, list_of_words, whole_number
from ffjax._internal.file_arguments import counted, wrong_type, wrong_value
from ffjax._internal.names_elsewhere import names_elsewhere
from ffjax.embeddings.similarity import SimilarityResult, WordSearches, number_of_answers, weighted
from ffjax.embeddings.text import embed_text
from ffjax.functional.search import all_scores, check_metric
from ffjax.kernels.normalize import cosines_of, to_unit
from ffjax.storage.word_sums import sum_of_word


class EverydayVerbs(WordSearches):
    """The everyday verbs of `Embeddings`, on the host."""

    @property
    def words(self) -> list[str]:
        """The known words in order. The list is made once and shared: treat it as read-only."""
        return self.vocab.words

    @property
    def index_to_key(self) -> list[str]:
        """The known words, under gensim's name."""
        return self.vocab.words

    @cached_property
    def key_to_index(self) -> Mapping[str, int]:
        """The position of each known word in `words`."""
        if self.vocab.shared_rows is None:
            return self.vocab.word_index
        return MappingProxyType({word: i for i, word in enumerate(self.vocab.words)})

    @property
    def vector_size(self) -> int:
        """The number of dimensions, under gensim's name."""
        return self.storage.shape[1]

    @cached_property
    def vectors(self) -> np.ndarray:
        """The vectors of the known words in order, read-only `[n_words, dims]`, as `emb[word]`.

        Rows other than a matrix on the host are decoded once; see `embedding_batch` for a few.
        """
        vectors = self.storage.view_rows(slice(0, self.vocab.n_word_rows))
        if self.vocab.shared_rows is not None:
            vectors = vectors[self.vocab.host_rows]
        vectors.flags.writeable = False
        return vectors

    def get(self, word: str, default: Any = None) -> Any:
        """The vector of a word, through its n-grams if it is unknown; or `default`, as of a `dict`.

        Examples:
            >>> import ffjax
            >>> emb = ffjax.demo()
            >>> emb.get("berlin").shape, emb.get("12345"), emb.get("12345", default=0)
            ((100,), None, 0)
        """
        vector = self.embedding(word)
        return default if vector is None else vector

    def similarity(self, a: str, b: str) -> float:
        """The cosine of the vectors of two words; 0 if one of them is a zero vector.

        Raises:
            KeyError: if a word has no vector.

        Examples:
            >>> import ffjax
            >>> emb = ffjax.demo()
            >>> emb.similarity("tea", "coffee") > emb.similarity("tea", "berlin")
            True
        """
        vectors = self._vectors("a`, `b", [a, b])
        return float(cosines_of(vectors[:1], vectors[1])[0])

    def n_similarity(self, words_a: Iterable[str], words_b: Iterable[str]) -> float:
        """The cosine of the means of two lists of words.

        As in gensim, the means are of the vectors before they were scaled to unit length, if
        `norms` is available.

        Raises:
            KeyError: if a word has no vector.
            ValueError: if a list is empty.

        Examples:
            >>> import ffjax
            >>> emb = ffjax.demo()
            >>> emb.n_similarity(["tea", "coffee"], ["milk", "juice"]) > 0.5
            True
        """
        a, b = self._mean_unscaled("words_a", words_a), self._mean_unscaled("words_b", words_b)
        return float(cosines_of(a[None], b)[0])

    def distances(
        self, word: str | np.ndarray, other_words: Iterable[str] | None = None
    ) -> np.ndarray:
        """One less the cosine of a word, or a vector, and each of other words.

        Args:
            word: a word, or a vector of shape `[dims]`.
            other_words: the other words; all known words in order by default.

        Returns:
            float32 `[n]`.

        Raises:
            KeyError: if a word has no vector.

        Examples:
            >>> import ffjax
            >>> emb = ffjax.demo()
            >>> bool(np.argsort(emb.distances("tea"))[0] == emb.key_to_index["tea"])
            True
        """
        vector = self._vectors("word", [word])[0]
        if other_words is None:
            scores = all_scores(self, to_unit(vector).astype(np.float32), "cosine")
            cosines = scores[self.vocab.host_rows]
        else:
            rows = self._vectors("other_words", list_of_words(other_words, "other_words"))
            cosines = cosines_of(rows, vector)
        return (1 - cosines).astype(np.float32)

    def closer_than(self, a: str, b: str, *, metric: str = "cosine") -> list[str]:
        """The words that are closer to `a` than `b` is, in the order of the vocabulary.

        `metric` is one of those of `ffjax.top_k`; all but `"dot"` order words as the cosine does.

        Raises:
            KeyError: if a word has no vector.

        Examples:
            >>> import ffjax
            >>> ffjax.demo().closer_than("berlin", "hamburg")
            ['vienna', 'munich']
        """
        check_metric(metric)
        vector, other = self._vectors("a`, `b", [a, b])
        metric = "dot" if metric == "dot" else "cosine"
        unit, row = to_unit(vector), self.vocab.row_of(b)
        scores = all_scores(self, unit.astype(np.float32), metric)
        other = other if metric == "dot" else to_unit(other)
        limit = unit @ other if row is None else scores[row]
        closer = np.flatnonzero((scores > limit)[self.vocab.host_rows])
        return [word for word in self.vocab.table.pick(closer.tolist()) if word != a]

    def rank(self, a: str, b: str, *, metric: str = "cosine") -> int:
        """The place of `b` among the words closest to `a`: 1 if no other word is closer.

        `metric` is that of `closer_than`.

        Raises:
            KeyError: if a word has no vector.

        Examples:
            >>> import ffjax
            >>> ffjax.demo().rank("berlin", "hamburg")
            3
        """
        return len(self.closer_than(a, b, metric=metric)) + 1

    def doesnt_match(self, words: Iterable[str]) -> str:
        """The word that is farthest from the mean of all, each scaled to unit length.

        Raises:
            KeyError: if a word has no vector.
            ValueError: if there are no words.

        Examples:
            >>> import ffjax
            >>> ffjax.demo().doesnt_match(["breakfast", "cereal", "dinner", "car"])
            'car'
        """
        words = _not_empty("words", list_of_words(words))
        units = to_unit(self._vectors("words", words))
        return min(zip((units @ units.mean(0)).tolist(), words, strict=True))[1]

    def most_similar(
        self,
        positive: Any = (),
        negative: Any = (),
        topn: int = 10,
        *,
        k: int | None = None,
        metric: str = "cosine",
        candidates: Any = None,
        restrict_vocab: int | None = None,
        **other: Any,
    ) -> list[SimilarityResult]:
        """The words most similar to one query that several words make, as in gensim.

        The query is the weighted mean of the words' unit vectors and of other vectors as they are.
        Its words are not answers. A query of zeros has the cosine 0 with every word. For answers to
        each of many words use `most_similar_batch`.

        Args:
            positive: a word, a vector of shape `[dims]`, or a list of them. A pair of one of these
                and a number sets its weight, which is 1 otherwise.
            negative: the same, with a weight of -1; a weight of your own brings its sign.
            topn: at most how many words.
            k: another name for `topn`.
            metric: how to score: `"cosine"`, or one of the others of `ffjax.top_k`.
            candidates: the rows that may be answers, see `ffjax.top_k`.
            restrict_vocab: only the first so many words may be answers, as in gensim.
            **other: gensim's other arguments, for which the error names the replacement.

        Returns:
            Words, best first, each with its score.

        Raises:
            KeyError: if a word has no vector.
            TypeError: if something is not a word, a vector of `dims` numbers, or such a pair, or
                `topn` and `k` contradict each other.
            ValueError: if there is no word and no vector.

        Examples:
            >>> import ffjax
            >>> emb = ffjax.demo()
            >>> [word for word, score in emb.most_similar("berlin", topn=2)]
            ['munich', 'vienna']
            >>> emb.most_similar(positive=["woman", "king"], negative=["man"], topn=1)[0].word
            'queen'
            >>> emb.most_similar([("tea", 2.0), emb["milk"]], topn=1)[0].word
            'coffee'
        """
        for name in other:
            hint = names_elsewhere()[2].get(name, "See `help(ffjax.Embeddings.most_similar)`")
            raise TypeError(f"`most_similar` has no argument `{name}`. {hint}.")
        pairs = [*weighted("positive", positive, 1.0), *weighted("negative", negative, -1.0)]
        if not pairs:
            raise wrong_value("positive", "at least one word or vector", "none")
        keys, weights = zip(*pairs, strict=True)
        vectors = self._vectors("positive`, `negative", keys)
        is_word = [isinstance(key, str) for key in keys]
        vectors[is_word] = to_unit(vectors[is_word])
        query = to_unit(np.array(weights) @ vectors).astype(np.float32)
        skip = set(compress(keys, is_word))
        n = number_of_answers("topn", topn, "k", k, hint="`emb.distances` compares all words.")
        if restrict_vocab is not None:
            if candidates is not None:
                raise TypeError("`restrict_vocab`: expected None with `candidates`, got both.")
            candidates = self.vocab.first_rows(whole_number("restrict_vocab", restrict_vocab, 1))
        return self._nearest(query, n, skip, metric=metric, candidates=candidates)

    def get_nearest_neighbors(
        self, word: str, k: int = 10, *, topn: int | None = None, metric: str = "cosine"
    ) -> list[tuple[float, str]]:
        """The words nearest to a word as fastText gives them: the score first.

        Arguments and errors are those of `most_similar`, for one word.

        Examples:
            >>> import ffjax
            >>> [word for score, word in ffjax.demo().get_nearest_neighbors("berlin", k=2)]
            ['munich', 'vienna']
        """
        check_word("word", word)
        n = number_of_answers("k", k, "topn", topn)
        pairs = self.most_similar(word, topn=n, metric=metric)
        return [(float(score), word) for word, score in pairs]

    def get_sentence_vector(self, text: str) -> np.ndarray:
        """The vector of one line of text, as fastText computes it: float32 `[dims]`.

        It is the mean of the words' vectors at unit length, or, for a supervised model, of all the
        rows of the line; `embed_text(..., pooling="fasttext")` does so for many lines. A line of
        words without vectors gets zeros.

        Raises:
            TypeError: if the text is not a `str`.
            ValueError: if it has several lines.

        Examples:
            >>> import ffjax
            >>> ffjax.demo().get_sentence_vector("a cup of tea").shape
            (100,)
        """
        check_word("text", text, what="a str of one line")
        if "\n" in text:
            hint = "Use `ffjax.embed_text` for several."
            raise wrong_value("text", "one line", repr(text), hint)
        return embed_text(self, [text], pooling="fasttext")[0][0]

    def _vectors(self, name: str, keys: Sequence[Any]) -> np.ndarray:
        """The vectors of words, and vectors as they are: float64 `[n, dims]`."""
        vectors, missing = np.zeros((len(keys), self.vector_size)), []
        for row, key in zip(vectors, keys, strict=True):
            vector = self.embedding(key) if isinstance(key, str) else np.asarray(key)
            if vector is None:
                missing.append(key)
            elif vector.shape != row.shape or not is_real(vector.dtype):
                expected = f"a word or a vector of {counted(len(row), 'number')}"
                raise wrong_type(name, expected, key, decode_hint(key))
            else:
                row[:] = vector
        if missing:
            names = ", ".join(map(repr, missing))
            have = "it has" if len(missing) == 1 else "they have"
            raise KeyError(
                f"{names}: not one of the {len(self.vocab)} words, and {have} no n-grams with "
                "rows. Leave out words for which `emb.get(word)` is None."
            )
        return vectors

    def _mean_unscaled(self, name: str, words: Iterable[str]) -> np.ndarray:
        """The mean of words' vectors before they were scaled to unit length, if norms are known."""
        words = _not_empty(name, list_of_words(words, name))
        vectors = self._vectors(name, words)
        for i, word in enumerate(words):
            row = self.vocab.row_of(word)
            if row is None:
                total, count = sum_of_word(self.storage, self.vocab, word)
                vectors[i] = total / count
            elif self.norms is not None:
                vectors[i] *= self.norms[row]
        return vectors.mean(0)


def _not_empty(name: str, words: list[str]) -> list[str]:
    if not words:
        raise wrong_value(name, "at least one word", "none")
    return words
