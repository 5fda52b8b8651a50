"""`ffjax prune`: fewer rows, shared by words."""

from typing import Annotated

from typer import Option

import ffjax
from ffjax.cli.exit_status import BadInput, say
from ffjax.cli.files import check_output, rewrite, write_output
from ffjax.cli.options import Source, Target
from ffjax.cli.output import number, tabbed
from ffjax.cli.progress import Bar


def prune(
    source: Source,
    target: Target,
    rows: Annotated[int, Option("--rows", "-n", min=1, help="Number of word rows to keep.")],
    mapping: Annotated[
        str | None, Option(metavar="FILE", help="Write dropped words with their replacements.")
    ] = None,
    unshare_rows: Annotated[
        bool, Option("--repeat-rows", help="Keep all words, with a row for each.")
    ] = False,
) -> None:
    """Keep the vectors of the first N words; map other words to the nearest one.

    A msgpack file keeps all words, and several share a row. No other format
    can store that, so other outputs keep only the first N words, and
    --mapping says which of them replaces each dropped word; with
    --repeat-rows they keep all words, with a row for each. N-grams stay.

    Lines of the mapping are WORD, REPLACEMENT and COSINE, separated by tabs.

    Examples:
      ffjax prune words.fifu small.fifu -n 20000 --mapping mapping.tsv
      ffjax prune words.fifu all-words.msgpack -n 20000
      ffjax prune words.fifu all-words.fifu -n 20000 --repeat-rows
    """
    if target.output == mapping == "-":
        raise BadInput("expected OUTPUT or --mapping on standard output, got both.")
    check_output(mapping or "-", source.file, target.output)
    replacements = {}

    def change(emb: "ffjax.Embeddings", bar: Bar) -> "ffjax.Embeddings":
        from ffjax.formats.save import promised_format

        pruned, mapped = ffjax.prune(emb, rows, progress=bar.update)
        replacements.update(mapped)
        format = target.to or promised_format(target.output)
        if unshare_rows or format == "msgpack":  # snapshots store rows that words share
            return pruned
        return ffjax.select_words(pruned, [w for w in pruned.vocab.words if w not in mapped])

    options = {"function": "prune", "unit": "words", "unshare_rows": unshare_rows}
    loaded = rewrite(source, target, change, "Pruning", **options)
    if mapping is not None:
        lines = [
            f"{tabbed(word, replacement, number(score))}\n"
            for word, (replacement, score) in replacements.items()
        ]
        write_output(mapping, "".join(lines).encode("utf-8", "surrogateescape"))
    say(f"mapped {len(replacements):,} of {loaded.n_words:,} words to another word's row.")
