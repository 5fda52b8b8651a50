"""`ffjax quantize --max-size`: the settings that lose least and fit."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from ffjax.cli.exit_status import BadInput
from ffjax.embeddings.value import Embeddings
from ffjax.formats.finalfusion.writer import finalfusion_size
from ffjax.storage import PQ, QuantizedArray
from ffjax.transforms.quantize.sampling import all_unit, norms_of


def best_within(
    emb: Embeddings, most: int, *, method: str | None, bits: int | None, keep_lengths: bool
) -> tuple[str, int]:
    """The method and the bytes of a row of the best file of at most so many bytes."""
    centroids = 1 << (bits or 8)
    has_norms = keep_lengths and not all_unit(norms_of(emb.storage, lambda rows, total: None))
    size = 0
    for name, n_codes in _from_the_best(emb.dims):
        if method not in (None, name):
            continue
        shape = emb.storage.shape
        storage = _shapes(*shape, n_codes, centroids, has_norms, rotated=name == "opq")
        size = finalfusion_size(emb.replace(storage=storage, training=None))
        if size <= most:
            return name, n_codes
    raise BadInput(
        f"--max-size: expected at least {size:,} bytes, which the words and the smallest codes "
        f"take, got {most:,}. Keep fewer words first, as with `ffjax select --first 20000`."
    )


def _from_the_best(dims: int) -> Iterator[tuple[str, int]]:
    """Methods with the bytes of a row; more bytes lose less, and for as many a rotation does."""
    for n_codes in range(dims, 0, -1):
        if dims % n_codes == 0:
            yield from (("opq", n_codes), ("pq", n_codes))


def _shapes(
    rows: int, dims: int, n_codes: int, centroids: int, has_norms: bool, *, rotated: bool
) -> QuantizedArray:
    """A storage of zeros that takes no memory."""

    def make() -> QuantizedArray:
        projection = jnp.zeros((dims, dims)) if rotated else None
        pq = PQ(jnp.zeros((n_codes, centroids, dims // n_codes)), projection)
        norms = jnp.zeros(rows) if has_norms else None
        return QuantizedArray(pq, jnp.zeros((rows, n_codes), jnp.uint8), norms)

    shapes = jax.eval_shape(make)
    return jax.tree.map(lambda x: np.broadcast_to(np.zeros((), x.dtype), x.shape), shapes)
