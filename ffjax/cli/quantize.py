"""`ffjax quantize`: embeddings of a fraction of the size."""

import os
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ffjax.cli.exit_status import BadInput
from ffjax.cli.files import check_target, rewrite, shown
from ffjax.cli.options import Files, Json
from ffjax.cli.output import facts
from ffjax.cli.progress import Bar

if TYPE_CHECKING:
    from ffjax import Embeddings


Quantizer = Literal["pq", "opq", "int8", "bfloat16"]
TRAINED = ("pq", "opq")


def quantize(
    files: Files,
    method: Annotated[
        Quantizer, typer.Option("--method", "-m", help="Quantization method.")
    ] = "pq",
    subquantizers: Annotated[
        int | None,
        typer.Option("--subquantizers", "-s", min=1, help="Bytes per row; by default dims / 2."),
    ] = None,
    bits: Annotated[
        int | None, typer.Option(min=1, max=8, help="Bits per code; by default 8.")
    ] = None,
    iterations: Annotated[
        int | None,
        typer.Option("--iterations", "-i", min=1, help="Training steps: 25, or 50 with opq."),
    ] = None,
    attempts: Annotated[
        int | None, typer.Option(min=1, help="Number of trainings; the best is kept.")
    ] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, help="Rows to train on; by default 256 per centroid.")
    ] = None,
    keep_lengths: Annotated[
        bool, typer.Option(help="Quantize unit vectors and store the lengths of the rows.")
    ] = True,
    seed: Annotated[int, typer.Option(min=0, max=(1 << 32) - 1, help="Random seed.")] = 0,
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

    def change(emb: "Embeddings", bar: Bar) -> "Embeddings":
        import jax

        from ffjax.transforms.quantize import quantize

        nonlocal quality
        small, quality = quantize(
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

    rewrite(files, change, function="quantize", doing="Quantizing")
    if files.output == "-":
        return
    size = os.path.getsize(files.output)
    facts(
        {
            "bytes before": size_before,
            "bytes after": size,
            "smaller": None if size_before is None else round(size_before / size, 2),
            "mean squared error": quality.mean_squared_error,
            "mean cosine": quality.mean_cosine,
            "recall of 10 nearest": quality.recall,
        },
        as_json=json,
    )


def _check_output(files: Files, method: Quantizer) -> None:
    """Checks, before hours of training, that the output can store the result."""
    check_target(files.output, files.to)
    from ffjax.formats.save import promised_format

    endings = {"msgpack": ".msgpack"}
    if method in TRAINED:
        endings = {"finalfusion": ".fifu", **endings}
    format = promised_format(files.output) if files.to is None else files.to
    if format not in endings:
        raise BadInput(
            f"{shown(files.output, output=True)}: expected a format that can store {method} codes, "
            f"{' or '.join(endings)} (a name with {' or '.join(endings.values())}), "
            f"got {format}. `ffjax reconstruct` gives plain vectors."
        )
