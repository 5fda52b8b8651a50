"""`ffjax convert` and `ffjax bucket-to-explicit`: other formats, and other n-grams."""

from typing import Annotated, Any

from typer import Option

import ffjax
from ffjax.cli.exit_status import BadInput
from ffjax.cli.files import (
    check_target,
    finalfusion_target,
    input_of,
    keep_programs,
    output_of,
    reading_options,
    rewrite,
    say_dropped,
    shown,
)
from ffjax.cli.messages import translated
from ffjax.cli.options import Output, Source, Target
from ffjax.cli.progress import working

Lang = Annotated[
    str | None, Option("--lang", metavar="CODE", help="Language of a pipeline for spaCy.")
]


def convert(source: Source, target: Target, lang: Lang = None) -> None:
    """Convert embeddings from one format to another.

    A finalfusion file keeps everything. Text and word2vec files hold only
    words and vectors: vectors are scaled back to their original lengths, and
    n-grams are dropped. fastText and floret files need embeddings with their
    own kind of n-grams. An existing output is replaced only once the new file
    is complete. The matrix is never held in memory.

    Examples:
      ffjax convert glove.6B.100d.txt glove.fifu
      ffjax convert cc.de.300.bin cc.de.300.fifu --from fasttext
      ffjax convert words.fifu - --to text | head -n 3
    """
    format = check_target(target)
    options: Any = {} if lang is None else {"lang": lang}
    if lang is not None and format != "spacy":
        raise BadInput(f"`--lang`: expected an output for spaCy (--to spacy), got {format}.")
    names = {"Reading": shown(source.file), "Writing": shown(target.output, output=True)}
    stage = "Reading"

    def progress(what: str, steps: int, total: int | None) -> None:
        nonlocal stage
        stage = what
        bar.show(f"{what} {names[what]}", steps, total)

    with working(f"Reading {names['Reading']}") as bar:
        with translated("convert", lambda: names[stage]):
            keep_programs()
            dropped = ffjax.convert(
                input_of(source.file),
                output_of(target.output),
                from_format=source.format,
                to_format=target.to,
                **reading_options(source),
                leave_out=True,
                progress=progress,
                **options,
            )
    say_dropped(names["Writing"], dropped, target.to)


def bucket_to_explicit(source: Source, output: Output) -> None:
    """Replace hashed n-grams by stored ones.

    Stores each n-gram of the vocabulary with its row and drops the buckets
    that no word uses, so files with large bucket tables become much smaller.
    Words keep their vectors, and so do unknown words made of these n-grams.
    The output is a finalfusion file without metadata.

    Examples:
      ffjax bucket-to-explicit buckets.fifu explicit.fifu
      ffjax bucket-to-explicit cc.de.300.bin explicit.fifu -f fasttext
    """
    target = finalfusion_target(output, "explicit n-grams")
    rewrite(source, target, lambda emb, _: emb.bucket_to_explicit(), "Collecting n-grams")
