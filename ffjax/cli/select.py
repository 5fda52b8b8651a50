"""`ffjax select`: keep a part of the words."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ffjax.cli.exit_status import BadInput, say
from ffjax.cli.files import check_distinct, check_target, load, save, say_training_is_left
from ffjax.cli.inputs import lines
from ffjax.cli.options import FromFormat, InputFile, Lossy, OutputFile, ToFormat
from ffjax.cli.progress import working

if TYPE_CHECKING:
    from ffjax import Embeddings

_NAMED = 5


def select(
    embeddings: InputFile,
    output: OutputFile,
    words: Annotated[
        str | None, typer.Option("--words", "-w", metavar="FILE", help="Words to keep, one a line; - for stdin.")
    ] = None,
    first: Annotated[int | None, typer.Option("--first", "-n", min=1, help="Keep only so many words.")] = None,
    from_: FromFormat = None,
    to: ToFormat = None,
    lossy: Lossy = False,
) -> None:
    """Keep only the words in a list, or the first so many.

    Most files hold the most frequent words first. Words keep their order;
    those in the list that the embeddings lack are counted on standard error.
    N-grams stay, so a word that was left out gets a vector as any unknown
    word does. With both options only listed words among the first are kept.

    Examples:
      ffjax select words.fifu small.fifu --first 10000
      ffjax select words.fifu mine.fifu --words vocabulary.txt
      cut -f 1 lexicon.tsv | ffjax select words.fifu mine.fifu -w -
    """
    if words is None and first is None:
        raise BadInput("expected --words FILE or --first N, got neither.")
    if embeddings == words == "-":
        raise BadInput("expected one of INPUT and --words on standard input, got both.")
    check_distinct(output, words)
    check_target(output, to)
    wanted = None if words is None else {text for _, text in lines(words)}
    emb = load(embeddings, from_, mmap=True, lossy=lossy, limit=first)
    if wanted is not None:
        with working("Selecting"):
            from ffjax.transforms.select import take_words

            kept_training = emb.training is not None
            try:
                emb = take_words(emb, _places(emb, wanted))
            except TypeError as error:
                raise BadInput(str(error)) from error
        if kept_training:
            say_training_is_left()
    save(emb, output, to)


def _places(emb: "Embeddings", wanted: set[str]) -> Any:
    import numpy as np

    known = emb.vocab.words
    if not known or not wanted:
        what, got = ("words to select from", repr(emb.vocab)) if wanted else ("words in the list", "an empty one")
        raise BadInput(f"expected {what}, got {got}.")
    places = [place for place, word in enumerate(known) if word in wanted]
    if missing := sorted(wanted - {known[place] for place in places}):
        names = ", ".join(missing[:_NAMED]) + (", ..." if len(missing) > _NAMED else "")
        say(f"{len(missing):,} of {len(wanted):,} listed words are not there: {names}")
    if not places:
        raise BadInput("expected embeddings with some of the listed words, got none of them.")
    return np.array(places, np.int64)
