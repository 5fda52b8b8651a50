"""Benchmarks of analogies: how many questions the embeddings answer correctly."""

from dataclasses import dataclass
from itertools import chain, compress
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ffjax._internal.arguments import check_embeddings
from ffjax._internal.file_arguments import Path, check_choice
from ffjax._internal.progress import Progress, ignore
from ffjax.embeddings.value import Embeddings
from ffjax.evaluate.datasets import KnownWords, Question, read_questions
from ffjax.functional.analogy import METHODS, host_answer

SKIPS = ("any", "answer")
# As in gensim: if the best answers are the question's words in another case, the next ones count.
_ANSWERS = 5
_BATCH_QUESTIONS = 1024


class AnalogyAnswer(NamedTuple):
    """A question and its answer.

    Attributes:
        a: a is to
        b: b as
        c: c is to
        expected: the correct answer.
        predicted: the answer of the embeddings, `None` if a word of the question has no vector.
        similarity: how similar that is to what was searched for.
        correct: whether it is the expected one.
    """

    a: str
    b: str
    c: str
    expected: str
    predicted: str | None
    similarity: float
    correct: bool

    def __repr__(self) -> str:
        words = ", ".join(map(repr, self[:5]))
        verdict = "correct" if self.correct else "wrong"
        return f"AnalogyAnswer({words}, {self.similarity:.3f}, {verdict})"


@dataclass(frozen=True, repr=False)
class AnalogySection:
    """The answers to the questions of a section.

    Attributes:
        name: the name of the section.
        answers: the questions that were asked with their answers, in order.
        n_skipped: how many questions were not asked.
    """

    name: str
    answers: tuple[AnalogyAnswer, ...]
    n_skipped: int

    def __repr__(self) -> str:
        return f"AnalogySection({self.name!r}, {self._counts})"

    @property
    def _counts(self) -> str:
        return f"{self.n_correct} of {self.n_asked} correct, {self.n_skipped} skipped"

    @property
    def n_asked(self) -> int:
        """How many questions were asked."""
        return len(self.answers)

    @property
    def n_correct(self) -> int:
        """How many answers are correct."""
        return sum(answer.correct for answer in self.answers)

    @property
    def accuracy(self) -> float:
        """The share of correct answers to the questions that were asked, 0 without any."""
        return self.n_correct / self.n_asked if self.answers else 0.0

    @property
    def mean_similarity(self) -> float:
        """The mean similarity of all answers to what was searched for, 0 without any."""
        total = sum(answer.similarity for answer in self.answers)
        return total / self.n_asked if self.answers else 0.0


@dataclass(frozen=True, repr=False)
class AnalogyResult:
    """The answers to all questions of a file.

    Attributes:
        sections: the sections in the order of the file.
    """

    sections: tuple[AnalogySection, ...]

    def __repr__(self) -> str:
        return f"AnalogyResult(accuracy {self.accuracy:.3f}: {self.total._counts})"

    @property
    def total(self) -> AnalogySection:
        """All questions as one section."""
        answers = tuple(chain.from_iterable(section.answers for section in self.sections))
        n_skipped = sum(section.n_skipped for section in self.sections)
        return AnalogySection("total", answers, n_skipped)

    @property
    def accuracy(self) -> float:
        """The share of correct answers to all questions that were asked, 0 without any."""
        return self.total.accuracy


def analogies(
    embeddings: Embeddings,
    path: Path,
    *,
    restrict: int | None = 300_000,
    fold_case: bool = True,
    skip: str = "any",
    method: str = "3cosadd",
    progress: Progress | None = None,
) -> AnalogyResult:
    r"""Asks the questions of a file of analogies, such as Google's `questions-words.txt`.

    By default questions are skipped, asked and marked as in gensim's `evaluate_word_analogies`.
    With `restrict=None, fold_case=False, skip="answer"` they are as in `finalfusion
    compute-accuracy`.

    Args:
        embeddings: the embeddings.
        path: a file with lines `: SECTION` and lines of four words, see `ffjax.evaluate.datasets`.
        restrict: only so many words from the top of the vocabulary are known, `None` for all.
        fold_case: whether case is ignored.
        skip: `"any"` skips questions with any unknown word. `"answer"` skips those whose answer is
            unknown; other unknown words are looked up through their n-grams, and a question with a
            word without a vector counts as answered wrongly.
        method: `"3cosadd"` or `"3cosmul"`, see `ffjax.analogy`; vectors have unit length in either.
        progress: called with the number of questions answered so far and of all.

    Returns:
        The result, with `accuracy` and `sections`.

    Raises:
        FormatError: if the file has another form.
        OSError: if it cannot be read.
        ValueError: if an option is unknown, or the vocabulary has no words.

    Examples:
        >>> import ffjax, tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "questions.txt"
        >>> lines = ": family\nMan King Woman Queen\ngood better bad worse\nboy girl 12345 x\n"
        >>> _ = path.write_text(lines)
        >>> result = ffjax.evaluate.analogies(ffjax.demo(), path)
        >>> result.accuracy, result.sections[0].name, result.sections[0].n_skipped
        (1.0, 'family', 1)
    """
    check_choice("skip", skip, SKIPS)
    check_choice("method", method, METHODS)
    check_embeddings(embeddings)
    if not len(embeddings.vocab):
        raise ValueError("`embeddings`: expected words to choose answers from, got no words.")
    sections = read_questions(path)
    words = KnownWords(embeddings.vocab, restrict, fold_case)
    questions = list(chain.from_iterable(questions for _, questions in sections))
    numbers = words.numbers(list(chain.from_iterable(questions))).reshape(-1, 4)
    is_asked = np.asarray(numbers[:, 3] >= 0 if skip == "answer" else (numbers >= 0).all(1))
    chosen, numbers = list(compress(questions, is_asked)), numbers[is_asked]
    solver = _Solver(embeddings, words, method, progress or ignore)
    answers = iter(solver.answers(chosen, numbers))
    flags, results = iter(is_asked), []
    for name, section in sections:
        of_section = tuple(next(answers) for _ in section if next(flags))
        results.append(AnalogySection(name, of_section, len(section) - len(of_section)))
    return AnalogyResult(tuple(results))


class _Solver(NamedTuple):
    """Answers questions with one method and its settings."""

    emb: Embeddings
    words: KnownWords
    method: str
    progress: Progress

    def answers(self, questions: list[Question], numbers: np.ndarray) -> list[AnalogyAnswer]:
        """The answers to questions, whose words have these numbers."""
        vocab, n_words = self.emb.vocab, self.words.n_words
        vectors, positions = self._vectors(questions, numbers)
        abc = numbers[:, :3]
        exclude = np.where(abc >= 0, vocab.host_rows[abc], -1).astype(np.int32)
        rows, scores = self._search(vectors, positions, exclude)
        row_words, texts = np.asarray(vocab.row_words), vocab.words
        # Words that differ in case alone count as one.
        counts_as = np.full(n_words + 1, -2, np.int64)
        answered = np.unique(row_words[rows[rows >= 0]])
        counts_as[answered] = self.words.numbers([texts[number] for number in answered])
        answers = np.where(rows >= 0, row_words[rows], n_words)
        is_new = ((counts_as[answers][:, :, None] != abc[:, None]) | (abc[:, None] < 0)).all(-1)
        # The first answer that is not a word of the question, or else the last.
        last = np.maximum((rows >= 0).sum(1) - 1, 0)
        best = np.where(is_new.any(1), is_new.argmax(1), last)[:, None]
        predicted = np.take_along_axis(answers, best, axis=1)[:, 0]
        similarities = np.take_along_axis(scores, best, axis=1)[:, 0]
        answerable = (positions >= 0).all(1) & (predicted < n_words)
        is_correct = answerable & (counts_as[predicted] == numbers[:, 3])
        columns = (x.tolist() for x in (predicted, similarities, answerable, is_correct))
        outcomes = zip(*columns, strict=True)
        return [
            AnalogyAnswer(*question, texts[number] if ok else None, score if ok else 0.0, correct)
            for question, (number, score, ok, correct) in zip(questions, outcomes, strict=True)
        ]

    def _vectors(
        self, questions: list[Question], numbers: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The vectors of all words of questions, and the positions of a, b and c in them, or -1."""
        emb, unknown_at = self.emb, np.argwhere(numbers[:, :3] < 0).tolist()
        unknown = sorted({questions[i][j] for i, j in unknown_at})
        unknown_vectors, has_vector = emb.embedding_batch(unknown)
        unique, positions = np.unique(numbers[:, :3], return_inverse=True)
        positions = positions.reshape(-1, 3)
        vectors = emb.storage.embedding(emb.vocab.host_rows[np.maximum(unique, 0)])
        position_of = {x: len(unique) + i if has_vector[i] else -1 for i, x in enumerate(unknown)}
        for i, j in unknown_at:
            positions[i, j] = position_of[questions[i][j]]
        return np.concatenate([vectors, unknown_vectors]).astype(np.float32), positions

    def _search(
        self, vectors: np.ndarray, positions: np.ndarray, exclude: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The rows of the best answers to each question, and their scores, `[n, _ANSWERS]`."""
        n, emb = len(positions), self.emb
        rows, scores = np.zeros((n, _ANSWERS), np.int32), np.zeros((n, _ANSWERS), np.float32)
        candidates, n_rows = self.words.rows, emb.vocab.n_word_rows
        if isinstance(candidates, slice):  # from the first row on: only these must be in memory
            candidates, n_rows = None, candidates.stop
        has_all = len(emb.storage) == n_rows and emb.storage.row_arrays
        # In device memory: rows are read or composed once, not for each batch.
        storage = jax.tree.map(jnp.asarray, emb.storage if has_all else emb.storage[:n_rows])
        options = {"method": self.method, "metric": "cosine", "candidates": candidates}
        for start in range(0, n, _BATCH_QUESTIONS):
            batch = slice(start, start + _BATCH_QUESTIONS)
            queries = vectors[positions[batch]].transpose(1, 0, 2)
            nearest = host_answer(storage, queries, _ANSWERS, exclude=exclude[batch], **options)
            rows[batch], scores[batch] = nearest.rows, nearest.scores
            self.progress(min(batch.stop, n), n)
        return rows, scores
