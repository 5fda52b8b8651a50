"""Fewer dimensions: principal components.

With X the vectors, one a row, and c their mean (zeros if they are not centred), the components are the eigenvectors of

    C = (X - c).T @ (X - c) / n

with the largest eigenvalues, the columns of W, and a vector x becomes (x - c) @ W: the best approximation of that rank
in squared error (Eckart and Young, 1936). Blocks of C are products in float32 and added up in float64; the eigenvectors
of that small matrix are found on the host in float64.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int32

from ffjax._internal.arguments import check_embeddings, whole_number
from ffjax._internal.arrays import aligned_empty
from ffjax._internal.memmap import release_pages
from ffjax.embeddings.value import Embeddings
from ffjax.kernels.normalize import normalize
from ffjax.storage import ComposedArray, NdArray
from ffjax.storage.norms import Norms

Progress = Callable[[int, int], None]
_ROWS = 8192


class Components(NamedTuple):
    """The directions in which vectors differ most.

    Attributes:
        basis: the directions, orthonormal, the first one first, float32 `[old_dims, dims]`.
        center: what is subtracted from a vector first, float32 `[old_dims]`.
        kept: the share of the variance (of the squared lengths, if the vectors are not centred) that lies in them.
    """

    basis: Float32[np.ndarray, "old_dims dims"]
    center: Float32[np.ndarray, " old_dims"]
    kept: float


def reduce_dims(embeddings: Embeddings, dims: int, *, center: bool = False, progress: Progress | None = None) -> Embeddings:
    """Embeddings with fewer dimensions: the first principal components of the words' vectors.

    All rows are projected, those of n-grams too. Since that is linear, an unknown word's vector is the projection of
    the one that it had. Where there are norms, rows have their lengths given back first, so that words and n-grams are
    projected, and centred, as the vectors that were trained; the words' rows are brought to unit length again, and
    their lengths become the new norms. Subtracting the mean from all rows subtracts it from every mean of n-grams'
    rows, and an unknown word's vector is such a mean at unit length. Cosines change much where the mean was large.

    Rows are read twice, a block at a time, so that a mapped file needs memory for the result alone. Quantized and
    composed rows become plain ones of float32. Metadata stays; what training left is about other vectors, and goes.

    Args:
        embeddings: the embeddings.
        dims: how many dimensions to keep, 1 to those that there are.
        center: whether to subtract the mean of the words' vectors (of all rows, where there are no words) first.
        progress: called with the number of rows done so far and of all, each counted as often as it is read.

    Returns:
        New embeddings on the default device.

    Raises:
        TypeError: `dims` is no whole number, `center` is neither true nor false, or these are no embeddings.
        ValueError: `dims` is out of range, there are no rows, or a row has NaN or infinity.

    Examples:
        >>> import ffjax
        >>> small = ffjax.reduce_dims(ffjax.demo(), 50)
        >>> small.dims, small.word_similarity("berlin", k=1)[0].word
        (50, 'munich')
    """
    check_embeddings(embeddings)
    if not isinstance(center, bool):
        raise TypeError(f"`center`: expected True or False, got {type(center).__name__} {center!r}.")
    total = _n_learnt(embeddings) + len(embeddings.storage)

    def told(done: int) -> None:
        if progress is not None:
            progress(done, total)

    components = principal_components(embeddings, dims, center=center, progress=told)
    return project(embeddings, components, progress=lambda done: told(_n_learnt(embeddings) + done))


def principal_components(
    embeddings: Embeddings, dims: int, *, center: bool = False, progress: Callable[[int], None] = lambda done: None
) -> Components:
    """The principal components of the words' vectors, or of all rows where there are no words.

    Args:
        embeddings: the embeddings.
        dims: how many.
        center: whether to subtract the mean first.
        progress: called with the number of rows done so far.

    Raises:
        TypeError: as `reduce_dims`.
        ValueError: as `reduce_dims`.
    """
    n, old = _n_learnt(embeddings), embeddings.dims
    dims = _checked(embeddings, dims, n)
    moments, sums = np.zeros((old, old)), np.zeros(old)
    shift = np.zeros(old, np.float32)
    for start, block, count in _blocks(embeddings, n):
        if center and start == 0:
            # Somewhere near the mean, so that little is lost when the rest of it is subtracted below.
            shift = block[:count].mean(axis=0, dtype=np.float64).astype(np.float32)
        for total, part in zip((moments, sums), _moments(block, shift, np.int32(count)), strict=True):
            total += np.asarray(part, np.float64)
        progress(start + count)
    mean = sums / n if center else np.zeros(old)
    values, vectors = np.linalg.eigh(moments / n - np.outer(mean, mean))
    values, basis = np.maximum(values[::-1], 0), vectors[:, ::-1][:, :dims]
    # An eigenvector may point either way; its largest entry decides.
    basis = basis * np.where(basis[np.abs(basis).argmax(axis=0), np.arange(dims)] < 0, -1, 1)
    kept = float(values[:dims].sum() / values.sum()) if values.sum() > 0 else 1.0
    return Components(basis.astype(np.float32), (shift + mean).astype(np.float32), kept)


def project(
    embeddings: Embeddings, components: Components, *, progress: Callable[[int], None] = lambda done: None
) -> Embeddings:
    """Embeddings whose rows are projected onto components, as `reduce_dims` says.

    Args:
        embeddings: the embeddings.
        components: as many dimensions as the embeddings have.
        progress: called with the number of rows done so far.

    Raises:
        ValueError: a row has NaN or infinity.
    """
    storage, n_words = embeddings.storage, embeddings.vocab.n_word_rows
    dtype = storage.dtype if isinstance(storage, NdArray) else np.dtype(np.float32)
    out = aligned_empty((len(storage), components.basis.shape[1]), dtype)
    norms = None if embeddings.norms is None else aligned_empty((n_words,), np.float32)
    basis, center = jnp.asarray(components.basis), jnp.asarray(components.center)
    for start, block, count in _blocks(embeddings, len(storage)):
        stop = start + count
        rows = _projected(block, center, basis)
        if norms is not None and start < n_words:
            unit, lengths = (np.asarray(array) for array in normalize(rows))
            words = max(0, min(stop, n_words) - start)
            norms[start : start + words], out[start : start + words] = lengths[:words], unit[:words]
            out[start + words : stop] = np.asarray(rows)[words:count]
        else:
            out[start:stop] = np.asarray(rows)[:count]
        progress(stop)
    made = None if norms is None else Norms(norms)
    return Embeddings(NdArray(jax.device_put(out)), embeddings.vocab, made, embeddings.metadata)


def _n_learnt(embeddings: Embeddings) -> int:
    """How many rows, from the first one on, the components are those of."""
    return embeddings.vocab.n_word_rows or len(embeddings.storage)


def _checked(embeddings: Embeddings, dims: Any, n: int) -> int:
    number = whole_number("dims", dims, 1)
    if n == 0:
        raise ValueError("`embeddings`: expected at least one row to find components of, got none.")
    if number > embeddings.dims:
        raise ValueError(f"`dims`: expected 1 to {embeddings.dims}, which is what the embeddings have, got {number}.")
    return number


def _blocks(embeddings: Embeddings, n: int) -> Iterator[tuple[int, Float32[np.ndarray, "size dims"], int]]:
    """Blocks of vectors with their lengths: where each begins, all of one size, and how many of its rows count."""
    storage, norms, n_words = embeddings.storage, embeddings.norms, embeddings.vocab.n_word_rows
    # Composed rows come with the lengths that they had, so that they are put together once for both.
    composed = isinstance(storage, ComposedArray) and embeddings.stored_norms is None and storage.n_words == n_words
    size = min(_ROWS, n)
    for start in range(0, n, size):
        stop = min(start + size, n)
        words = np.arange(start, min(stop, n_words)) if norms is not None else np.zeros(0, np.int64)
        if composed and len(words):
            rows, lengths = storage.units(words)  # type: ignore[attr-defined]
            rows = np.concatenate([rows, storage.embedding(slice(start + len(words), stop))])
        else:
            rows = storage.embedding(slice(start, stop))
            lengths = np.asarray(norms[words]) if norms is not None and len(words) else np.zeros(0, np.float32)
        block = np.zeros((size, embeddings.dims), np.float32)
        block[: stop - start] = rows
        block[: len(words)] *= lengths[:, None]
        if (bad := ~np.isfinite(block).all(axis=1)).any():
            row = start + int(bad.argmax())
            raise ValueError(
                f"`embeddings`: expected finite numbers, got NaN or infinity in row {row}. Leave its word out with "
                "`ffjax.select_words`, or put numbers in their place."
            )
        release_pages(storage)
        yield start, block, stop - start


@jax.jit
def _moments(
    block: Float[Array, "size dims"], shift: Float[Array, " dims"], count: Int32[Array, ""]
) -> tuple[Float32[Array, "dims dims"], Float32[Array, " dims"]]:
    """The sums of products and of the first `count` rows, less `shift`."""
    counts = jnp.arange(block.shape[0], dtype=jnp.int32) < count
    moved = jnp.where(counts[:, None], block - shift[None], jnp.float32(0))
    return jnp.matmul(moved.T, moved, precision=jax.lax.Precision.HIGHEST), moved.sum(0)


@jax.jit
def _projected(
    block: Float[Array, "size old_dims"], center: Float[Array, " old_dims"], basis: Float[Array, "old_dims dims"]
) -> Float32[Array, "size dims"]:
    return jnp.matmul(block - center[None], basis, precision=jax.lax.Precision.HIGHEST)
