"""`ffjax embed`: the lines of a text as vectors."""

from typing import Annotated, Literal

from typer import Argument, Option

import ffjax
from ffjax.cli import options
from ffjax.cli.exit_status import BadInput, say
from ffjax.cli.files import check_output, keep_programs, load_model, size_of, task, text_source

Pooling = Literal["mean", "sum", "max", "fasttext"]
Number = Literal["float32", "float16"]


def embed(
    files: Annotated[
        list[str], Argument(metavar="[EMBEDDINGS] TEXT", help="Files; - for standard input.")
    ],
    output: Annotated[str, Option("--output", "-o", metavar="FILE", help="The .npy file.")],
    pooling: Annotated[Pooling, Option(help="How to combine the vectors of words.")] = "mean",
    lowercase: options.Lowercase = False,
    strip_punctuation: options.StripPunctuation = False,
    dtype: Annotated[Number, Option(help="Number type of the result.")] = "float32",
    format: options.InputFormat = None,
    lossy: options.Lossy = False,
    input_dims: options.InputDims = None,
    member: options.Member = None,
) -> None:
    """Write a vector for each line of a text to a .npy file.

    Words are separated by white space; unknown words get vectors from their
    n-grams if the embeddings have any. A line without a known word gets zeros.
    --pooling fasttext gives the vectors of fastText's print-sentence-vectors.
    Without EMBEDDINGS, those inside the package are used. The text may be
    larger than memory. EMBEDDINGS may be a static model, whose tokenizer
    divides the text.

    Examples:
      ffjax embed corpus.txt -o vectors.npy
      ffjax embed cc.de.300.bin corpus.txt -o vectors.npy --pooling fasttext
      zcat corpus.gz | ffjax embed words.fifu - -o vectors.npy --dtype float16
    """
    if len(files) > 2:
        names = " ".join(files)
        raise BadInput(f"expected embeddings and a text, got {len(files)} files: {names}.")
    if files == ["-", "-"]:
        raise BadInput("expected embeddings or a text on standard input, got both.")
    if output == "-":
        raise BadInput("expected a file for the vectors, got standard output.")
    text = files[-1]
    source, size = text_source(text), size_of(text)
    check_output(output, *files, ending=".npy")
    if len(files) == 1:
        say("no embeddings given: using the 40,000 words inside the package.")
        keep_programs()
        emb = ffjax.demo()
    else:
        emb = load_model(options.Source(files[0], format, lossy, input_dims, member))
    with task("Embedding lines with", files[0], "embed_file", size, unit="bytes") as bar:
        n_lines = ffjax.embed_file(
            emb,
            source,
            output,
            pooling=pooling,
            lowercase=lowercase,
            strip_punctuation=strip_punctuation,
            dtype=dtype,
            progress=lambda n_bytes, _: bar.advance(n_bytes),
        )
    say(f"{output}: {n_lines:,} x {emb.dims} of {dtype}.")
