"""`ffjax quantize` and `ffjax reconstruct`: codes in place of numbers, and back."""

import os
from typing import Annotated, Any, Literal

from typer import Option

import ffjax
from ffjax.cli.exit_status import BadInput
from ffjax.cli.files import check_target, rewrite, shown
from ffjax.cli.options import Files, Json
from ffjax.cli.output import facts
from ffjax.cli.progress import Bar

Quantizer = Literal["pq", "opq", "int8", "bfloat16"]
TRAINED = ("pq", "opq")


def quantize(
    files: Files,
    method: Annotated[Quantizer, Option("--method", "-m", help="Quantization method.")] = "pq",
    subquantizers: Annotated[
        int | None,
        Option("--subquantizers", "-s", min=1, help="Bytes per row; by default dims / 2."),
    ] = None,
    bits: Annotated[int | None, Option(min=1, max=8, help="Bits per code; default 8.")] = None,
    iterations: Annotated[
        int | None, Option("--iterations", "-i", min=1, help="Training steps: 25, or 50 with opq.")
    ] = None,
    attempts: Annotated[int | None, Option(min=1, help="Trainings; the best counts.")] = None,
    sample: Annotated[
        int | None, Option(min=1, help="Rows to train on; by default 256 per centroid.")
    ] = None,
    keep_lengths: Annotated[bool, Option(help="Quantize unit vectors; store lengths.")] = True,
    seed: Annotated[int, Option(min=0, max=(1 << 32) - 1, help="Random seed.")] = 0,
    json: Json = False,
) -> None:
    """Make embeddings smaller by storing codes in place of numbers.

    pq splits each row and stores one byte per subvector, the index of one of
    256 centroids (by default a subvector has two numbers, or three if dims is
    odd); opq first learns a rotation that lowers the error. Both are
    written as finalfusion files. int8 and bfloat16 need no training and are
    written as msgpack files. Prints the loss: the mean squared error, the mean
    cosine of rows before and after, and the share of the 10 nearest words that
    are still among the 10 nearest.

    Examples:
      ffjax quantize glove.fifu small.fifu
      ffjax quantize cc.de.300.bin small.fifu --method opq --subquantizers 60
    """
    if json and files.output == "-":
        raise BadInput("expected a file as the output, since --json prints, got standard output.")
    _check_output(files, method)
    # The output may replace the input.
    source = files.embeddings
    size_before = os.path.getsize(source) if os.path.isfile(source) else None
    quality: Any = None

    def change(emb: "ffjax.Embeddings", bar: Bar) -> "ffjax.Embeddings":
        import jax

        nonlocal quality
        small, quality = ffjax.quantize(
            emb,
            method,
            subquantizers=subquantizers,
            bits=bits,
            iterations=iterations,
            attempts=attempts,
            sample=sample,
            normalize=None if keep_lengths and method not in TRAINED else keep_lengths,
            key=jax.random.key(seed),
            progress=bar.show,
        )
        return small

    rewrite(files, change, "Quantizing", function="quantize")
    if files.output == "-":
        return
    size = os.path.getsize(files.output)
    values = {
        "bytes before": size_before,
        "bytes after": size,
        "smaller": size_before and round(size_before / size, 2),
        "mean squared error": quality.mean_squared_error,
        "mean cosine": quality.mean_cosine,
        "recall of 10 nearest": quality.recall,
    }
    facts(values, as_json=json)


def reconstruct(files: Files) -> None:
    """Turn quantized embeddings back into plain ones.

    Each row becomes the vector that its codes stand for; what quantization
    lost stays lost. Words, n-grams and metadata are kept.

    Examples:
      ffjax reconstruct small.fifu plain.fifu
    """
    rewrite(files, lambda emb, _: ffjax.reconstruct(emb), "Reconstructing")


def _check_output(files: Files, method: Quantizer) -> None:
    """Checks, before hours of training, that the output can store the result."""
    from ffjax.formats.save import promised_format

    check_target(files.output, files.to)
    endings = {"finalfusion": ".fifu"} if method in TRAINED else {}
    endings["msgpack"] = ".msgpack"
    format = files.to or promised_format(files.output)
    if format not in endings:
        expected = f"{' or '.join(endings)} (a name with {' or '.join(endings.values())})"
        raise BadInput(
            f"{shown(files.output, output=True)}: expected a format that can store {method} codes, "
            f"{expected}, got {format}. `ffjax reconstruct` gives plain vectors."
        )
