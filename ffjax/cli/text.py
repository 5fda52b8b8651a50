"""`ffjax embed` and `ffjax classify`: texts as vectors, or with labels."""

import sys
from typing import Any, Literal

from typer import Argument, Option

import ffjax
from ffjax.cli import files, options
from ffjax.cli.messages import BadInput, say
from ffjax.cli.options import OUTPUT_HELP, Json, Source

Pooling = Literal["mean", "sum", "max", "fasttext"]
Number = Literal["float32", "float16"]
Corpus = Literal["text", "json", "parquet"]


def embed(
    paths: list[str] = Argument(
        ..., metavar="[EMBEDDINGS] TEXT", help="Files; - for standard input."
    ),
    output: str = Option(..., "-o", metavar="FILE", help="The .npy file."),
    pooling: Pooling = Option("mean", help="How to combine the vectors of words."),
    lowercase: options.Lowercase = False,
    strip_punctuation: options.StripPunctuation = False,
    dtype: Number = Option("float32", help="Number type of the result."),
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
    if len(paths) > 2:
        names = " ".join(paths)
        raise BadInput(f"expected embeddings and a text, got {len(paths)} files: {names}.")
    if paths == ["-", "-"]:
        raise BadInput("expected embeddings or a text on standard input, got both.")
    text = paths[-1]
    files.check_output(output, *paths, ending=".npy")
    source, size = files.text_source(text), files.size_of(text)
    if len(paths) == 1:
        say("no embeddings given: using the 40,000 words inside the package.")
        paths = [files.DEMO, text]
    choices: Any = {"lowercase": lowercase, "strip_punctuation": strip_punctuation}
    source_of_vectors = Source(paths[0], format, lossy, input_dims, member)
    emb = files.load_model(source_of_vectors)
    with files.task("Embedding lines with", paths[0], "embed_file", size, unit="bytes") as bar:
        choices |= {"pooling": pooling, "dtype": dtype}
        choices["progress"] = lambda n_bytes, _: bar.advance(n_bytes)
        n_lines = ffjax.embed_file(emb, source, output, **choices)
    say(f"{output}: {n_lines:,} x {emb.dims} of {dtype}.")


def classify(
    model: str = Argument(..., metavar="MODEL", help="fastText classifier."),
    file: str = Argument(
        "-", metavar="FILE", help="Text, JSON Lines or Parquet; - is standard input."
    ),
    output: str = Option("-", "-o", metavar="FILE", help=OUTPUT_HELP),
    k: int = Option(1, "-k", min=-1, help="Maximum number of labels; -1 for all."),
    threshold: float = Option(0.0, help="Minimum probability of a label."),
    restrict: str | None = Option(
        None, metavar="LABELS", help="Comma-separated labels to choose from."
    ),
    score: str | None = Option(None, metavar="LABEL", help="Write the score of this label alone."),
    lowercase: bool = Option(False, help="Change text to lower case."),
    column: str = Option("text", help="Field or column with the text."),
    into: str | None = Option(
        None, metavar="NAMES", help="Comma-separated names of the new fields or columns."
    ),
    format: Corpus | None = Option(None, "-f", help="Format of FILE (by default from its name)."),
    json: Json = False,
) -> None:
    """Label each line of a text, or each row of JSON Lines or Parquet.

    Answers are those of fastText's predict-prob. There is one line for each
    line of the text, empty if there is no label. JSON and Parquet get two
    more fields, label and score; or labels and scores, which are lists, for
    several labels. Files may be larger than memory.

    Examples:
      ffjax classify lid.176.ftz corpus.txt
      ffjax classify lid.176.ftz corpus.parquet -o labelled.parquet
      ffjax classify lid.176.ftz a.jsonl -o b.jsonl --into lang,lang_score
      zcat corpus.jsonl.gz | ffjax classify quality.bin - -f json --score hq
      ffjax classify lid.176.bin corpus.txt --json -k 3 --restrict en,de,fr
    """
    if model == file == "-":
        raise BadInput("expected a model or a text on standard input, got both.")
    from ffjax.embeddings.classify_file import format_of

    is_parquet = (format or format_of(file)) == "parquet"
    if output == "-" and is_parquet:
        raise BadInput("expected a file for Parquet, got standard output. Name one with -o.")
    if json and is_parquet:
        raise BadInput("expected no --json for Parquet, which gets two columns. Leave it out.")
    files.check_output(output, model, file)
    source = files.text_source(file)
    with files.task("Loading", model, "load_classifier"):
        files.keep_programs()
        classifier = ffjax.load_classifier(files.input_of(model), mmap=True)
    is_typed = file == "-" and sys.stdin.isatty()
    if is_typed:
        say("reading a text per line; end with Ctrl-D.")
    elif format is None and format_of(file) == "text" and files.looks_like_json(file):
        read_as = f"-f json labels their field {column!r}"
        say(f"{files.shown(file)}: lines look like JSON but are labelled as text. {read_as}.")
    # Of Parquet the compressed size says little.
    size, unit = files.size_of(file), "bytes"
    if is_parquet:
        size, unit = files.parquet_rows(file), "documents"
    sys.stdout.flush()
    task = files.task("Classifying", file, "classify_file", size, unit=unit, quiet=is_typed)
    with task as bar:
        choices: Any = {"column": column, "lowercase": lowercase, "format": format}
        choices |= {"k": k, "threshold": threshold, "label": score}
        if restrict is not None:
            choices["restrict"] = [name.strip() for name in restrict.split(",")]
        if into is not None:
            names = tuple(name.strip() for name in into.split(","))
            choices["into"] = names[0] if len(names) == 1 else names
        choices["target_format"] = "json" if json else None
        choices["progress"] = lambda n_bytes, n: bar.advance(n if is_parquet else n_bytes)
        n = ffjax.classify_file(classifier, source, files.output_of(output), **choices)
    if output != "-":
        say(f"{output}: {n:,} document{'s' * (n != 1)}.")
