"""`ffjax info`: what a file holds."""

import os

from ffjax.cli.files import input_of, shown
from ffjax.cli.messages import translated
from ffjax.cli.options import EmbeddingsFile, InputDims, InputFormat, Json, Lossy
from ffjax.cli.output import facts
from ffjax.cli.progress import working


def info(
    embeddings: EmbeddingsFile,
    format: InputFormat = None,
    lossy: Lossy = False,
    input_dims: InputDims = None,
    json: Json = False,
) -> None:
    """Show what a file of embeddings holds.

    The first bytes of a file, or of its chunks, say enough. Only text without
    a line of dimensions is scanned for its words: of a repeated word only the
    first row counts, and repeated_words is the number of the others.
    Finalfusion files with single chunks, such as a vocabulary, are shown too.

    In a pipe each line is a name and a value, separated by a tab.

    Examples:
      ffjax info words.fifu
      ffjax info words.fifu --json | jq .words
      ffjax info cc.de.300.bin
    """
    from ffjax.formats.describe import describe

    name = shown(embeddings)
    size = os.path.getsize(embeddings) if os.path.isfile(embeddings) else None
    with working(f"Reading {name}"), translated("load", name):
        values = describe(input_of(embeddings), format, lossy=lossy, dims=input_dims)
    facts({"file": name, "bytes": size, **values}, as_json=json)
