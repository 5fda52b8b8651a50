"""Fewer dimensions: principal components.

With X the vectors, one a row, and c their mean (zeros if they are not centred), the components are
the eigenvectors of

    C = (X - c).T @ (X - c) / n

with the largest eigenvalues, the columns of W, and a vector x becomes (x - c) @ W: the best
approximation of that rank in squared error (Eckart and Young, 1936). Blocks of C are products in
float32 and added up in float64; the eigenvectors of that small matrix are found on the host in
float64.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float32

from ffjax._internal.arguments import check_embeddings, check_flag, whole_number
from ffjax._internal.arrays import aligned_empty, release_pages
from ffjax._internal.progress import Progress, ignore
from ffjax.embeddings.value import Embeddings
from ffjax.kernels.normalize import normalize, reciprocal_power
from ffjax.storage import NdArray
from ffjax.storage.base import check_finite
from ffjax.storage.norms import Norms

_BLOCK_ROWS = 8192


class Components(NamedTuple):
    """The directions in which vectors differ most."""

    basis: Float32[np.ndarray, "old_dims dims"]  # orthonormal, the first direction first
    center: Float32[np.ndarray, " old_dims"]  # what is subtracted from a vector first
    explained: float  # their share of the variance (of the squared norms, if not centred)


def reduce_dims(
    embeddings: Embeddings, dims: int, *, center: bool = False, progress: Progress | None = None
) -> Embeddings:
    """Embeddings with fewer dimensions: the first principal components of the words' vectors.

    All rows are projected, those of n-grams too. Since that is linear, an unknown word's vector is
    the projection of its old one. Where there are norms, rows get their norms back first, so that
    words and n-grams are projected, and centred, as they were trained; the words' rows are brought
    to unit length again, and their norms become the new ones. Subtracting the mean from all rows
    subtracts it from every mean of n-grams' rows, and an unknown word's vector is such a mean at
    unit length. Cosines change much where the mean was large.

    Rows are read twice, a block at a time, so that a mapped file needs memory only for the result.
    Quantized and composed rows become dense float32. Metadata stays. The training state describes
    other vectors and is dropped.

    Args:
        embeddings: the embeddings.
        dims: how many dimensions to keep, from 1 to the present number.
        center: whether to subtract the mean of the words' vectors (of all rows, where there are no
            words) first.
        progress: called with the number of rows done so far and of all, each counted as often as it
            is read.

    Returns:
        New embeddings on the default device.

    Raises:
        TypeError: if `dims` is not a whole number, `center` not a boolean, or `embeddings`
            something else.
        ValueError: if `dims` is out of range, there are no rows, or a row has NaN or infinity.

    Examples:
        >>> import ffjax
        >>> small = ffjax.reduce_dims(ffjax.demo(), 50)
        >>> small.dims, small.word_similarity("berlin", k=1)[0].word
        (50, 'munich')
    """
    check_embeddings(embeddings)
    center, options = check_flag("center", center), {"progress": progress or ignore}
    components = principal_components(embeddings, dims, center=center, **options)
    return project(embeddings, components, **options)


def principal_components(
    embeddings: Embeddings, dims: int, *, center: bool = False, progress: Progress = ignore
) -> Components:
    """The components of the words' vectors, or of all rows where there are no words."""
    n, old_dims = _n_trained(embeddings), embeddings.dims
    dims = whole_number("dims", dims, 1)
    if n == 0:
        raise ValueError("`embeddings`: expected at least one row, got none.")
    if dims > old_dims:
        expected = f"expected 1 to {old_dims}, which is what the embeddings have"
        raise ValueError(f"`dims`: {expected}, got {dims}.")
    moments, sums = np.zeros((old_dims, old_dims)), np.zeros(old_dims)
    shift = np.zeros(old_dims, np.float32)
    for start, block, count in _blocks(embeddings, n):
        if center and start == 0:
            # Somewhere near the mean, so that little is lost when the rest of it is subtracted.
            shift = block[:count].mean(axis=0, dtype=np.float64).astype(np.float32)
        block_moments, block_sums, power = _moments(block, shift, np.int32(count))
        scale = np.float64(power)
        moments += np.asarray(block_moments, np.float64) * scale**2
        sums += np.asarray(block_sums, np.float64) * scale
        progress(start + count, n + len(embeddings.storage))
    mean = sums / n if center else np.zeros(old_dims)
    variances, axes = principal_axes(moments / n - np.outer(mean, mean))
    total = variances.sum()
    explained = float(variances[:dims].sum() / total) if total > 0 else 1.0
    basis, origin = axes[:, :dims].astype(np.float32), (shift + mean).astype(np.float32)
    return Components(basis, origin, explained)


def principal_axes(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variances from the largest on, and their axes as columns."""
    variances, axes = np.linalg.eigh(covariance)
    variances, axes = np.maximum(variances[::-1], 0), axes[:, ::-1]
    # An eigenvector may point either way; its largest entry decides.
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(len(axes))]
    return variances, axes * np.where(largest < 0, -1, 1)


def project(
    embeddings: Embeddings, components: Components, *, progress: Progress = ignore
) -> Embeddings:
    """Embeddings whose rows are projected onto components, as `reduce_dims` says."""
    vocab, n_rows, n_trained = embeddings.vocab, len(embeddings.storage), _n_trained(embeddings)
    matrix = aligned_empty((n_rows, components.basis.shape[1]), embeddings.storage.dtype)
    norms = np.empty(0 if embeddings.norms is None else vocab.n_word_rows, np.float32)
    basis, center = jnp.asarray(components.basis), jnp.asarray(components.center)
    for start, block, count in _blocks(embeddings, n_rows):
        stop, rows = start + count, _projected(block, center, basis)
        matrix[start:stop] = np.asarray(rows)[:count]
        if start < len(norms):
            words = slice(start, min(stop, len(norms)))
            unit, lengths = (np.asarray(x)[: words.stop - start] for x in normalize(rows))
            matrix[words], norms[words] = unit, lengths
        progress(n_trained + stop, n_trained + n_rows)
    new_norms = None if embeddings.norms is None else Norms(norms)
    return Embeddings(NdArray(jax.device_put(matrix)), vocab, new_norms, embeddings.metadata)


def _n_trained(embeddings: Embeddings) -> int:
    """How many rows, from the first one on, the components are found from."""
    return embeddings.vocab.n_word_rows or len(embeddings.storage)


def _blocks(embeddings: Embeddings, n: int) -> Iterator[tuple[int, np.ndarray, int]]:
    """Vectors times their norms: where each block starts, its rows, and how many of them count."""
    storage, norms, dims = embeddings.storage, embeddings.norms, embeddings.dims
    n_words = 0 if norms is None else embeddings.vocab.n_word_rows
    size = min(_BLOCK_ROWS, n)
    for start in range(0, n, size):
        stop = min(start + size, n)
        block = np.zeros((size, dims), np.float32)  # of one size, so that one program is compiled
        n_scaled = max(0, min(stop, n_words) - start)
        if norms is not None and n_scaled:
            rows, row_norms = norms.with_rows(storage, np.arange(start, start + n_scaled))
            np.multiply(rows, row_norms[:, None], out=block[:n_scaled], casting="same_kind")
        block[n_scaled : stop - start] = storage.read(slice(start + n_scaled, stop))
        check_finite(block, start, "row {}".format)
        release_pages(storage)
        yield start, block, stop - start


@jax.jit
def _moments(block: Array, shift: Array, count: Any) -> tuple[Array, Array, Array]:
    """The sums of products and of the first `count` rows, minus `shift`, over a power of two.

    The power, which is returned too, keeps squares in the range of float32.
    """
    valid = jnp.arange(block.shape[0], dtype=jnp.int32) < count
    moved = jnp.where(valid[:, None], block - shift[None], jnp.float32(0))
    power = 1 / reciprocal_power(jnp.abs(moved).max(initial=0.0))
    moved = moved / power
    return jnp.matmul(moved.T, moved, precision=lax.Precision.HIGHEST), moved.sum(0), power


@jax.jit
def _projected(block: Array, center: Array, basis: Array) -> Array:
    return jnp.matmul(block - center[None], basis, precision=lax.Precision.HIGHEST)
