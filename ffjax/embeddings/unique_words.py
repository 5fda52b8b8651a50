"""The words of a text, each once: a table of their vectors, made ready for being added up."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from ffjax._internal.arguments import array_of
from ffjax._internal.arrays import aligned_zeros, padded_size
from ffjax.embeddings.batch_lookup import embed_words, read_rows
from ffjax.functional.lookup import EmbeddingsLike
from ffjax.kernels.pool import check_pooling
from ffjax.strings.byte_views import ByteViews
from ffjax.strings.codec import decode_word, encode_word
from ffjax.vocab import SubwordVocab

_END = "</s>"
_LABEL = b"__label__"


class Table(NamedTuple):
    """Vectors of different words.

    Attributes:
        rows: float32 `[n, dims]`, with rows of zeros behind the last.
        ids: the row of each word of the text, -1 if it does not count.
        shares: what each row counts in a mean, float64 `[n]`; `None` for one each.
    """

    rows: np.ndarray
    ids: np.ndarray
    shares: np.ndarray | None


class Pooling(NamedTuple):
    """How the words of a line become a vector.

    Attributes:
        pooling: a name of `ffjax.kernels.pool.POOLINGS`.
        weights: a factor for each known word and one for unknown ones, or `None`.
        unnormalize: whether vectors are as they were trained.
        end: for the lines of a supervised model, the row of `</s>`, which each of them ends with; zeros without one.
        n_end: how many rows that is, 1 or 0.
        labels: a supervised model's labels, which are no words.
    """

    pooling: str
    weights: np.ndarray | None
    unnormalize: bool
    end: np.ndarray | None
    n_end: int = 0
    labels: frozenset[bytes] = frozenset()

    @classmethod
    def checked(cls, embeddings: EmbeddingsLike, pooling: str, weights: Any, unnormalize: bool) -> "Pooling":
        """The pooling that a caller asks for.

        Raises:
            TypeError: weights that are no floats.
            ValueError: an unknown pooling, weights that do not fit, or a classifier that uses n-grams of words.
        """
        check_pooling(pooling, weights)
        n_words = embeddings.vocab.n_word_rows
        if weights is not None:
            if pooling == "fasttext":
                raise ValueError('`weights`: expected None for pooling "fasttext", got weights. Use "mean" with them.')
            weights = array_of("weights", weights, jnp.floating, "a factor for each word's row, in their order")
            check_weights(weights, n_words)
            weights = np.asarray(weights, np.float32)
            if len(weights) == n_words:
                weights = np.append(weights, np.float32(1))
        if pooling != "fasttext" or not is_classifier(embeddings):
            return cls(pooling, weights, unnormalize, None)
        if (_metadata(embeddings, "word_ngrams") or 1) > 1:
            raise ValueError(
                '`pooling`: expected a classifier without n-grams of words for "fasttext", got one with n-grams of '
                f'{_metadata(embeddings, "word_ngrams")} words. Use "mean".'
            )
        labels = frozenset(map(encode_word, embeddings.training.labels))  # type: ignore[attr-defined]
        row = embeddings.vocab.host_index.get(_END)
        if row is None:
            return cls(pooling, None, True, np.zeros(embeddings.storage.shape[1], np.float32), 0, labels)
        end = read_rows(embeddings, np.array([row], np.int32), unnormalize=True)[0]
        return cls(pooling, None, True, end, 1, labels)

    def shares(self, counts: np.ndarray, table: Table, lines: np.ndarray) -> np.ndarray:
        """What the sum of each line is divided by, float32 `[n_lines]`; 0 for lines that get zeros."""
        if self.pooling in ("max", "sum"):
            return (counts > 0).astype(np.float32)
        share = counts
        if table.shares is not None:
            counted = table.ids >= 0
            share = np.bincount(lines[counted], table.shares[table.ids[counted]], minlength=len(counts))
        return (share + self.n_end).astype(np.float32)

    def finish(self, total: np.ndarray, share: np.ndarray, out: np.ndarray) -> None:
        """Makes means of the sums of some lines, and zeros for lines without words."""
        if self.end is not None:
            total = total + self.end
        np.divide(total, share[:, None], out=out, where=share[:, None] != 0)  # NaN where a weight is NaN
        out[share == 0] = 0


def is_classifier(embeddings: EmbeddingsLike) -> bool:
    """Whether these are of a supervised model of fastText."""
    training = getattr(embeddings, "training", None)
    return training is not None and len(training.label_table) > 0


def check_weights(weights: Any, n_words: int) -> None:
    """Refuses weights of another shape.

    Raises:
        ValueError: so it is.
    """
    if weights.shape not in ((n_words,), (n_words + 1,)):
        raise ValueError(
            f"`weights`: expected {n_words}, one for each word's row, and perhaps one for unknown words, got "
            f"shape {weights.shape}."
        )


def table_of(embeddings: EmbeddingsLike, rule: Pooling, words: ByteViews, ids: np.ndarray, lines: np.ndarray) -> Table:
    """The vectors of the different words of a text.

    Args:
        embeddings: the embeddings.
        rule: how they will be pooled.
        words: the words.
        ids: the row of each known word, -1 for the others.
        lines: the line of each word, in order.
    """
    read = None
    if rule.end is not None:
        read = _read(words, lines)
        ids = np.where(read, ids, np.int32(-1))
    used = np.zeros(embeddings.vocab.n_word_rows + 1, bool)
    used[ids] = True
    used[-1] = False
    known = np.flatnonzero(used).astype(np.int32)
    place = np.full(used.size, -1, np.int32)
    place[known] = np.arange(len(known), dtype=np.int32)
    ids = place[ids]
    names, strange = _unknown(embeddings, rule, words, np.flatnonzero(ids < 0 if read is None else (ids < 0) & read))
    ids[strange >= 0] = len(known) + strange[strange >= 0]

    rows = aligned_zeros((padded_size(max(len(known) + len(names), 1), coarse=True), embeddings.storage.shape[1]), np.float32)
    there = np.ones(len(rows), bool)
    if len(known):
        rows[: len(known)] = read_rows(embeddings, known, unnormalize=rule.unnormalize)
    if names:
        behind = slice(len(known), len(known) + len(names))
        rows[behind], there[behind] = embed_words(embeddings, names, unnormalize=rule.unnormalize)
    shares = None
    if rule.end is not None:
        shares = _numbers_of_rows(embeddings, known, names, len(rows))
        rows *= shares[:, None].astype(np.float32)
    elif rule.pooling == "fasttext":
        lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
        there &= lengths > 0
        np.divide(rows, lengths[:, None], out=rows, where=there[:, None])
    elif rule.weights is not None:
        factors = np.zeros(len(rows), np.float32)
        factors[: len(known)], factors[len(known) : len(known) + len(names)] = rule.weights[known], rule.weights[-1]
        rows *= factors[:, None]
        shares = np.abs(factors).astype(np.float64)
    return Table(rows, np.where(there[ids], ids, np.int32(-1)), shares)


def _read(words: ByteViews, lines: np.ndarray) -> np.ndarray:
    """Which words of a supervised model's lines are read: those before the first `</s>`. Bool `[n]`."""
    read = np.ones(len(lines), bool)
    likely = np.flatnonzero(words.lengths == len(_END))
    data = words.data[words.starts[likely][:, None] + np.arange(len(_END))]
    ends = likely[(data == np.frombuffer(_END.encode(), np.uint8)).all(1)]
    own, first = np.unique(lines[ends], return_index=True)
    for begin, end in zip(ends[first].tolist(), np.searchsorted(lines, own, side="right").tolist(), strict=True):
        read[begin:end] = False
    return read


def _unknown(
    embeddings: EmbeddingsLike, rule: Pooling, words: ByteViews, left: np.ndarray
) -> tuple[list[bytes], np.ndarray]:
    """The different words among `left`, the unknown ones, and for each word of the text its number, -1 for others."""
    numbers = np.full(len(words.starts), -1, np.int32)
    if not isinstance(embeddings.vocab, SubwordVocab):
        return [], numbers
    seen: dict[bytes, int] = {}
    data = words.data
    for at, start, length in zip(left.tolist(), words.starts[left].tolist(), words.lengths[left].tolist(), strict=True):
        word = data[start : start + length].tobytes()
        # A model's file does not say what its labels begin with, so that fastText takes the usual for others.
        if rule.end is None or not (word.startswith(_LABEL) or word in rule.labels):
            numbers[at] = seen.setdefault(word, len(seen))
    return list(seen), numbers


def _numbers_of_rows(embeddings: EmbeddingsLike, known: np.ndarray, names: list[bytes], n: int) -> np.ndarray:
    """How many rows a classifier adds up for each word: its own and those of its n-grams."""
    numbers = np.ones(n, np.float64)
    vocab = embeddings.vocab
    if isinstance(vocab, SubwordVocab):
        for i, row in enumerate(known.tolist()):
            word = vocab.words[vocab.row_words[row]]
            numbers[i] += 0 if word == _END else _count(vocab, word)
        for i, name in enumerate(names, start=len(known)):
            numbers[i] = _count(vocab, decode_word(name))
    return numbers


def _count(vocab: SubwordVocab, word: str) -> int:
    return sum(len(rows) for rows in vocab.subword_row_pieces(word))


def _metadata(embeddings: EmbeddingsLike, name: str) -> Any:
    metadata = getattr(embeddings, "metadata", None)
    return None if metadata is None else metadata.get(name)
