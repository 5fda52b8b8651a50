"""`ffjax quantize --max-size`: the settings that lose least and fit."""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from ffjax.cli.exit_status import BadInput
from ffjax.embeddings.value import Embeddings
from ffjax.formats.finalfusion.writer import finalfusion_size
from ffjax.formats.snapshot.files import snapshot_size
from ffjax.storage import PQ, Int8Array, NdArray, QuantizedArray, Storage
from ffjax.transforms.quantize.sampling import all_unit, norms_of


def best_within(
    emb: Embeddings,
    most: int,
    format: str,
    *,
    method: str | None,
    bits: int | None,
    keep_lengths: bool,
) -> tuple[str, int | None]:
    """The method and the bytes of a row of the best file of at most so many bytes."""
    has_norms = keep_lengths and not all_unit(norms_of(emb.storage, lambda rows, total: None))
    size_of = finalfusion_size if format == "finalfusion" else snapshot_size
    size = 0
    for name, n_codes in _from_the_best(emb.dims, format):
        if method not in (None, name):
            continue
        make = partial(_zeros, name, emb.storage.shape, n_codes, 1 << (bits or 8), has_norms)
        # Zeros that are broadcast, which take no memory.
        storage: Storage = jax.tree.map(
            lambda x: np.broadcast_to(np.zeros((), x.dtype), x.shape), jax.eval_shape(make)
        )
        size = size_of(emb.replace(storage=storage, training=None))
        if size <= most:
            return name, n_codes or None
    raise BadInput(
        f"--max-size: expected at least {size:,} bytes, which the words and the smallest codes "
        f"take, got {most:,}. Keep fewer words first, as with `ffjax select --first 20000`."
    )


def _from_the_best(dims: int, format: str) -> Iterator[tuple[str, int]]:
    """Methods with the codes of a row; more codes lose less, and for as many a rotation does."""
    if format == "msgpack":
        yield from (("bfloat16", 0), ("int8", 0))
    for n_codes in range(dims, 0, -1):
        if dims % n_codes == 0:
            yield from (("opq", n_codes), ("pq", n_codes))


def _zeros(
    method: str, shape: tuple[int, int], n_codes: int, centroids: int, has_norms: bool
) -> Storage:
    """A storage of zeros of the shapes that a method gives."""
    rows, dims = shape
    if method == "bfloat16":
        return NdArray(jnp.zeros(shape, jnp.bfloat16))
    if method == "int8":
        return Int8Array(jnp.zeros(shape, jnp.int8), jnp.zeros(rows))
    projection = jnp.zeros((dims, dims)) if method == "opq" else None
    pq = PQ(jnp.zeros((n_codes, centroids, dims // n_codes)), projection)
    norms = jnp.zeros(rows) if has_norms else None
    return QuantizedArray(pq, jnp.zeros((rows, n_codes), jnp.uint8), norms)
