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
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float32

from ffjax._internal.arguments import check_embeddings, check_flag, whole_number
from ffjax._internal.arrays import aligned_empty, release_pages
from ffjax._internal.progress import Progress, ignore
from ffjax.embeddings.value import Embeddings
from ffjax.kernels.normalize import unit_rows
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
    for rows, block in _blocks(embeddings, n):
        count = rows.stop - rows.start
        if center and rows.start == 0:
            # Somewhere near the mean, so that little is lost when the rest of it is subtracted.
            shift = block[:count].mean(axis=0, dtype=np.float64).astype(np.float32)
        block[:count] -= shift
        sums += block.sum(axis=0, dtype=np.float64)
        # Without a power of two, so that squares stay in the range of float32.
        _, power = np.frexp(np.abs(block).max(initial=0))
        products = np.asarray(_products(np.ldexp(block, -power)), np.float64)
        moments += np.ldexp(products, 2 * power)
        progress(rows.stop, n + len(embeddings.storage))
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
    for rows, block in _blocks(embeddings, n_rows):
        projected = np.array(_projected(block, components.center, components.basis))
        words = slice(rows.start, min(rows.stop, len(norms)))
        if words.start < words.stop:
            norms[words] = unit_rows(projected[: words.stop - words.start])[1]  # in place
        matrix[rows] = projected[: rows.stop - rows.start]
        progress(n_trained + rows.stop, n_trained + n_rows)
    storage = NdArray(jax.device_put(matrix))
    new_norms = None if embeddings.norms is None else Norms(norms)
    return Embeddings(storage, vocab, new_norms, embeddings.metadata)


def _n_trained(emb: Embeddings) -> int:
    """How many rows, from the first one on, the components are found from."""
    return emb.vocab.n_word_rows or len(emb.storage)


def _blocks(emb: Embeddings, n: int) -> Iterator[tuple[slice, np.ndarray]]:
    """The first vectors times their norms, float32, in blocks of one size filled up with zeros."""
    storage, norms = emb.storage, emb.norms
    n_words = 0 if norms is None else emb.vocab.n_word_rows
    size = min(_BLOCK_ROWS, n)  # of all blocks, so that one program is compiled
    for start in range(0, n, size):
        stop = min(start + size, n)
        block = np.zeros((size, emb.dims), np.float32)
        n_scaled = max(0, min(stop, n_words) - start)
        if norms is not None and n_scaled:
            rows, row_norms = norms.with_rows(storage, np.arange(start, start + n_scaled))
            np.multiply(rows, row_norms[:, None], out=block[:n_scaled], casting="same_kind")
        block[n_scaled : stop - start] = storage.read(slice(start + n_scaled, stop))
        check_finite(block, start, "row {}".format)
        release_pages(storage)
        yield slice(start, stop), block


@jax.jit
def _products(rows: Array) -> Array:
    return jnp.matmul(rows.T, rows, precision=lax.Precision.HIGHEST)


@jax.jit
def _projected(block: Array, center: Array, basis: Array) -> Array:
    return jnp.matmul(block - center[None], basis, precision=lax.Precision.HIGHEST)
