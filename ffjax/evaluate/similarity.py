"""Pairs of words: how well similarities of vectors agree with those that people see."""

from dataclasses import dataclass

import numpy as np

from ffjax._internal.arguments import check_embeddings
from ffjax.embeddings.value import Embeddings
from ffjax.evaluate.datasets import File, Pair, read_pairs
from ffjax.evaluate.known_words import KnownWords


@dataclass(frozen=True)
class PairsResult:
    """How well similarities agree.

    Attributes:
        pearson: Pearson's correlation of the similarities, from -1 to 1; NaN for fewer than two pairs, or where one
            side is constant.
        spearman: Spearman's correlation, which is Pearson's of the ranks; equal similarities share the mean rank.
        pairs: the pairs that count, in order.
        similarities: the cosine of each of them.
        n_skipped: how many pairs have an unknown word.
    """

    pearson: float
    spearman: float
    pairs: tuple[Pair, ...]
    similarities: tuple[float, ...]
    n_skipped: int


def similarity(
    embeddings: Embeddings,
    path: File,
    *,
    restrict: int | None = 300_000,
    fold_case: bool = True,
    delimiter: str = "\t",
) -> PairsResult:
    r"""Correlates cosines with the judgements in a file of pairs, such as WordSim-353 and SimLex-999.

    Pairs are skipped and words found as gensim's `evaluate_word_pairs` does. That one answers p-values too, from
    Student's t-distribution with `len(pairs) - 2` degrees of freedom, for which it needs SciPy; where that is at hand,
    `scipy.stats.pearsonr` and `spearmanr` of `similarities` and the pairs' own give them (see `PairsResult`).

    Args:
        embeddings: the embeddings.
        path: a file with lines `word TAB word TAB similarity`, see `ffjax.evaluate.datasets`.
        restrict: only so many words from the top of the vocabulary are known, `None` for all.
        fold_case: whether case is ignored.
        delimiter: what stands between the words and the number.

    Returns:
        The result, with `pearson` and `spearman`.

    Raises:
        FormatError: the file is not of that form.
        OSError: it cannot be read.
        TypeError: an argument is of another type.
        ValueError: `restrict` is less than 1.

    Examples:
        >>> import ffjax, tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "pairs.tsv"
        >>> _ = path.write_text("tea\tcoffee\t9\ntea\tphysics\t1\ntea\tbread\t5\ntea\t12345\t3\n")
        >>> result = ffjax.evaluate.similarity(ffjax.demo(), path)
        >>> round(result.spearman, 3), len(result.pairs), result.n_skipped
        (1.0, 3, 1)
    """
    check_embeddings(embeddings)
    if not isinstance(delimiter, str) or not delimiter:
        raise TypeError(f"`delimiter`: expected what stands between the words, got {delimiter!r}.")
    every = read_pairs(path, delimiter)
    words = KnownWords(embeddings.vocab, restrict, fold_case)
    numbers = words.numbers([word for pair in every for word in pair[:2]]).reshape(-1, 2)
    known = np.asarray((numbers >= 0).all(1))
    pairs = tuple(pair for pair, is_known in zip(every, known.tolist(), strict=True) if is_known)
    rows = embeddings.vocab.host_rows[numbers[known]]
    vectors = embeddings.storage.embedding(rows.ravel()).astype(np.float64).reshape(-1, 2, embeddings.dims)
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit = vectors / np.where(lengths > 0, lengths, 1)
    cosines = (unit[:, 0] * unit[:, 1]).sum(-1)
    judged = np.array([pair.similarity for pair in pairs])
    return PairsResult(
        pearson(judged, cosines),
        pearson(ranks(judged), ranks(cosines)),
        pairs,
        tuple(cosines.tolist()),
        len(every) - len(pairs),
    )


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson's correlation of two lists of numbers; NaN for fewer than two, where one is constant or not finite.

    Examples:
        >>> import numpy as np
        >>> round(pearson(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 7.0])), 4)
        0.9934
    """
    if len(x) < 2 or not (np.isfinite(x).all() and np.isfinite(y).all()):
        return float("nan")
    x, y = x - x.mean(), y - y.mean()
    scale = np.sqrt((x * x).sum() * (y * y).sum())
    return float(np.clip((x * y).sum() / scale, -1, 1)) if scale > 0 else float("nan")


def ranks(x: np.ndarray) -> np.ndarray:
    """The rank of each number, from 1; equal numbers share the mean of their ranks. Beside NaN no number has one.

    Examples:
        >>> import numpy as np
        >>> ranks(np.array([10.0, 30.0, 10.0, 20.0])).tolist()
        [1.5, 4.0, 1.5, 3.0]
    """
    if np.isnan(x).any():
        return np.full(len(x), np.nan)
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]
