"""`ffjax info`: what a file holds."""

from ffjax.cli.files import input_of, reading_options, shown, size_of
from ffjax.cli.messages import translated
from ffjax.cli.options import Json, Source
from ffjax.cli.output import facts
from ffjax.cli.progress import working


def info(source: Source, json: Json = False) -> None:
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

    file, format, *_ = source
    with working(f"Reading {shown(file)}"), translated("load", shown(file)):
        values = describe(input_of(file), format, **reading_options(source))
    if "vocabulary" in values:
        values["vocabulary"] = values["vocabulary"].replace("`words=`", "--input-words")
    facts({"file": shown(file), "bytes": size_of(file), **values}, as_json=json)
