"""Pairs of words: how well the similarity of vectors agrees with human judgement."""

from dataclasses import dataclass
from itertools import compress

import numpy as np

from ffjax._internal.arguments import check_embeddings
from ffjax._internal.file_arguments import Path
from ffjax.embeddings.value import Embeddings
from ffjax.evaluate.datasets import KnownWords, Pair, read_pairs
from ffjax.kernels.normalize import to_unit


@dataclass(frozen=True, repr=False)
class PairsResult:
    """How well similarities agree with human judgement.

    Attributes:
        pearson: Pearson's correlation of the similarities, from -1 to 1; NaN for fewer than two
            pairs, or if one side is constant.
        spearman: Spearman's correlation, which is Pearson's of the ranks; equal similarities share
            their mean rank.
        pairs: the pairs whose words are known, in order.
        similarities: the cosine of each of them.
        n_skipped: how many pairs have an unknown word.
    """

    pearson: float
    spearman: float
    pairs: tuple[Pair, ...]
    similarities: tuple[float, ...]
    n_skipped: int

    def __repr__(self) -> str:
        counts = f"{len(self.pairs)} pairs, {self.n_skipped} skipped"
        return f"PairsResult(pearson {self.pearson:.3f}, spearman {self.spearman:.3f}: {counts})"


def similarity(
    embeddings: Embeddings,
    path: Path,
    *,
    restrict: int | None = 300_000,
    fold_case: bool = True,
    delimiter: str = "\t",
) -> PairsResult:
    r"""Correlates cosines with the judgements in a file of pairs, such as WordSim-353.

    Pairs are skipped and words are found as in gensim's `evaluate_word_pairs`. For the p-values
    that it also returns, pass the result's `similarities` and those of its `pairs` to
    `scipy.stats.pearsonr` and `spearmanr`.

    Args:
        embeddings: the embeddings.
        path: a file with lines `word TAB word TAB similarity`, see `ffjax.evaluate.datasets`.
        restrict: only so many words from the top of the vocabulary are known, `None` for all.
        fold_case: whether case is ignored.
        delimiter: what separates the words and the number.

    Returns:
        The result, with `pearson` and `spearman`.

    Raises:
        FormatError: if the file has another form.
        OSError: if it cannot be read.
        TypeError: if an argument has another type.
        ValueError: if `restrict` is less than 1.

    Examples:
        >>> import ffjax, tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "pairs.tsv"
        >>> lines = "tea\tcoffee\t9\ntea\tphysics\t1\ntea\tbread\t5\ntea\t12345\t3\n"
        >>> _ = path.write_text(lines)
        >>> result = ffjax.evaluate.similarity(ffjax.demo(), path)
        >>> round(result.spearman, 3), len(result.pairs), result.n_skipped
        (1.0, 3, 1)
    """
    check_embeddings(embeddings)
    if not isinstance(delimiter, str) or not delimiter:
        raise TypeError(f"`delimiter`: expected what separates the words, got {delimiter!r}.")
    all_pairs = read_pairs(path, delimiter)
    words = KnownWords(embeddings.vocab, restrict, fold_case)
    numbers = words.numbers([word for pair in all_pairs for word in pair[:2]]).reshape(-1, 2)
    is_known = np.asarray((numbers >= 0).all(1))
    pairs = tuple(compress(all_pairs, is_known))
    rows = embeddings.vocab.host_rows[numbers[is_known]]
    vectors = embeddings.storage.embedding(rows.ravel()).astype(np.float64)
    unit = to_unit(vectors).reshape(-1, 2, embeddings.dims)
    cosines = (unit[:, 0] * unit[:, 1]).sum(-1)
    judged = np.array([pair.similarity for pair in pairs])
    correlations = pearson(judged, cosines), pearson(ranks(judged), ranks(cosines))
    similarities, n_skipped = tuple(cosines.tolist()), len(all_pairs) - len(pairs)
    return PairsResult(*correlations, pairs, similarities, n_skipped)


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson's correlation; NaN for fewer than two numbers, constant ones or infinite ones."""
    if len(x) < 2 or not (np.isfinite(x).all() and np.isfinite(y).all()):
        return float("nan")
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.corrcoef(x, y)[0, 1])


def ranks(x: np.ndarray) -> np.ndarray:
    """The rank of each number, from 1; equal numbers share their mean rank. All NaN if one is."""
    if np.isnan(x).any():
        return np.full(len(x), np.nan)
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]
