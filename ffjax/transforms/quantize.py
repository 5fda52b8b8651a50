"""`quantize`: embeddings of half the size, or of far less; and back to float32 rows.

All of it reads rows a block at a time, so that a mapped file needs memory only for the result.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ffjax._internal.arguments import check_embeddings, key_of, whole_number
from ffjax._internal.arrays import aligned_empty
from ffjax._internal.file_arguments import check_choice, wrong_type
from ffjax._internal.progress import Progress, Report, ignore
from ffjax._internal.warn import warn_user
from ffjax.embeddings.value import Embeddings
from ffjax.functional.search.api import top_k
from ffjax.storage import Int8Array, NdArray, QuantizedArray, Storage
from ffjax.storage.int8 import rounded
from ffjax.transforms import pq_training as pq
from ffjax.transforms.pq_training import PQSettings

METHODS = ("pq", "opq", "int8", "bfloat16")
_ITERATIONS = {"pq": 25, "opq": 50}
# Training rows for each centroid by default; faiss takes as many.
_ROWS_PER_CENTROID = 256
# The squares of numbers of shorter rows would not be normal floats.
_SHORTEST = 1e-15
_QUERIES, _NEIGHBOURS = 256, 10


class QuantizationQuality(NamedTuple):
    """How near quantized embeddings are to the original ones.

    Attributes:
        mean_squared_error: of the numbers of all rows.
        mean_cosine: of each row with its reconstruction; zero rows are left out.
        recall: the share of the 10 rows nearest to a row, by the cosine, that are among the 10
            nearest afterwards: the mean over 256 rows drawn at random, with the original row as the
            query and left out of the answers. Only rows of words count, if there are any.
    """

    mean_squared_error: float
    mean_cosine: float
    recall: float


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
    key: Array | np.ndarray | None = None,
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
    if method in _ITERATIONS:
        settings = _pq_settings(method, *storage.shape, options)
        train = pq.train_pq if method == "pq" else pq.train_opq
        narrow = _trained(storage, train, settings, normalize is not False, training_key, report)
    else:
        for name, option in options.items():
            if option is not None:
                expected = f"expected None with {method!r}, which is not trained"
                raise TypeError(f"`{name}`: {expected}, got {option!r}.")
        convert = to_int8 if method == "int8" else to_bfloat16
        narrow = convert(storage, partial(report, "Encoding"))
    quantized = embeddings.replace(storage=narrow)
    errors = _row_errors(storage, narrow, partial(report, "Measuring"))
    recall = _recall(embeddings, quantized, quality_key, partial(report, "Searching"))
    return QuantizeResult(quantized, QuantizationQuality(*errors, recall))


def _pq_settings(method: str, rows: int, dims: int, options: dict[str, Any]) -> PQSettings:
    """The checked options of `"pq"` or `"opq"`, with defaults where they are `None`."""

    def number(name: str, default: int) -> int:
        value, hint = options[name], "Leave it out, or give None, for the default."
        return default if value is None else whole_number(name, value, 1, hint)

    # Half of the dimensions or a third, or all of them where they have neither.
    default = next((dims // divisor for divisor in (2, 3) if dims % divisor == 0), dims)
    subquantizers, bits = number("subquantizers", default), number("bits", 8)
    if bits > 8:
        raise ValueError(f"`bits`: expected 1 to 8, since a code is a byte, got {bits}.")
    divisors = ", ".join(str(n) for n in range(1, dims + 1) if dims % n == 0)
    if dims % subquantizers:
        expected = f"expected a divisor of the {dims} dimensions ({divisors})"
        raise ValueError(f"`subquantizers`: {expected}, got {subquantizers}.")
    centroids = 1 << bits
    if rows < centroids:
        most = rows.bit_length() - 1
        hint = f" Take `bits={most}`{' or less' if most > 1 else ''}." if rows > 1 else ""
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
    storage: Storage, train: Any, settings: PQSettings, normalize: bool, key: Array, report: Report
) -> QuantizedArray:
    """Codes of all rows, and their norms unless all are 1, by codebooks trained on a sample."""
    norms = pq.norms_of(storage, partial(report, "Reading"))
    if not normalize and 0 < norms.max() < _SHORTEST:
        raise ValueError(
            f"`normalize`: expected True with rows as short as these, none longer than "
            f"{norms.max():g}, whose numbers k-means could not square, got False."
        )
    divisors = None if not normalize or pq.all_unit(norms) else norms
    sample_key, codebook_key = jax.random.split(key)
    rows = pq.sample_rows(storage, settings.sample, divisors, sample_key)
    report("Training", 0, 1)  # programs are compiled before the first step ends
    codebooks = train(rows, settings, codebook_key, partial(report, "Training"))
    codes = pq.encode_rows(storage, codebooks, divisors, partial(report, "Encoding"))
    return QuantizedArray(codebooks, codes, divisors)


def to_int8(storage: Storage, progress: Progress) -> Int8Array:
    """The rows as 8-bit numbers with a scale each, a quarter of the size of float32."""
    codes = aligned_empty(storage.shape, np.int8)
    scales = aligned_empty(storage.shape[:1], np.float32)
    for rows, block in pq.reported_blocks(storage, progress, "row {}".format):
        codes[rows], scales[rows] = rounded(block)
    return Int8Array(*jax.device_put((codes, scales)))


def to_bfloat16(storage: Storage, progress: Progress) -> NdArray:
    """The rows as bfloat16, half the size of float32: 8 significant bits, float32's exponents."""
    matrix = aligned_empty(storage.shape, jnp.bfloat16)
    for rows, block in pq.reported_blocks(storage, progress, "row {}".format):
        matrix[rows] = block.astype(jnp.bfloat16)
        finite = np.isfinite(matrix[rows].astype(np.float32)).all(axis=1)
        if not finite.all():
            row, largest = int(finite.argmin()), float(jnp.finfo(jnp.bfloat16).max)
            raise ValueError(
                f"`embeddings`: expected numbers up to {largest:.4g}, the largest of bfloat16, "
                f"got {np.abs(block[row]).max():.4g} in row {rows.start + row}. "
                "Scale the rows first."
            )
    return NdArray(jax.device_put(matrix))


def reconstruct(embeddings: Embeddings) -> Embeddings:
    """The same embeddings with a float32 matrix: each row is what its codes stand for.

    Storages of all kinds become dense: codes are decoded, narrow numbers widened, composed rows
    computed, mapped files read. Vocabulary, norms and metadata stay. Memory is needed for the
    matrix and a block of rows.

    Args:
        embeddings: the embeddings.

    Returns:
        Embeddings whose storage is an `NdArray`.

    Raises:
        TypeError: if `embeddings` is something else.

    Examples:
        >>> import ffjax
        >>> emb = ffjax.reconstruct(ffjax.demo())
        >>> emb.storage
        NdArray(43500 x 100)
    """
    check_embeddings(embeddings)
    matrix = aligned_empty(embeddings.storage.shape, np.float32)
    for rows, block in pq.reported_blocks(embeddings.storage, ignore):
        matrix[rows] = block
    return embeddings.replace(storage=NdArray(jax.device_put(matrix)))


def _row_errors(original: Storage, quantized: Storage, progress: Progress) -> tuple[float, float]:
    """The mean squared error of all numbers, and the mean cosine of rows that are not zero."""
    squares, cosines, n_cosines = 0.0, 0.0, 0
    dots = partial(np.einsum, "ij,ij->i", dtype=np.float64)
    for rows, block in pq.reported_blocks(original, progress):
        approximate = quantized.read(rows).astype(np.float32, copy=False)
        # In float64, since squares may leave the range of float32.
        differences = np.subtract(block, approximate, dtype=np.float64)
        squares += float(dots(differences, differences).sum())
        before, after = dots(block, block), dots(approximate, approximate)
        valid = (before > 0) & (after > 0)
        products = dots(block, approximate)[valid]
        cosines += float((products / np.sqrt(before[valid] * after[valid])).sum())
        n_cosines += int((before > 0).sum())
    mean_squared = squares / (original.shape[0] * original.shape[1])
    return mean_squared, cosines / n_cosines if n_cosines else 1.0


def _recall(original: Embeddings, quantized: Embeddings, key: Array, progress: Progress) -> float:
    """The share of the nearest rows that stay among the nearest, for rows drawn by `key`."""
    searched: tuple[Any, Any] = original, quantized
    n_searched = original.vocab.n_word_rows
    if not n_searched:  # a floret table has rows but no words
        searched = original.storage, quantized.storage
        n_searched = len(original.storage)
    k = min(_NEIGHBOURS, n_searched - 1)
    if k < 1:
        return 1.0
    ids = jax.random.choice(key, n_searched, (min(_QUERIES, n_searched),), replace=False)
    ids = np.asarray(ids).astype(np.int32)
    queries = jnp.array(original.storage.read(ids)).astype(jnp.float32)
    neighbours = []
    for number, rows in enumerate(searched):
        progress(number, 2)
        best = top_k(rows, queries, k, metric="cosine", exclude=ids[:, None])
        neighbours.append(np.asarray(best.rows))
    progress(2, 2)
    before, after = neighbours
    return float((before[:, :, None] == after[:, None, :]).any(2).mean())
