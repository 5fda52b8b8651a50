"""`ffjax prune`: fewer rows, shared by words."""

from typing import Annotated

import typer

from ffjax.cli.exit_status import BadInput, say
from ffjax.cli.files import (
    check_distinct,
    check_target,
    check_writable,
    in_terms,
    load,
    save,
    say_training_is_left,
    shown,
)
from ffjax.cli.options import Format, FromFormat, InputFile, Lossy, OutputFile, ToFormat
from ffjax.cli.output import number, tabbed
from ffjax.cli.progress import working


def prune(
    embeddings: InputFile,
    output: OutputFile,
    rows: Annotated[int, typer.Option("--rows", "-n", min=1, help="How many of the words' rows to keep.")],
    mapping: Annotated[
        str | None,
        typer.Option("--mapping", metavar="FILE", help="Write each word, the word whose row it gets and the cosine."),
    ] = None,
    unshare_rows: Annotated[
        bool, typer.Option("--repeat-rows", help="Keep all words in the output, with a row for each.")
    ] = False,
    from_: FromFormat = None,
    to: ToFormat = None,
    lossy: Lossy = False,
) -> None:
    """Keep the vectors of the first words; give the other words the nearest of them.

    A msgpack file has all words, of which several share a row. No other
    format holds that. So other outputs have the words whose rows were kept,
    and --mapping says which of them stands for each other word; with
    --repeat-rows they have all words, and a row for each. N-grams stay.

    Lines of the mapping are WORD, KEPT WORD and COSINE, separated by tabs.

    Examples:
      ffjax prune words.fifu small.fifu -n 20000 --mapping mapping.tsv
      ffjax prune words.fifu all-words.msgpack -n 20000
      ffjax prune words.fifu all-words.fifu -n 20000 --repeat-rows
    """
    if mapping == "-" and output == "-":
        raise BadInput("expected one of OUTPUT and --mapping on standard output, got both.")
    check_distinct(mapping or "-", embeddings, output)
    check_target(output, to)
    check_writable(mapping)
    emb = load(embeddings, from_, mmap=True, lossy=lossy)
    with working("Pruning", unit="words") as bar:
        from ffjax.formats.save import promised_by
        from ffjax.transforms import prune as prune_rows
        from ffjax.transforms import select_words as select

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.advance(done - bar.done)

        # Snapshots hold rows that words share.
        all_words = unshare_rows or (promised_by(output) if to is None else to) == Format.msgpack
        try:
            pruned = prune_rows(emb, rows, progress=progress)
            kept = pruned.embeddings
            if not all_words:
                kept = select(kept, [word for word in kept.vocab.words if word not in pruned.mapped])
        except (TypeError, ValueError) as error:
            text = in_terms(str(error), {"`embeddings`: ": "", "`ffjax.select_words`": "`ffjax select`"})
            raise BadInput(f"{shown(embeddings)}: {text}") from error
        if not all_words and emb.training is not None:
            say_training_is_left()
    save(kept, output, to, unshare_rows=unshare_rows)
    if mapping is not None:
        pairs = pruned.mapped.items()
        lines = "".join(f"{tabbed(word, stand_in, number(score))}\n" for word, (stand_in, score) in pairs)
        if mapping == "-":
            print(lines, end="")
        else:
            from ffjax._internal.atomic_write import open_output

            with open_output(mapping) as file:
                file.write(lines.encode("utf-8", "surrogateescape"))
    say(f"{len(pruned.mapped):,} of {emb.n_words:,} words have the rows of others.")
