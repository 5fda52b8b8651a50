"""`ffjax select`: a subset of the words."""

from typing import Annotated, Any

from typer import Option

import ffjax
from ffjax.cli.exit_status import BadInput, say
from ffjax.cli.files import check_distinct, rewrite, shown
from ffjax.cli.inputs import lines, open_text
from ffjax.cli.options import Source, Target

MAX_LISTED_WORDS = 5


def select(
    source: Source,
    target: Target,
    words: Annotated[
        str | None,
        Option("--words", "-w", metavar="FILE", help="Words to keep; - for standard input."),
    ] = None,
    first: Annotated[
        int | None, Option("--first", "-n", min=1, help="Number of words to keep.")
    ] = None,
) -> None:
    """Keep only the words in a list, or only the first N.

    Most files list the most frequent words first. The words keep their order;
    listed words that the embeddings lack are reported on standard error.
    N-grams stay, so a dropped word gets a vector like any unknown word.
    With both options, the listed words among the first N are kept.

    Examples:
      ffjax select words.fifu small.fifu --first 10000
      ffjax select words.fifu mine.fifu --words vocabulary.txt
      cut -f 1 lexicon.tsv | ffjax select words.fifu mine.fifu -w -
    """
    if words is None and first is None:
        raise BadInput("expected --words FILE or --first N, got neither.")
    if source.file == words == "-":
        raise BadInput("expected EMBEDDINGS or --words on standard input, got both.")
    check_distinct(target.output, words)
    listed = None if words is None else {text for _, text in lines(open_text(words))}

    def change(emb: "ffjax.Embeddings", _: Any) -> "ffjax.Embeddings":
        if listed is None:
            return emb
        from ffjax.transforms.select import take_words

        return take_words(emb, _positions(emb, listed, shown(source.file)))

    rewrite(source, target, change, "Selecting", limit=first)


def _positions(emb: "ffjax.Embeddings", listed: set[str], file: str) -> Any:
    """The positions of the listed words in the vocabulary; says which are missing."""
    import numpy as np

    words = emb.vocab.words
    if not listed:
        raise BadInput("expected words in the list, got an empty one.")
    if not words:
        raise BadInput(f"{file}: expected words to select from, got embeddings without words.")
    positions = [position for position, word in enumerate(words) if word in listed]
    missing = sorted(listed.difference(words[position] for position in positions))
    if missing:
        names = ", ".join(missing[:MAX_LISTED_WORDS])
        dots = ", ..." if len(missing) > MAX_LISTED_WORDS else ""
        say(f"missing {len(missing):,} of {len(listed):,} listed words: {names}{dots}")
    if not positions:
        raise BadInput(f"{file}: none of the listed words is in the file.")
    return np.array(positions, np.int64)
