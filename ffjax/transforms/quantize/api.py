"""`quantize`: embeddings of half the size, or of far less."""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from ffjax._internal.arguments import check_embeddings, key_of, whole_number
from ffjax.embeddings.value import Embeddings
from ffjax.storage import QuantizedArray, Storage
from ffjax.transforms.quantize import sampling as source
from ffjax.transforms.quantize.pq_training import PQSettings, train_opq, train_pq
from ffjax.transforms.quantize.quality import QuantizationQuality, quality
from ffjax.transforms.quantize.scalar import to_bfloat16, to_int8

# What is being done, how much of it is done, and how much there is.
Progress = Callable[[str, int, int], None]

METHODS = ("pq", "opq", "int8", "bfloat16")
# Training rows for each centroid, where nothing else is said; faiss takes as many.
_ROWS_EACH = 256
# The squares of parts of shorter rows would be no normal numbers.
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
    progress: Progress | None = None,
) -> QuantizeResult:
    """Embeddings whose rows take half of their bytes or far less.

    `"pq"` is product quantization: rows are divided into parts, k-means finds centroids of each part, and of a row the
    number of a centroid for each part is kept, a byte. `"opq"` learns a rotation first, after which less is lost.
    Finalfusion files hold both. `"int8"` keeps a byte for each number and a scale for each row, `"bfloat16"` half of
    each number's bits; they need no training, and `save(..., format="msgpack")` holds them.

    With `"pq"` and `"opq"` rows are quantized at unit length, and their lengths are kept beside the codes, as
    finalfusion's own `quantize` does; where all rows are of unit length no lengths are kept. Rows of n-grams are
    trained on and quantized like those of words. Vocabulary, norms, metadata and what training left stay. Besides the
    result, memory is needed for the training rows and for a block of rows, so a mapped file may be larger than memory.

    Args:
        embeddings: the embeddings, over any storage.
        method: `"pq"`, `"opq"`, `"int8"` or `"bfloat16"`.
        subquantizers: parts of a row, and so bytes that it takes; divides the dimensions. By default half of the
            dimensions, or a third where they are odd. Where they have neither, as 101 has not, each is a part of its
            own, with a warning: such a row takes 101 bytes. This and what follows up to `normalize` is for `"pq"` and
            `"opq"` alone.
        bits: 1 to 8, for `2 ** bits` centroids in each part; 8 by default. Codes take a byte each all the same.
        iterations: steps of k-means, by default 25; with `"opq"` rotations, by default 50.
        attempts: how often to train, to keep the best; 1 by default.
        sample: rows to train on, drawn at random; by default 256 for each centroid.
        normalize: whether to keep lengths apart, as said above; true by default.
        key: draws the training rows, the first centroids, and the rows whose neighbours are compared. The same key
            gives the same result on the same machine; `jax.random.key(0)` by default. Keys of the older kind, as
            `jax.random.PRNGKey(0)` makes them, are taken too.
        progress: called with what is being done (`"Reading"`, `"Training"`, `"Encoding"`, `"Measuring"` or
            `"Searching"`, in this order), how much of it is done and how much there is.

    Returns:
        The new embeddings, and how good they are.

    Raises:
        TypeError: an argument is of another type, or the method has no such option.
        ValueError: an option is out of range, there are no rows, fewer rows than centroids, or rows that are not
            finite. All of that is found out before training begins.

    Warns:
        UserWarning: the dimensions can be divided neither by two nor by three, and `subquantizers` is not given.

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
    if method not in METHODS:
        raise ValueError(f"`method`: expected one of {', '.join(map(repr, METHODS))}, got {method!r}.")
    key = key_of(key)
    options = {
        "subquantizers": subquantizers,
        "bits": bits,
        "iterations": iterations,
        "attempts": attempts,
        "sample": sample,
        "normalize": normalize,
    }
    rows, dims = embeddings.storage.shape
    if not rows or not dims:
        raise ValueError(f"`embeddings`: expected some rows, got a storage of shape {(rows, dims)}.")
    if progress is not None and not callable(progress):
        raise TypeError(f"`progress`: expected a function, got {type(progress).__name__} {progress!r}.")
    told = progress or (lambda what, done, total: None)
    for_training, for_quality = jax.random.split(key)
    if method in ("pq", "opq"):
        plan, n = _plan(method, rows, dims, options)
        keep_lengths = _flag("normalize", normalize)
        storage = _trained(embeddings.storage, method, plan, n, keep_lengths, for_training, told)
    else:
        if given := [name for name, value in options.items() if value is not None]:
            raise TypeError(
                f"`{given[0]}`: expected None with {method!r}, which is not trained, got {options[given[0]]!r}."
            )
        narrow = to_int8 if method == "int8" else to_bfloat16
        storage = narrow(embeddings.storage, lambda done, total: told("Encoding", done, total))
    quantized = embeddings.replace(storage=storage)
    return QuantizeResult(quantized, quality(embeddings, quantized, for_quality, told))


def _trained(
    storage: Storage, method: str, plan: PQSettings, n: int, normalize: bool, key: jax.Array, told: Progress
) -> QuantizedArray:
    lengths = source.lengths(storage, lambda done, total: told("Reading", done, total))
    if not normalize and 0 < lengths.max() < _SHORTEST:
        raise ValueError(
            f"`normalize`: expected True with rows as short as these, none longer than {lengths.max():g}, whose "
            "numbers k-means could not square, got False."
        )
    norms = None if not normalize or source.all_unit(lengths) else lengths
    for_rows, for_books = jax.random.split(key)
    train = train_opq if method == "opq" else train_pq
    training_rows = source.drawn(storage, n, norms, for_rows)
    told("Training", 0, 1)  # programs are compiled before the first step is done
    pq = train(training_rows, plan, for_books, lambda done, total: told("Training", done, total))
    codes = source.encoded(storage, pq, norms, lambda done, total: told("Encoding", done, total))
    return QuantizedArray(pq, codes, norms)


def _plan(method: str, rows: int, dims: int, options: dict[str, Any]) -> tuple[PQSettings, int]:
    """The checked options, and how many rows to train on."""
    parts = _number("subquantizers", options["subquantizers"], _parts(dims))
    bits = _number("bits", options["bits"], 8)
    if bits > 8:
        raise ValueError(f"`bits`: expected 1 to 8, since a code is a byte, got {bits}.")
    if dims % parts:
        raise ValueError(
            f"`subquantizers`: expected a divisor of the {dims} dimensions ({_divisors(dims)}), got {parts}."
        )
    centroids = 1 << bits
    if rows < centroids:
        hint = f" Take `bits={rows.bit_length() - 1}` or less." if rows > 1 else ""
        raise ValueError(
            f"`embeddings`: expected at least {centroids} rows, one for each centroid of {bits} bits, got {rows}.{hint}"
        )
    sample = _number("sample", options["sample"], _ROWS_EACH * centroids)
    if sample < centroids:
        raise ValueError(f"`sample`: expected at least {centroids} rows, one for each centroid, got {sample}.")
    iterations = _number("iterations", options["iterations"], 50 if method == "opq" else 25)
    plan = PQSettings(parts, centroids, iterations, _number("attempts", options["attempts"], 1))
    if options["subquantizers"] is None and parts == dims > 1:
        warnings.warn(
            f"`subquantizers`: {dims} dimensions have neither a half nor a third, so each is a part of its own, and a "
            f"row takes {dims} bytes. Give `subquantizers` ({_divisors(dims)}) to choose, or reduce the vectors to "
            f"{dims - 1} dimensions first.",
            stacklevel=3,
        )
    return plan, sample


def _divisors(dims: int) -> str:
    return ", ".join(str(n) for n in range(1, dims + 1) if dims % n == 0)


def _parts(dims: int) -> int:
    """Half of the dimensions or a third, or all of them where they have neither."""
    return next((dims // each for each in (2, 3) if dims % each == 0), dims)


def _number(name: str, value: Any, default: int) -> int:
    return default if value is None else whole_number(name, value, 1, "Leave it out, or give None, for the default.")


def _flag(name: str, value: Any) -> bool:
    if value is not None and not isinstance(value, bool):
        raise TypeError(f"`{name}`: expected True, False or None, got {type(value).__name__}.")
    return value is not False
