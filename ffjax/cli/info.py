"""`ffjax info`: what a file holds."""

from ffjax.cli.files import input_of, reading_options, shown, size_of, task
from ffjax.cli.options import Json, Source
from ffjax.cli.output import facts


def info(source: Source, json: Json = False) -> None:
    """Show what a file of embeddings holds.

    Only the heads of a file and of its chunks are read. Text without a line of
    dimensions is scanned for its words, and repeated_words is the number of
    lines whose word occurred before. Finalfusion files with single chunks,
    such as a vocabulary, are shown too.

    In a pipe each line is a name and a value, separated by a tab.

    Examples:
      ffjax info words.fifu
      ffjax info words.fifu --json | jq .words
      ffjax info cc.de.300.bin
    """
    from ffjax.formats.describe import describe

    file = source.file
    with task("Reading", file, "load"):
        values = describe(input_of(file), source.format, **reading_options(source))
    if "vocabulary" in values:
        values["vocabulary"] = values["vocabulary"].replace("`words=`", "--input-words")
    facts({"file": shown(file), "bytes": size_of(file), **values}, as_json=json)
