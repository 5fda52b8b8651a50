"""Texts to the vectors of a static model, on the host: the mean of the rows of their tokens.

Rows are added in the order of the tokens, and means and lengths computed as in model2vec, so that
the numbers are the same ones.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ffjax._internal.arguments import array_of
from ffjax._internal.arrays import on_host
from ffjax._internal.cpus import map_blocks
from ffjax.kernels.ragged import Ragged
from ffjax.strings.text import as_lines, as_strings, cut, text_lengths
from ffjax.strings.tokenizer import Tokenizer
from ffjax.strings.tokenizer_file import TokenizerFile

# Characters of texts, or texts, that are tokenized at a time.
_BLOCK_CHARACTERS, _BLOCK_TEXTS = 1 << 19, 1 << 10
# Added to the length by which a vector is divided, as in model2vec.
_EPSILON = 1e-32

# Texts that are tokenized at a time, after the number of the first.
_Block = tuple[int, Any]
_DTYPES = ("float32", "float16", "bfloat16", "float64", "int8")
# Numbers of vectors that are computed at a time, which stay in a CPU's cache.
_VECTOR_NUMBERS = 1 << 18
# Whole numbers up to this one are exact in float32.
_EXACT = 1 << 24


class TokenRows(NamedTuple):
    """The rows of tokens.

    Attributes:
        rows: `[n_rows, dims]`.
        mapping: the row of each token, or `None` if token i has row i.
        weights: a factor for each token, or `None`.
    """

    rows: np.ndarray
    mapping: np.ndarray | None
    weights: np.ndarray | None

    def read(self, tokens: np.ndarray) -> np.ndarray:
        """The weighted rows of tokens, in the type that NumPy gives their product."""
        rows = self.rows[tokens if self.mapping is None else self.mapping[tokens]]
        if rows.dtype.kind == "V":  # bfloat16
            rows = rows.astype(np.float32)
        return rows if self.weights is None else rows * self.weights[tokens][:, None]

    def sums(self, tokens: Ragged) -> Iterator[tuple[slice, np.ndarray]]:
        """The sums of the rows of lists of tokens, for some lists at a time."""
        table, ids = self.rows, tokens.values
        if self.mapping is not None or self.weights is not None or table.dtype.itemsize < 4:
            occurs = np.zeros(len(self.rows if self.mapping is None else self.mapping), bool)
            occurs[ids] = True
            table = self.read(np.flatnonzero(occurs))
            ids = (np.cumsum(occurs, dtype=np.int32) - np.int32(1))[ids]
        if table.dtype.itemsize < 4:
            is_exact = 128 * tokens.counts.max(initial=0) < _EXACT
            table = table.astype(np.float32 if is_exact else np.float64)
        splits, step = tokens.splits, max(1, _VECTOR_NUMBERS // max(1, table.shape[1]))
        for start in range(0, len(splits) - 1, step):
            bounds = splits[start : start + step + 1]
            lists = Ragged(ids[bounds[0] : bounds[-1]], (bounds - bounds[0]).astype(np.int32))
            yield slice(start, start + len(bounds) - 1), lists.sum_rows(table)


class Encoder(NamedTuple):
    """How texts become vectors: the tokenizer, the rows, what counts, what becomes of the mean.

    Attributes:
        tokenizer: divides texts into tokens.
        rows: the rows of tokens.
        prompt: words put before every text.
        normalize: whether vectors are scaled to unit length.
        most_characters: the characters of a text that are read, `None` for all.
        most_tokens: the tokens that are read, `None` for all.
        dropped: the number of a token that does not count, or `None`.
        most_counted: the tokens that count in the end, `None` for all.
    """

    tokenizer: Tokenizer
    rows: TokenRows
    prompt: str
    normalize: bool
    most_characters: int | None
    most_tokens: int | None
    dropped: int | None
    most_counted: int | None = None

    def encode(self, texts: Any, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
        """The vectors of texts, and how many tokens count in each, int32 `[n]`."""
        vectors = np.empty((len(texts), self.rows.rows.shape[1]), dtype)
        counts = np.empty(len(texts), np.int32)

        def encode_block(block: _Block) -> None:
            tokens = self._tokens(block)
            start, block_texts = block
            n, lines = tokens.counts, slice(start, start + len(block_texts))
            counts[lines] = n
            for chunk, totals in self.rows.sums(tokens):
                out = vectors[lines][chunk]
                totals = totals.astype(np.result_type(totals, out), copy=False)
                divisors = np.maximum(n[chunk], 1).astype(totals.dtype)[:, None]
                np.divide(totals, divisors, out=out, casting="unsafe")
                if self.normalize:  # in float32, as model2vec 0.10 does
                    sums = out.astype(np.float32, copy=False)
                    np.divide(sums, _lengths(sums), out=out, casting="unsafe")

        map_blocks(encode_block, self._blocks(texts))
        return vectors, counts

    def encode_as_before(self, texts: Any) -> np.ndarray:
        """The vectors of model2vec up to 0.9: a batch of 1,024 with an empty text is float64."""
        dtype = self.rows.read(np.zeros(0, np.int64)).dtype
        dtype = np.dtype(np.float64) if dtype.kind == "i" else dtype
        vectors, counts = self._replace(normalize=False).encode(texts, dtype)
        batches = [vectors[:0]]
        for start in range(0, len(texts), 1024):
            batch = slice(start, start + 1024)
            sums = vectors[batch] if counts[batch].all() else vectors[batch].astype(np.float64)
            batches.append(sums / _lengths(sums) if self.normalize else sums)
        return np.concatenate(batches)

    def tokenize(self, texts: Any) -> Ragged:
        """The tokens of texts that count."""
        lists = map_blocks(self._tokens, self._blocks(texts))
        return Ragged.concat([Ragged(np.zeros(0, np.int32), np.zeros(1, np.int64)), *lists])

    def _tokens(self, block: _Block) -> Ragged:
        """The tokens of a block that count."""
        start, texts = block
        if not self.tokenizer.settings.divides:
            tokens = self.tokenizer.texts(texts)
        else:
            try:
                lines = as_lines(texts, newline=" ")
            except ValueError:  # which names the number of the text
                lines = as_lines([""] * start + list(texts), newline=" ")
            tokens = self.tokenizer.lines(lines)
        tokens = tokens.first(self.most_tokens)
        if self.dropped is not None:
            tokens = tokens.only(tokens.values != self.dropped)
        return tokens.first(self.most_counted)

    def _blocks(self, texts: Any) -> list[_Block]:
        if self.prompt:
            texts = [self.prompt + text for text in as_strings(texts)]
        most, lengths = self.most_characters, text_lengths(texts)
        if len(lengths):
            self.tokenizer.prepare()  # once, before there are threads
        if most is not None and lengths.max(initial=0) > most:
            texts, lengths = cut(texts, most), np.minimum(lengths, most)
        # Blocks hold a number of texts if each is tokenized as a whole, else of characters.
        sizes, size = lengths + 1, _BLOCK_CHARACTERS
        if not self.tokenizer.settings.divides:
            texts = as_strings(texts)
            sizes, size = np.ones_like(lengths), _BLOCK_TEXTS
        number = (np.cumsum(sizes) - sizes) // size
        bounds = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(texts)]
        return [(start, texts[start:end]) for start, end in pairwise(bounds) if end > start]


def _lengths(vectors: np.ndarray) -> np.ndarray:
    """What model2vec divides vectors by to scale them to unit length."""
    return np.linalg.norm(vectors, axis=1, keepdims=True) + _EPSILON


def checked_arrays(rows: Any, mapping: Any, weights: Any, tokenizer: TokenizerFile) -> TokenRows:
    """The arrays of a model, none of which can be written to; an error if they don't fit."""
    if not isinstance(rows, np.ndarray | jax.Array):
        raise TypeError(f"`rows`: expected a NumPy or JAX array, got {type(rows).__name__}.")
    if rows.ndim != 2 or rows.dtype.name not in _DTYPES or not rows.dtype.isnative:
        raise TypeError(
            f"`rows`: expected 2 dimensions of {', '.join(_DTYPES)}, got {rows.ndim} of "
            f"{rows.dtype}."
        )
    n_tokens = max(tokenizer.vocab.values(), default=-1) + 1
    if mapping is not None:
        mapping = _per_token("mapping", mapping, jnp.integer, "a row", n_tokens)
        if mapping.size and not 0 <= mapping.min() <= mapping.max() < len(rows):
            expected, got = f"0 to {len(rows) - 1}", f"{mapping.min()} to {mapping.max()}"
            raise ValueError(f"`mapping`: expected numbers from {expected}, got {got}.")
    elif len(rows) != len(tokenizer.vocab) or n_tokens > len(rows):
        raise ValueError(
            f"`rows`: expected one for each token, {max(n_tokens, len(tokenizer.vocab))}, got "
            f"{len(rows)}. With `mapping` tokens may share rows."
        )
    if weights is not None:
        weights = _per_token("weights", weights, jnp.floating, "a factor", n_tokens)
    return TokenRows(frozen(rows), mapping, weights)


def frozen(array: Any) -> Any:
    """An array that does not change: a copy of a NumPy array that can be written to."""
    if isinstance(array, np.ndarray) and not isinstance(array, np.memmap) and array.flags.writeable:
        array = array.copy()
        array.flags.writeable = False
    return array


def file_bytes(name: str, content: Any) -> np.ndarray:
    """The content of a file as an array."""
    if isinstance(content, bytes):
        return np.frombuffer(content, np.uint8)
    return frozen(on_host(array_of(name, content, jnp.uint8, "the bytes of a file", (None,))))


def _per_token(name: str, array: Any, kind: Any, what: str, n_tokens: int) -> Any:
    """An array with an entry for each token."""
    array = frozen(array_of(name, array, kind, f"{what} for each token", (None,)))
    if len(array) < n_tokens:
        raise ValueError(
            f"`{name}`: expected {what} for each of {n_tokens} tokens, got {len(array)}."
        )
    return array
