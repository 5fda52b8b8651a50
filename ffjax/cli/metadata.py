"""`ffjax metadata`: show or replace what a file says about itself."""

from typing import Annotated

from typer import Argument, Exit, Option

import ffjax
from ffjax._internal.json_lines import to_json
from ffjax.cli.exit_status import UNANSWERED, BadInput, say
from ffjax.cli.files import check_distinct, finalfusion_target, load, save, shown
from ffjax.cli.inputs import text_of
from ffjax.cli.messages import translated
from ffjax.cli.options import OUTPUT_HELP, Json, Source


def metadata(
    source: Source,
    output: Annotated[str | None, Argument(metavar="OUTPUT", help=OUTPUT_HELP)] = None,
    replace: Annotated[
        str | None, Option("--replace", metavar="TOML", help="New metadata; - for standard input.")
    ] = None,
    json: Json = False,
) -> None:
    """Show the metadata of embeddings, or write a copy with other metadata.

    Metadata is a TOML document, printed exactly as it is in the file. If there
    is none, the exit status is 1. The copy is a finalfusion file and may
    replace the original.

    Examples:
      ffjax metadata words.fifu
      ffjax metadata words.fifu --json | jq .source
      ffjax metadata words.fifu --replace new.toml copy.fifu
    """
    if output is not None and replace is not None:
        _replace(source, output, replace)
        return
    if output is not None or replace is not None:
        raise BadInput("expected both --replace TOML and OUTPUT, or neither, got one of them.")
    document = load(source, mmap=True).metadata
    if document is None:
        say(f"{shown(source.file)}: no metadata.")
        raise Exit(UNANSWERED)
    if json:
        print(to_json(dict(document)))
    else:
        print(document.toml, end="" if document.toml.endswith("\n") else "\n")


def _replace(source: Source, output: str, replace: str) -> None:
    if source.file == replace == "-":
        raise BadInput("expected EMBEDDINGS or --replace on standard input, got both.")
    check_distinct(output, replace)
    target = finalfusion_target(output, "metadata unchanged")
    text = text_of(replace)
    emb = load(source, mmap=True)
    with translated("from_toml", shown(replace)):
        document = ffjax.Metadata.from_toml(text)
    save(emb.replace(metadata=document), target)
