"""`ffjax quantize`: embeddings of a fraction of the size."""

import os
import warnings
from enum import StrEnum
from typing import Annotated

import typer

from ffjax.cli.exit_status import BadInput, say
from ffjax.cli.files import check_target, in_terms, load, save, shown
from ffjax.cli.options import Format, FromFormat, InputFile, Json, Lossy, OutputFile, ToFormat
from ffjax.cli.output import facts
from ffjax.cli.progress import working

# What the library's messages call arguments, and what users of the command call them.
_TERMS = {
    **{f"`{name}`": f"`--{name}`" for name in ("subquantizers", "bits", "iterations", "attempts", "sample")},
    "`bits=": "`--bits ",
    "`normalize`": "`--no-keep-lengths`",
    "`embeddings`: ": "",
}


class QuantizeMethod(StrEnum):
    """How rows are made smaller, as in `ffjax.quantize`."""

    pq = "pq"
    opq = "opq"
    int8 = "int8"
    bfloat16 = "bfloat16"


def quantize(
    embeddings: InputFile,
    output: OutputFile,
    method: Annotated[QuantizeMethod, typer.Option("--method", "-m", help="How rows are made smaller.")] = (
        QuantizeMethod.pq
    ),
    subquantizers: Annotated[
        int | None,
        typer.Option(
            "--subquantizers",
            "-s",
            min=1,
            help="Bytes of a row; by default half of the dimensions, a third where they are odd.",
        ),
    ] = None,
    bits: Annotated[
        int | None, typer.Option(min=1, max=8, help="Bits of a code, for 2^BITS centroids; by default 8.")
    ] = None,
    iterations: Annotated[
        int | None, typer.Option("--iterations", "-i", min=1, help="Steps of training; by default 25, with opq 50.")
    ] = None,
    attempts: Annotated[int | None, typer.Option(min=1, help="Trainings, of which the best is kept.")] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, help="Rows to train on; by default 256 for each centroid.")
    ] = None,
    keep_lengths: Annotated[
        bool, typer.Option(help="Quantize rows at unit length, and keep their lengths beside the codes.")
    ] = True,
    seed: Annotated[
        int,
        typer.Option(min=0, max=(1 << 32) - 1, help="Where chance begins: the same seed gives the same file."),
    ] = 0,
    json: Json = False,
    from_: FromFormat = None,
    to: ToFormat = None,
    lossy: Lossy = False,
) -> None:
    """Make embeddings smaller: a code for each part of a row.

    pq divides rows into parts and keeps a byte for each, the number of one of
    256 centroids; opq learns a rotation first, after which less is lost. Both
    are written as finalfusion files. int8 and bfloat16 need no training, and
    a msgpack file. What is lost is printed: the mean squared error, the mean
    cosine of rows before and after, and the share of the 10 nearest words
    that are still among the 10 nearest.

    Examples:
      ffjax quantize glove.fifu small.fifu
      ffjax quantize cc.de.300.bin small.fifu --method opq --subquantizers 60
    """
    if json and output == "-":
        raise BadInput("expected a file for the output, got standard output, where --json prints.")
    trained = method in (QuantizeMethod.pq, QuantizeMethod.opq)
    _check_output(output, to, method, trained)
    emb = load(embeddings, from_, mmap=True, lossy=lossy)
    before = os.path.getsize(embeddings) if os.path.isfile(embeddings) else None  # the output may take its place
    with working("Quantizing") as bar, warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: say(in_terms(str(message), _TERMS))
        import jax

        from ffjax.transforms.quantize import quantize as quantized

        try:
            small, quality = quantized(
                emb,
                str(method),
                subquantizers=subquantizers,
                bits=bits,
                iterations=iterations,
                attempts=attempts,
                sample=sample,
                normalize=None if keep_lengths and not trained else keep_lengths,
                key=jax.random.key(seed),
                progress=bar.at,
            )
        except (TypeError, ValueError) as error:
            raise BadInput(in_terms(str(error), _TERMS)) from error
    save(small, output, to)
    if output == "-":
        return
    after = os.path.getsize(output)
    facts(
        {
            "bytes before": before,
            "bytes after": after,
            "smaller": None if before is None else round(before / after, 2),
            "mean squared error": quality.mean_squared_error,
            "mean cosine": quality.mean_cosine,
            "recall of 10 nearest": quality.recall,
        },
        as_json=json,
    )


def _check_output(output: str, to: Format | None, method: QuantizeMethod, trained: bool) -> None:
    """Refuses, before hours of training, an output that could not hold what is trained."""
    check_target(output, to)
    from ffjax.formats.save import promised_by

    holding = {"finalfusion": ".fifu", "msgpack": ".msgpack"} if trained else {"msgpack": ".msgpack"}
    chosen = str(to) if to is not None else promised_by(output)
    if chosen not in holding:
        raise BadInput(
            f"{shown(output, output=True)}: expected a format that holds what {method} makes, {' or '.join(holding)} "
            f"(a name with {' or '.join(holding.values())}), got {chosen}. `ffjax reconstruct` gives plain vectors."
        )
