"""`ffjax metadata`: show or replace what a file says about itself."""

import sys
from typing import Annotated

import typer

from ffjax.cli.exit_status import UNANSWERED, BadInput, say
from ffjax.cli.files import check_distinct, check_finalfusion, load, reading, save, shown
from ffjax.cli.inputs import text_of
from ffjax.cli.options import EmbeddingsFile, Format, InputFormat, Json
from ffjax.cli.output import to_json


def metadata(
    embeddings: EmbeddingsFile,
    output: Annotated[
        str | None,
        typer.Argument(
            metavar="OUTPUT", help="File to write with --replace; - for standard output.", show_default=False
        ),
    ] = None,
    replace: Annotated[
        str | None,
        typer.Option("--replace", metavar="TOML", help="File with the new metadata; - for standard input."),
    ] = None,
    format: InputFormat = None,
    json: Json = False,
) -> None:
    """Show the metadata of embeddings, or write a copy with other metadata.

    Metadata is a TOML document; its text is printed as it stands in the file.
    If there is none, the exit status is 1. The copy is a finalfusion file and
    may take the place of the original.

    Examples:
      ffjax metadata words.fifu
      ffjax metadata words.fifu --json | jq .source
      ffjax metadata words.fifu --replace new.toml copy.fifu
    """
    if (output is None) != (replace is None):
        raise BadInput("expected both --replace TOML and OUTPUT, or neither, got one of them.")
    if output is not None and replace is not None:
        _replace(embeddings, output, replace, format)
        return
    found = load(embeddings, format, mmap=True).metadata
    if found is None:
        say(f"{shown(embeddings)}: no metadata.")
        raise typer.Exit(UNANSWERED)
    if json:
        print(to_json(dict(found)))
    else:
        sys.stdout.write(found.toml if found.toml.endswith("\n") else f"{found.toml}\n")


def _replace(embeddings: str, output: str, replace: str, format: Format | None) -> None:
    if embeddings == replace == "-":
        raise BadInput("expected one of EMBEDDINGS and --replace on standard input, got both.")
    check_distinct(output, replace)
    check_finalfusion(output, "metadata as it stands")
    text = text_of(replace)
    emb = load(embeddings, format, mmap=True)
    from ffjax import Metadata

    new = reading(replace, lambda _: Metadata.from_toml(text))
    save(emb.replace(metadata=new), output, Format.finalfusion)
