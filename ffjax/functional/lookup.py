"""The device functions over embeddings: pure, compiled, batched.

They take pytrees and arrays, never a `str`, and work eagerly (one compiled program a call) or
inside a caller's `jit`, `vmap` and `grad`.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from ffjax._internal.arguments import array_of, check_embeddings
from ffjax._internal.arrays import AnyArray, all_on_host, is_symbolic, is_traced, padded_size
from ffjax._internal.symbolic import in_blocks
from ffjax.functional.oov import embed_in_numpy, oov_batch, oov_vectors, with_oov_words
from ffjax.functional.search import EmbeddingsLike
from ffjax.functional.tier import FOUND_WORDS, in_numpy
from ffjax.kernels.normalize import normalize
from ffjax.storage import ComposedArray, Storage
from ffjax.storage.explicit import takes_explicit
from ffjax.storage.norms import Norms
from ffjax.storage.row_subset import read_subset
from ffjax.strings.string_table import Strings
from ffjax.vocab import Rows, SubwordVocab, Vocab


def encode(vocab: Vocab, strings: Strings) -> Rows:
    """The row of each packed word, or those of its n-grams if it is unknown.

    Args:
        vocab: any vocabulary.
        strings: packed words, see `pack`.

    Returns:
        `Rows` for the batch; padding has none. With a vocabulary that has subwords, they have a
        line of n-grams for each unknown word, as many lines as the next power of two. Inside a
        caller's `jit`, where the number of unknown words is not known, they have a line for each
        word of the batch (`embed` needs neither).

    Raises:
        TypeError: an argument is of another type, such as a list of words that was not packed.

    Examples:
        >>> import ffjax
        >>> vocab = ffjax.SimpleVocab(["Paris", "Berlin"])
        >>> ffjax.encode(vocab, ffjax.pack(["Berlin", "Rome"], count=2)).words.tolist()
        [1, -1]
    """
    if not isinstance(vocab, Vocab):
        raise TypeError(
            f"`vocab`: expected a vocabulary, such as `emb.vocab`, got {type(vocab).__name__}."
        )
    strings = checked_strings("strings", strings)
    if strings.lengths.ndim != 1:
        return encode(vocab, strings.flat()).reshape(strings.lengths.shape)
    if is_symbolic(strings.lengths):
        of_block = lambda *batch: _encode(vocab, Strings(*batch))  # noqa: E731
        return in_blocks(of_block, strings.bytes, strings.lengths)
    if vocab.subword_indexer is None or is_traced((vocab, strings)):
        return _encode(vocab, strings)
    words = _find(vocab, strings)
    unknown = np.flatnonzero(np.asarray(words) < 0)
    unknown = unknown[np.asarray(strings.lengths)[unknown] >= 0]
    # A few sizes, so that batches share compiled programs.
    n_lines = min(len(strings), padded_size(len(unknown))) if len(unknown) else 0
    positions = np.full(n_lines, len(strings), np.int32)
    positions[: len(unknown)] = unknown
    return _encode_unknown(vocab, strings, words, positions)


def lookup(
    embeddings: EmbeddingsLike, rows: Rows, *, unnormalize: bool = False
) -> Float[Array, "*batch dims"]:
    """Reads the vectors of `Rows`.

    A known word's vector is its row. An unknown word's is the sum of its n-grams' rows at unit
    length, as finalfusion defines it (in Rust and in Python). Words without any row get zeros.

    With `unnormalize=True` the vectors are those that were trained: a known word's row times its
    norm, and for an unknown word the mean of its n-grams' rows, as fastText and floret answer.

    Args:
        embeddings: the embeddings. Of a memory-mapped storage, only the rows needed are read, on
            the host; inside `jit`, all of them are.
        rows: what `encode` returned.
        unnormalize: whether to give the vectors before they were scaled to unit length.

    Returns:
        Vectors in the storage's dtype, shape `[*batch, dims]`.

    Raises:
        TypeError: an argument is of another type.
    """
    if not isinstance(rows, Rows):
        raise TypeError(
            f"`rows`: expected Rows, got {type(rows).__name__}. `ffjax.encode` makes them of "
            "packed words; for row numbers use `embeddings.storage.gather`."
        )
    check_embeddings(embeddings)
    fields = {name: ids for name, ids in vars(rows).items() if ids is not None or name == "words"}
    what = "row numbers, -1 for none"
    rows = Rows(**{k: array_of(f"rows.{k}", x, jnp.integer, what) for k, x in fields.items()})
    storage, norms = embeddings.storage, embeddings.norms if unnormalize else None
    if storage.is_mapped and not is_traced(rows):
        storage, rows, norms = _read_needed(storage, rows, norms)
    return _lookup(storage, _lengths(norms), rows, unnormalize)


def embed(
    embeddings: EmbeddingsLike, strings: Strings, *, unnormalize: bool = False
) -> tuple[Float[Array, "*batch dims"], Bool[Array, "*batch"]]:
    """The vectors of packed words: `encode`, then `lookup`.

    It has derivatives of any order with respect to the rows, in forward and in reverse mode.

    Args:
        embeddings: the embeddings.
        strings: packed words, see `pack`.
        unnormalize: as in `lookup`.

    Returns:
        `(vectors, found)`: vectors `[*batch, dims]`, zeros where `found` (bool `[*batch]`) is
        false.

    Raises:
        TypeError: an argument is of another type, such as a list of words that was not packed.

    Examples:
        >>> import ffjax
        >>> emb = ffjax.demo()
        >>> vectors, found = ffjax.embed(emb, ffjax.pack(["berlin", "berlinish", "12345"], count=3))
        >>> vectors.shape, found.tolist()
        ((3, 100), [True, True, False])
    """
    check_embeddings(embeddings)
    strings = checked_strings("strings", strings)
    batch = strings.lengths.shape
    if len(batch) != 1:
        vectors, found = embed(embeddings, strings.flat(), unnormalize=unnormalize)
        return vectors.reshape(*batch, vectors.shape[-1]), found.reshape(batch)
    storage, vocab = embeddings.storage, embeddings.vocab
    norms = embeddings.norms if unnormalize else None
    if storage.is_mapped and not is_traced(strings):
        if in_numpy(len(strings), FOUND_WORDS, vocab, strings):
            # `jnp.asarray` would compile a program.
            return jax.device_put(embed_in_numpy(embeddings, strings, unnormalize=unnormalize))
        rows = encode(vocab, strings)
        return lookup(embeddings, rows, unnormalize=unnormalize), _found(rows)
    if is_symbolic(strings.lengths):

        def of_block(*batch: AnyArray) -> tuple[Array, Array]:
            return embed(embeddings, Strings(*batch), unnormalize=unnormalize)

        return in_blocks(of_block, strings.bytes, strings.lengths)
    trees = storage, vocab, strings, _lengths(norms)
    vectors, found = _embed_known(*trees, unnormalize)
    if vocab.subword_indexer is None:
        return vectors, found
    if jax.default_backend() != "cpu" or is_traced(trees) or not all_on_host(*trees):
        return _embed_unknown(vectors, found, *trees[:3], unnormalize)
    # The host looks at the answers of a CPU for free, and embeds only the unknown words.
    lengths = np.asarray(strings.lengths)
    unknown = np.flatnonzero(~np.asarray(found) & (lengths >= 0))
    if not unknown.size:
        return vectors, found
    words = oov_batch(np.asarray(strings.bytes), lengths, unknown)
    if words is None:
        return _embed_unknown(vectors, found, *trees[:3], unnormalize)
    changed = np.array(vectors), np.array(found)
    for array, new in zip(changed, oov_vectors(storage, vocab, words, unnormalize), strict=True):
        array[unknown] = np.asarray(new)[: len(unknown)]
    return jax.device_put(changed, vectors.sharding if vectors.committed else None)


def checked_strings(name: str, strings: Any) -> Strings:
    """Packed words, with lengths of int32; an error for others."""
    if not isinstance(strings, Strings):
        raise TypeError(
            f"`{name}`: expected Strings, got {type(strings).__name__}. Pack words first, as in "
            "`ffjax.pack(['tea', 'coffee'])`."
        )
    data = array_of(f"{name}.bytes", strings.bytes, jnp.uint8, "bytes, as `ffjax.pack` makes them")
    what = f"a length for each of the rows of bytes, which have shape {data.shape}"
    lengths = array_of(f"{name}.lengths", strings.lengths, jnp.integer, what, data.shape[:-1])
    return Strings(data, lengths)


@jax.jit
@takes_explicit
def _find(vocab: Vocab, strings: Strings) -> Array:
    return vocab.find(strings)


@jax.jit
@takes_explicit
def _encode_unknown(
    vocab: SubwordVocab, strings: Strings, words: Array, positions: AnyArray
) -> Rows:
    """`Rows` with a line of n-grams for each of these positions, none for those after the batch."""
    data = jnp.take(jnp.asarray(strings.bytes), positions, axis=0, mode="clip")
    lengths = jnp.take(jnp.asarray(strings.lengths), positions, mode="fill", fill_value=-1)
    return Rows(words, vocab.ngram_rows(data, lengths), jnp.asarray(positions))


@jax.jit
@takes_explicit
def _encode(vocab: Vocab, strings: Strings) -> Rows:
    return vocab.encode(strings)


@jax.jit
@takes_explicit
def _found(rows: Rows) -> Array:
    return rows.found


@partial(jax.jit, static_argnames="unnormalize")
@takes_explicit
def _embed_known(
    storage: Storage, vocab: Vocab, strings: Strings, norms: Any, unnormalize: bool
) -> tuple[Array, Array]:
    words = vocab.find(strings)
    return _known_vectors(storage, norms, words, unnormalize), words >= 0


@partial(jax.jit, static_argnames="unnormalize", donate_argnums=0)
@takes_explicit
def _embed_unknown(
    vectors: Array,
    found: Array,
    storage: Storage,
    vocab: Any,
    strings: Strings,
    unnormalize: bool,
) -> tuple[Array, Array]:
    return with_oov_words(vectors, found, storage, vocab, strings, means=unnormalize)


@partial(jax.jit, static_argnames="unnormalize")
@takes_explicit
def _lookup(storage: Storage, norms: Any, rows: Rows, unnormalize: bool) -> Array:
    vectors = _known_vectors(storage, norms, jnp.asarray(rows.words), unnormalize)
    if rows.ngrams is None:
        return vectors
    total = storage.gather_sum(jnp.asarray(rows.ngrams))
    if unnormalize:
        count = (rows.ngrams >= 0).sum(-1, dtype=jnp.int32)
        subwords = total / jnp.maximum(count, 1)[..., None].astype(total.dtype)
    else:
        subwords, _ = normalize(total)
    subwords = subwords.astype(vectors.dtype)
    if rows.positions is None:
        return jnp.where((rows.words >= 0)[..., None], vectors, subwords)
    flat = vectors.reshape(-1, vectors.shape[-1])
    return flat.at[rows.positions].add(subwords, mode="drop").reshape(vectors.shape)


def _known_vectors(storage: Storage, norms: Any, words: Array, unnormalize: bool) -> Array:
    """The vectors of known words, zeros for the others."""
    if unnormalize and norms is None and isinstance(storage, ComposedArray):
        # Composed rows have no stored norms: they are means before they are scaled.
        vectors = storage.means(jnp.maximum(words, 0))
    else:
        vectors = storage.gather(jnp.maximum(words, 0))
    vectors = jnp.where((words >= 0)[..., None], vectors, jnp.zeros((), vectors.dtype))
    if norms is None or not norms.shape[0]:
        return vectors
    scale = jnp.take(norms, jnp.maximum(words, 0), mode="clip")[..., None]
    return (vectors.astype(jnp.float32) * scale).astype(vectors.dtype)


def _lengths(norms: Norms | None) -> Any:
    return None if norms is None or norms.on_demand else norms.array


def _read_needed(
    storage: Storage, rows: Rows, norms: Norms | None
) -> tuple[Storage, Rows, Norms | None]:
    """The rows that `rows` needs, read from a memory map, and `Rows` and norms of those."""
    words = np.asarray(rows.words)
    ngrams = None if rows.ngrams is None else np.asarray(rows.ngrams)
    ids = words.ravel() if ngrams is None else np.concatenate([words.ravel(), ngrams.ravel()])
    # At least one row, for words without any.
    subset, numbers, positions = read_subset(storage, np.append(ids, 0))
    words = positions[: words.size].reshape(words.shape)
    if ngrams is not None:
        ngrams = positions[words.size : -1].reshape(ngrams.shape)
    if norms is not None:
        word_norms = np.asarray(norms[np.minimum(numbers, len(norms) - 1)])
        norms = Norms(np.where(numbers < len(norms), word_norms, np.float32(1)))
    return subset, Rows(words, ngrams, rows.positions), norms
