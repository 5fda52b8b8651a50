"""`quantize`: embeddings of half the size, or of far less."""

from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from ffjax._internal.arguments import check_embeddings, key_of, whole_number
from ffjax._internal.file_arguments import check_choice, wrong_type
from ffjax._internal.progress import Report, ignore
from ffjax._internal.warn import warn_user
from ffjax.embeddings.value import Embeddings
from ffjax.storage import QuantizedArray, Storage
from ffjax.transforms.quantize import sampling
from ffjax.transforms.quantize.narrow import to_bfloat16, to_int8
from ffjax.transforms.quantize.pq_training import PQSettings, train_opq, train_pq
from ffjax.transforms.quantize.quality import QuantizationQuality, quality

_TRAINED = {"pq": train_pq, "opq": train_opq}
_NARROWED = {"int8": to_int8, "bfloat16": to_bfloat16}
METHODS = (*_TRAINED, *_NARROWED)
_ITERATIONS = {"pq": 25, "opq": 50}
# Training rows for each centroid by default; faiss takes as many.
_ROWS_PER_CENTROID = 256
# The squares of numbers of shorter rows would not be normal floats.
_SHORTEST = 1e-15


class QuantizeResult(NamedTuple):
    """What `quantize` returns.

    Attributes:
        embeddings: the same words with smaller rows.
        quality: how near the new rows are to the old ones.
    """

    embeddings: Embeddings
    quality: QuantizationQuality


def quantize(
    embeddings: Embeddings,
    method: str = "pq",
    *,
    subquantizers: int | None = None,
    bits: int | None = None,
    iterations: int | None = None,
    attempts: int | None = None,
    sample: int | None = None,
    normalize: bool | None = None,
    key: jax.Array | np.ndarray | None = None,
    progress: Report | None = None,
) -> QuantizeResult:
    """Embeddings whose rows take half of their bytes or far less.

    `"pq"` is product quantization: rows are divided into subvectors, k-means finds centroids for
    each, and a row becomes the number of a centroid for each subvector, a byte. `"opq"` learns a
    rotation first, which loses less. Finalfusion files hold both. `"int8"` keeps a byte for each
    number and a scale for each row, `"bfloat16"` half of each number's bits; they need no training,
    and `save(..., format="msgpack")` holds them.

    With `"pq"` and `"opq"` rows are quantized at unit length, and their norms are kept with the
    codes, as finalfusion's own `quantize` does; if all rows have unit length no norms are kept.
    Rows of n-grams are trained on and quantized like those of words. Vocabulary, norms, metadata
    and training state stay. Besides the result, memory is needed for the training rows and a block
    of rows, so a mapped file may be larger than memory.

    Args:
        embeddings: the embeddings, over any storage.
        method: `"pq"`, `"opq"`, `"int8"` or `"bfloat16"`.
        subquantizers: subvectors of a row, and so the bytes that it takes; divides the dimensions.
            By default half of the dimensions, or a third where they are odd. If neither is whole,
            as for 101, each dimension is quantized by itself, with a warning: such a row takes 101
            bytes. This option and those up to `normalize` are only for `"pq"` and `"opq"`.
        bits: 1 to 8, for `2 ** bits` centroids of each subvector; 8 by default. A code always takes
            a byte.
        iterations: steps of k-means, by default 25; with `"opq"` rotations, by default 50.
        attempts: how often to train, to keep the best; 1 by default.
        sample: rows to train on, drawn at random; by default 256 for each centroid.
        normalize: whether to keep norms apart, as described above; true by default.
        key: draws the training rows, the first centroids, and the rows whose neighbours are
            compared. The same key gives the same result on the same machine;
            `jax.random.key(0)` by default. Keys of `jax.random.PRNGKey` work too.
        progress: called with what is being done (`"Reading"`, `"Training"`, `"Encoding"`,
            `"Measuring"` or `"Searching"`, in this order), how much of it is done and how much
            there is.

    Returns:
        The new embeddings, and how good they are.

    Raises:
        TypeError: if an argument has another type, or the method does not have such an option.
        ValueError: if an option is out of range, there are no rows, fewer rows than centroids, or
            rows that are not finite. All of that is checked before training begins.

    Warns:
        UserWarning: if the dimensions can be divided neither by two nor by three, and
            `subquantizers` is not given.

    Examples:
        >>> import ffjax
        >>> demo = ffjax.demo()
        >>> emb = ffjax.reconstruct(ffjax.select_words(demo, demo.vocab.words[:2000]))
        >>> small, quality = ffjax.quantize(emb, subquantizers=25, iterations=5)
        >>> small.storage
        QuantizedArray(5500 x 100, PQ(25 subquantizers of 256 centroids, 100 dims), norms)
        >>> 0.8 < quality.mean_cosine < 1, small["tea"].shape
        (True, (100,))
    """
    check_embeddings(embeddings)
    check_choice("method", method, METHODS)
    if not isinstance(normalize, bool | None):
        got = type(normalize).__name__
        raise TypeError(f"`normalize`: expected True, False or None, got {got}.")
    if progress is not None and not callable(progress):
        raise wrong_type("progress", "a function", progress)
    storage, report = embeddings.storage, progress or ignore
    training_key, quality_key = jax.random.split(key_of(key))
    if 0 in storage.shape:
        got = f"a storage of shape {storage.shape}"
        raise ValueError(f"`embeddings`: expected some rows, got {got}.")
    options = {"subquantizers": subquantizers, "bits": bits, "iterations": iterations}
    options |= {"attempts": attempts, "sample": sample, "normalize": normalize}
    if narrow := _NARROWED.get(method):
        for name, option in options.items():
            if option is not None:
                expected = f"expected None with {method!r}, which is not trained"
                raise TypeError(f"`{name}`: {expected}, got {option!r}.")
        storage = narrow(storage, partial(report, "Encoding"))
    else:
        settings = _pq_settings(method, *storage.shape, options)
        keep_norms = normalize is not False
        storage = _trained(storage, method, settings, keep_norms, training_key, report)
    quantized = embeddings.replace(storage=storage)
    return QuantizeResult(quantized, quality(embeddings, quantized, quality_key, report))


def _pq_settings(method: str, rows: int, dims: int, options: dict[str, Any]) -> PQSettings:
    """The checked options of `"pq"` or `"opq"`, with defaults where they are `None`."""

    def number(name: str, default: int) -> int:
        if options[name] is None:
            return default
        hint = "Leave it out, or give None, for the default."
        return whole_number(name, options[name], 1, hint)

    # Half of the dimensions or a third, or all of them where they have neither.
    default = next((dims // divisor for divisor in (2, 3) if dims % divisor == 0), dims)
    subquantizers = number("subquantizers", default)
    bits = number("bits", 8)
    if bits > 8:
        raise ValueError(f"`bits`: expected 1 to 8, since a code is a byte, got {bits}.")
    divisors = ", ".join(str(n) for n in range(1, dims + 1) if dims % n == 0)
    if dims % subquantizers:
        expected = f"expected a divisor of the {dims} dimensions ({divisors})"
        raise ValueError(f"`subquantizers`: {expected}, got {subquantizers}.")
    centroids = 1 << bits
    if rows < centroids:
        bits_of_rows = rows.bit_length() - 1
        less = " or less" if bits_of_rows > 1 else ""
        hint = f" Take `bits={bits_of_rows}`{less}." if rows > 1 else ""
        raise ValueError(
            f"`embeddings`: expected at least {centroids} rows, one for each centroid of {bits} "
            f"bits, got {rows}.{hint}"
        )
    sample = number("sample", _ROWS_PER_CENTROID * centroids)
    if sample < centroids:
        expected = f"expected at least {centroids} rows, one for each centroid"
        raise ValueError(f"`sample`: {expected}, got {sample}.")
    iterations = number("iterations", _ITERATIONS[method])
    settings = PQSettings(subquantizers, centroids, iterations, number("attempts", 1), sample)
    if options["subquantizers"] is None and subquantizers == dims > 1:
        warn_user(
            f"`subquantizers`: {dims} dimensions have neither a half nor a third, so each is "
            f"quantized by itself, and a row takes {dims} bytes. Give `subquantizers` "
            f"({divisors}) to choose, or reduce the vectors to {dims - 1} dimensions first."
        )
    return settings


def _trained(
    storage: Storage,
    method: str,
    settings: PQSettings,
    normalize: bool,
    key: jax.Array,
    report: Report,
) -> QuantizedArray:
    norms = sampling.norms_of(storage, partial(report, "Reading"))
    if not normalize and 0 < norms.max() < _SHORTEST:
        raise ValueError(
            f"`normalize`: expected True with rows as short as these, none longer than "
            f"{norms.max():g}, whose numbers k-means could not square, got False."
        )
    divisors = None if not normalize or sampling.all_unit(norms) else norms
    sample_key, codebook_key = jax.random.split(key)
    rows = sampling.sample_rows(storage, settings.sample, divisors, sample_key)
    report("Training", 0, 1)  # programs are compiled before the first step ends
    pq = _TRAINED[method](rows, settings, codebook_key, partial(report, "Training"))
    codes = sampling.encode_rows(storage, pq, divisors, partial(report, "Encoding"))
    return QuantizedArray(pq, codes, divisors)
