"""Questions of analogies: how many of them the embeddings answer right."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ffjax._internal.arguments import check_embeddings
from ffjax.embeddings.value import Embeddings
from ffjax.evaluate.datasets import File, Question, read_questions
from ffjax.evaluate.known_words import KnownWords
from ffjax.functional.analogy import METHODS, answer
from ffjax.storage import Int8Array, NdArray, QuantizedArray, Storage

SKIPS = ("any", "answer")
# As gensim: where the best answers are the question's words in another case, the next ones count, five at most.
_CANDIDATES = 5
_BATCH = 512  # two blocks of the search: few empty places in the last batch


class AnalogyAnswer(NamedTuple):
    """A question and its answer.

    Attributes:
        a: a is to
        b: b as
        c: c is to
        expected: what is right.
        predicted: what the embeddings answer, `None` if a word of the question has no vector.
        similarity: how similar that is to what was searched for.
        correct: whether it is right.
    """

    a: str
    b: str
    c: str
    expected: str
    predicted: str | None
    similarity: float
    correct: bool


@dataclass(frozen=True)
class AnalogySection:
    """The answers to the questions of a section.

    Attributes:
        name: what the section is called.
        answers: the questions that were asked with their answers, in order.
        n_skipped: how many questions were not asked.
    """

    name: str
    answers: tuple[AnalogyAnswer, ...]
    n_skipped: int

    @property
    def n_asked(self) -> int:
        """How many questions were asked."""
        return len(self.answers)

    @property
    def n_correct(self) -> int:
        """How many answers are right."""
        return sum(answer.correct for answer in self.answers)

    @property
    def accuracy(self) -> float:
        """The share of right answers to the questions that were asked, 0 if none was."""
        return self.n_correct / self.n_asked if self.answers else 0.0

    @property
    def mean_similarity(self) -> float:
        """The mean similarity of the answers, right or wrong, to what was searched for, 0 if there are none."""
        return sum(answer.similarity for answer in self.answers) / self.n_asked if self.answers else 0.0


@dataclass(frozen=True)
class AnalogyResult:
    """The answers to all questions of a file.

    Attributes:
        sections: the sections in the order of the file.
    """

    sections: tuple[AnalogySection, ...]

    @property
    def total(self) -> AnalogySection:
        """All questions as one section."""
        answers = tuple(chain.from_iterable(section.answers for section in self.sections))
        return AnalogySection("total", answers, sum(section.n_skipped for section in self.sections))

    @property
    def accuracy(self) -> float:
        """The share of right answers to all questions that were asked, 0 if none was."""
        return self.total.accuracy


def analogies(
    embeddings: Embeddings,
    path: File,
    *,
    restrict: int | None = 300_000,
    fold_case: bool = True,
    skip: str = "any",
    method: str = "3cosadd",
    progress: Callable[[int, int], None] | None = None,
) -> AnalogyResult:
    r"""Asks the questions of a file of analogies, such as Google's `questions-words.txt`.

    With the defaults questions are skipped, asked and marked as gensim's `evaluate_word_analogies` does. With
    `restrict=None, fold_case=False, skip="answer"` they are as by `finalfusion compute-accuracy`.

    Args:
        embeddings: the embeddings.
        path: a file with lines `: SECTION` and lines of four words, see `ffjax.evaluate.datasets`.
        restrict: only so many words from the top of the vocabulary are known, `None` for all.
        fold_case: whether case is ignored.
        skip: `"any"` skips questions with any unknown word. `"answer"` skips those whose answer is unknown; other
            unknown words are looked up through their n-grams, and a question with a word without a vector is answered
            wrong.
        method: `"3cosadd"` or `"3cosmul"`, see `ffjax.analogy`; vectors have unit length in either.
        progress: called with the number of questions answered so far and of all.

    Returns:
        The result, with `accuracy` and `sections`.

    Raises:
        FormatError: the file is not of that form.
        OSError: it cannot be read.
        ValueError: an option is unknown, or the vocabulary has no words.

    Examples:
        >>> import ffjax, tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "questions.txt"
        >>> _ = path.write_text(": family\nMan King Woman Queen\ngood better bad worse\nboy girl 12345 x\n")
        >>> result = ffjax.evaluate.analogies(ffjax.demo(), path)
        >>> result.accuracy, result.sections[0].name, result.sections[0].n_skipped
        (1.0, 'family', 1)
    """
    for name, value, known in (("skip", skip, SKIPS), ("method", method, METHODS)):
        if value not in known:
            raise ValueError(f"`{name}`: expected one of {', '.join(map(repr, known))}, got {value!r}.")
    check_embeddings(embeddings)
    if not len(embeddings.vocab):
        raise ValueError("`embeddings`: expected words to choose answers from, got a vocabulary without any.")
    sections = read_questions(path)
    words = KnownWords(embeddings.vocab, restrict, fold_case)
    questions = list(chain.from_iterable(questions for _, questions in sections))
    numbers = words.numbers(list(chain.from_iterable(questions))).reshape(-1, 4)
    asked = np.asarray(numbers[:, 3] >= 0 if skip == "answer" else (numbers >= 0).all(1))
    answers = iter(_answers(embeddings, words, questions, numbers, asked, method, progress))
    results, start = [], 0
    for name, own in sections:
        here = asked[start : start + len(own)]
        start += len(own)
        given = tuple(next(answers) for _ in range(int(here.sum())))
        results.append(AnalogySection(name, given, len(own) - len(given)))
    return AnalogyResult(tuple(results))


def _answers(
    embeddings: Embeddings,
    words: KnownWords,
    questions: list[Question],
    numbers: np.ndarray,
    asked: np.ndarray,
    method: str,
    progress: Callable[[int, int], None] | None,
) -> list[AnalogyAnswer]:
    questions = [question for question, is_asked in zip(questions, asked.tolist(), strict=True) if is_asked]
    numbers = numbers[asked]
    vectors, places = _vectors(embeddings, questions, numbers)
    rows, scores = _search(embeddings, words, vectors, places, numbers, method, progress)
    first, texts, n_words = np.asarray(embeddings.vocab.row_words), embeddings.vocab.words, words.n_words
    # Words that differ in case alone count as one.
    used = np.unique(first[rows[rows >= 0]]).tolist()
    counts_as = np.full(n_words + 1, -2, np.int64)
    counts_as[used] = [words.number(texts[number]) for number in used]
    found = np.where(rows >= 0, first[rows], n_words)
    differs = ((counts_as[found][:, :, None] != numbers[:, None, :3]) | (numbers[:, None, :3] < 0)).all(-1)
    best = np.where(differs.any(1), differs.argmax(1), np.maximum((rows >= 0).sum(1) - 1, 0))
    chosen = np.take_along_axis(found, best[:, None], axis=1)[:, 0]
    similarities = np.take_along_axis(scores, best[:, None], axis=1)[:, 0]
    answerable = (places >= 0).all(1) & (chosen < n_words)
    correct = answerable & (counts_as[chosen] == numbers[:, 3])
    return [
        AnalogyAnswer(*question, texts[number] if known else None, similarity if known else 0.0, right)
        for question, number, similarity, known, right in zip(
            questions, chosen.tolist(), similarities.tolist(), answerable.tolist(), correct.tolist(), strict=True
        )
    ]


def _vectors(embeddings: Embeddings, questions: list[Question], numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The vectors of all words that are asked for, and the places of a, b and c in them (-1: no vector)."""
    unknown = sorted({questions[i][j] for i, j in np.argwhere(numbers[:, :3] < 0).tolist()})
    others, found = embeddings.embedding_batch(unknown)
    own, places = np.unique(numbers[:, :3], return_inverse=True)
    places = places.reshape(-1, 3)
    vectors = embeddings.storage.embedding(embeddings.vocab.host_rows[np.maximum(own, 0)]).astype(np.float32)
    behind = {word: len(own) + i if found[i] else -1 for i, word in enumerate(unknown)}
    for i, j in np.argwhere(numbers[:, :3] < 0).tolist():
        places[i, j] = behind[questions[i][j]]
    return np.concatenate([vectors, others.astype(np.float32)]), places


def _search(
    embeddings: Embeddings,
    words: KnownWords,
    vectors: np.ndarray,
    places: np.ndarray,
    numbers: np.ndarray,
    method: str,
    progress: Callable[[int, int], None] | None,
) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the best answers to each question, and their scores, `[n, k]`."""
    total = len(numbers)
    rows = np.zeros((total, _CANDIDATES), np.int32)
    scores = np.zeros((total, _CANDIDATES), np.float32)
    if not total:
        return rows, scores
    answers, n_rows = words.rows, embeddings.vocab.n_word_rows
    if isinstance(answers, slice):  # the rows from the first on: what is not searched need not be there
        answers, n_rows = None, answers.stop
    storage = _dense(embeddings.storage, n_rows)
    exclude = np.where(numbers[:, :3] >= 0, embeddings.vocab.host_rows[numbers[:, :3]], -1).astype(np.int32)
    # Batches of one size, so that one program is compiled.
    size = -(-total // -(-total // _BATCH))
    for start in range(0, total, size):
        some = np.minimum(np.arange(start, start + size), total - 1)
        three = vectors[places[some]].transpose(1, 0, 2)
        best = answer(
            storage, three, _CANDIDATES, method=method, metric="cosine", exclude=exclude[some], candidates=answers
        )
        stop = min(start + size, total)
        rows[start:stop] = np.asarray(best.rows)[: stop - start]
        scores[start:stop] = np.asarray(best.scores)[: stop - start]
        if progress is not None:
            progress(stop, total)
    return rows, scores


def _dense(storage: Storage, n_rows: int) -> Storage:
    """The first rows, on the device: those that are put together are put together once, not for every batch.

    Codes stay codes, of which the search decodes some at a time.
    """
    if isinstance(storage, QuantizedArray | Int8Array):
        return jax.tree.map(jnp.asarray, storage[:n_rows])
    if isinstance(storage, NdArray) and not isinstance(storage.matrix, np.ndarray):
        return storage if len(storage) == n_rows else storage[:n_rows]
    return NdArray(np.asarray(storage.embedding(slice(0, n_rows))))
