"""`ffjax embed`: the lines of a text to vectors."""

import os
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ffjax.cli.exit_status import BadInput, say
from ffjax.cli.files import check_distinct, in_terms, load, shown
from ffjax.cli.options import InputFormat, Lossy
from ffjax.cli.progress import working

if TYPE_CHECKING:
    from ffjax import Embeddings


class Pooling(StrEnum):
    """How the words of a line become a vector."""

    mean = "mean"
    sum = "sum"
    max = "max"
    fasttext = "fasttext"


class Number(StrEnum):
    """The type of the numbers in the result."""

    float32 = "float32"
    float16 = "float16"


def embed(
    files: Annotated[
        list[str],
        typer.Argument(metavar="[EMBEDDINGS] TEXT", help="Embeddings, and a text; - for standard input."),
    ],
    output: Annotated[str, typer.Option("--output", "-o", metavar="FILE", help="The .npy file to write.")],
    pooling: Annotated[Pooling, typer.Option(help="How the words of a line become a vector.")] = Pooling.mean,
    dtype: Annotated[Number, typer.Option(help="The type of the numbers.")] = Number.float32,
    format: InputFormat = None,
    lossy: Lossy = False,
) -> None:
    """Write a vector for each line of a text into a .npy file.

    Words are what lies between white space; unknown words get vectors from
    their n-grams if the embeddings have any. A line without words that have
    vectors gets zeros. --pooling fasttext gives what fastText's
    print-sentence-vectors does. Without EMBEDDINGS, those inside the package
    are taken. The text may be larger than memory.

    Examples:
      ffjax embed corpus.txt -o vectors.npy
      ffjax embed cc.de.300.bin corpus.txt -o vectors.npy --pooling fasttext
      zcat corpus.gz | ffjax embed words.fifu - -o vectors.npy --dtype float16
    """
    if len(files) > 2:
        raise BadInput(f"expected embeddings and a text, got {len(files)} files: {' '.join(files)}.")
    if files == ["-", "-"]:
        raise BadInput("expected a file for the embeddings or the text, got standard input for both.")
    text = files[-1]
    if output == "-":
        raise BadInput("expected a file for the vectors, got standard output, where the number of lines can't follow.")
    if text != "-":
        os.stat(text)  # before the embeddings have taken their time
    check_distinct(output, *files)
    if len(files) == 2:
        emb = load(files[0], format, lossy=lossy)
    else:
        from ffjax import demo

        say("no embeddings given: using the 40,000 words inside the package.")
        emb = demo()
    total = os.path.getsize(text) if text != "-" and os.path.isfile(text) else None
    with working(f"Embedding {shown(text)}", total, unit="bytes") as bar:
        source: Any = sys.stdin.buffer if text == "-" else text
        n_lines = _written(emb, source, output, pooling, dtype, lambda n_bytes, _: bar.advance(n_bytes))
    say(f"{output}: {n_lines:,} x {emb.dims} of {dtype}.")


def _written(emb: "Embeddings", source: Any, output: str, pooling: str, dtype: str, progress: Any) -> int:
    from ffjax import embed_file

    try:
        return embed_file(emb, source, output, pooling=str(pooling), dtype=str(dtype), progress=progress)
    except ValueError as error:  # a model that cannot be pooled so, or an output that is no file
        raise BadInput(in_terms(str(error))) from error
