"""`ffjax quantize` and `ffjax reconstruct`: codes in place of numbers, and back."""

import os
from collections.abc import Iterator
from functools import partial
from typing import Any, Literal

from typer import Option

import ffjax
from ffjax.cli.files import check_target, rewrite, shown, size_of
from ffjax.cli.messages import BadInput, say
from ffjax.cli.options import Json, Source, Target
from ffjax.cli.output import Progress, facts, short

Quantizer = Literal["pq", "opq", "int8", "bfloat16"]
TRAINED = ("pq", "opq")


def quantize(
    source: Source,
    target: Target,
    method: Quantizer | None = Option(None, "-m", help="Quantization method (pq by default)."),
    max_size: str | None = Option(
        None, metavar="SIZE", help="Choose what fits a file of, say, 20MB."
    ),
    subquantizers: int | None = Option(None, "-s", min=1, help="Bytes per row; default dims / 2."),
    bits: int | None = Option(None, min=1, max=8, help="Bits per code; default 8."),
    iterations: int | None = Option(None, "-i", min=1, help="Training steps: 25, or 50 with opq."),
    attempts: int | None = Option(None, min=1, help="Training runs; the best is kept."),
    sample: int | None = Option(None, min=1, help="Training rows; 256 per centroid."),
    raw: bool = Option(
        False, "--no-keep-lengths", help="Quantize rows as they are, not unit vectors."
    ),
    seed: int = Option(0, min=0, max=(1 << 32) - 1, help="Random seed."),
    json: Json = False,
) -> None:
    """Make embeddings smaller by storing codes in place of numbers.

    pq splits each row and stores one byte per subvector, the index of one of
    256 centroids (by default a subvector has two numbers, or three if dims is
    odd); opq first learns a rotation that lowers the error. Both store row
    lengths separately, and are written as finalfusion files. int8 and
    bfloat16 need no training and are written as msgpack files. --max-size 20MB
    chooses the method and the number of bytes per row that loses least.

    Prints the loss: the mean squared error, the mean cosine of rows before
    and after, and the recall: of 256 words drawn at random, the share of the
    10 nearest words that are still among the 10 nearest, by the cosine.

    Examples:
      ffjax quantize glove.fifu small.fifu
      ffjax quantize glove.fifu small.fifu --max-size 20MB
      ffjax quantize cc.de.300.bin small.fifu --method opq --subquantizers 60
    """
    if json and target.output == "-":
        raise BadInput("expected a file as the output, since --json prints, got standard output.")
    format = _checked_format(target, method or "pq")
    if max_size is not None and subquantizers is not None:
        raise BadInput("expected --max-size or --subquantizers, got both.")
    most = None if max_size is None else n_bytes(max_size)
    size_before = size_of(source.file)  # the output may replace the input
    quality: Any = None

    def change(emb: "ffjax.Embeddings", bar: Progress) -> "ffjax.Embeddings":
        import jax

        nonlocal quality
        chosen, codes = method or "pq", subquantizers
        if most is not None:
            chosen, codes = _best_within(emb, most, format, method, bits or 8, not raw)
            say(f"chose --method {chosen}" + (f" --subquantizers {codes}." if codes else "."))
        options: Any = {"subquantizers": codes, "bits": bits, "iterations": iterations}
        options |= {"attempts": attempts, "sample": sample, "key": jax.random.key(seed)}
        options["normalize"] = False if raw else chosen in TRAINED or None
        small, quality = ffjax.quantize(emb, chosen, progress=bar.show, **options)
        return small

    rewrite(source, target, change, "Quantizing", function="quantize")
    if target.output == "-":
        return
    size = os.path.getsize(target.output)
    values = {
        "bytes before": size_before,
        "bytes after": size,
        "compression ratio": size_before and round(size_before / size, 2),
        "mean squared error": short(quality.mean_squared_error),
        "mean cosine": short(quality.mean_cosine),
        "recall of 10 nearest": short(quality.recall),
    }
    facts(values, json)


def reconstruct(source: Source, target: Target) -> None:
    """Turn quantized embeddings back into plain ones.

    Each row becomes the vector that its codes stand for; what quantization
    lost stays lost. Words, n-grams and metadata are kept.

    Examples:
      ffjax reconstruct small.fifu plain.fifu
    """
    rewrite(source, target, lambda emb, _: ffjax.reconstruct(emb), "Reconstructing")


def n_bytes(text: str) -> int:
    """A size in bytes: `20MB`, `1.5G` and `64 KiB` are sizes, with powers of 1000 or of 1024.

    Examples:
        >>> n_bytes("20MB"), n_bytes("1.5 KiB"), n_bytes("300")
        (20000000, 1536, 300)
    """
    number = text.strip().upper().removesuffix("B")
    base = 1024 if number.endswith("I") else 1000
    number = number.removesuffix("I")
    exponent = "KMG".find(number[-1:]) + 1 if number else 0
    try:
        return int(float(number[:-1] if exponent else number) * base**exponent)
    except (ValueError, OverflowError):
        raise BadInput(f"`--max-size`: expected a size such as 20MB, got {text}.") from None


def _checked_format(target: Target, method: str) -> str:
    """The format of the output, which can store the result: known before hours of training."""
    from ffjax.formats.save import promised_format

    check_target(target)
    endings = {"finalfusion": ".fifu"} if method in TRAINED else {}
    endings["msgpack"] = ".msgpack"
    format = target.to or promised_format(target.output)
    if format in endings:
        return format
    expected = f"{' or '.join(endings)} (a name with {' or '.join(endings.values())})"
    raise BadInput(
        f"{shown(target.output, output=True)}: expected a format that can store {method} codes, "
        f"{expected}, got {format}. `ffjax reconstruct` gives plain vectors."
    )


def _best_within(
    emb: "ffjax.Embeddings", most: int, format: str, method: str | None, bits: int, norms: bool
) -> tuple[str, int | None]:
    """The method and the bytes of a row of the best file of at most so many bytes."""
    import jax
    import numpy as np

    from ffjax.formats.finalfusion.writer import finalfusion_size
    from ffjax.formats.snapshot.files import snapshot_size
    from ffjax.transforms.pq_training import all_unit, norms_of

    norms = norms and not all_unit(norms_of(emb.storage, lambda rows, total: None))
    size_of = finalfusion_size if format == "finalfusion" else snapshot_size
    size = 0
    for name, n_codes in _from_the_best(emb.dims, format):
        if method not in (None, name):
            continue
        make = partial(_zeros, name, emb.storage.shape, n_codes, 1 << bits, norms)
        # Zeros that are broadcast, which take no memory.
        storage: Any = jax.tree.map(
            lambda x: np.broadcast_to(np.zeros((), x.dtype), x.shape), jax.eval_shape(make)
        )
        size = size_of(emb.replace(storage=storage, training=None))
        if size <= most:
            return name, n_codes or None
    raise BadInput(
        f"`--max-size`: expected at least {size:,} bytes, which the words and the smallest codes "
        f"take, got {most:,}. Keep fewer words first, as with `ffjax select --first 20000`."
    )


def _from_the_best(dims: int, format: str) -> Iterator[tuple[str, int]]:
    """Methods and codes per row, best first: more codes lose less, and so does a rotation."""
    if format == "msgpack":
        yield from (("bfloat16", 0), ("int8", 0))
    for n_codes in range(dims, 0, -1):
        if dims % n_codes == 0:
            yield from (("opq", n_codes), ("pq", n_codes))


def _zeros(method: str, shape: tuple[int, int], n_codes: int, centroids: int, norms: bool) -> Any:
    """A storage of zeros of the shapes that a method gives."""
    import jax.numpy as jnp

    rows, dims = shape
    if method == "bfloat16":
        return ffjax.NdArray(jnp.zeros(shape, jnp.bfloat16))
    if method == "int8":
        return ffjax.Int8Array(jnp.zeros(shape, jnp.int8), jnp.zeros(rows, jnp.float32))
    projection = jnp.zeros((dims, dims), jnp.float32) if method == "opq" else None
    codebooks = jnp.zeros((n_codes, centroids, dims // n_codes), jnp.float32)
    pq = ffjax.PQ(codebooks, projection)
    lengths = jnp.zeros(rows, jnp.float32) if norms else None
    return ffjax.QuantizedArray(pq, jnp.zeros((rows, n_codes), jnp.uint8), lengths)
