"""`ffjax convert`, `select`, `prune`, `reduce` and `bucket-to-explicit`: one file to another."""

from typing import Any

from typer import Option

import ffjax
from ffjax.cli import files
from ffjax.cli.files import check_distinct, rewrite, shown
from ffjax.cli.messages import BadInput, say, translated
from ffjax.cli.options import Output, Source, Target
from ffjax.cli.output import Progress, number, tabbed, working
from ffjax.formats.registry import FORMATS

_LISTED_WORDS = 5  # in a message


def convert(
    source: Source,
    target: Target,
    lang: str | None = Option(None, metavar="CODE", help="Language of the spaCy pipeline."),
) -> None:
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
    format = files.check_target(target)
    options = files.reading_options(source)
    if lang is not None:
        if format != "spacy":
            raise BadInput(f"`--lang`: expected an output for spaCy (--to spacy), got {format}.")
        options["lang"] = lang
    names = {"Reading": shown(source.file), "Writing": shown(target.output, output=True)}
    options |= {"from_format": source.format, "to_format": target.to, "leave_out": True}
    with working(f"Reading {names['Reading']}") as bar:
        with translated("convert", lambda: bar.what.partition(" ")[2]):
            files.keep_programs()
            options["progress"] = lambda what, *steps: bar.show(f"{what} {names[what]}", *steps)
            paths = files.input_of(source.file), files.output_of(target.output)
            dropped = ffjax.convert(*paths, **options)
    files.say_dropped(names["Writing"], dropped, target.to)


def select(
    source: Source,
    target: Target,
    words: str | None = Option(
        None, "-w", metavar="FILE", help="Words to keep; - for standard input."
    ),
    first: int | None = Option(None, "-n", min=1, help="Number of words to keep."),
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
    listed: set[str] = set()
    if words is not None:
        listed = {text for _, text in files.lines(files.open_text(words))}
        if not listed:
            raise BadInput("expected words in the list, got an empty one.")

    def change(emb: "ffjax.Embeddings", _: Any) -> "ffjax.Embeddings":
        return _listed(emb, listed, shown(source.file)) if listed else emb

    rewrite(source, target, change, "Selecting", limit=first)


def _listed(emb: "ffjax.Embeddings", listed: set[str], file: str) -> "ffjax.Embeddings":
    """The embeddings of the listed words; says which are missing."""
    import numpy as np

    from ffjax.transforms.words import take_words

    words = emb.vocab.words
    if not words:
        raise BadInput(f"{file}: expected words to select from, got embeddings without words.")
    positions = [position for position, word in enumerate(words) if word in listed]
    missing = sorted(listed.difference(words[position] for position in positions))
    if missing:
        names = ", ".join(missing[:_LISTED_WORDS])
        dots = ", ..." if len(missing) > _LISTED_WORDS else ""
        say(f"missing {len(missing):,} of {len(listed):,} listed words: {names}{dots}")
    if not positions:
        raise BadInput(f"{file}: none of the listed words is in the file.")
    return take_words(emb, np.array(positions, np.int64))


def prune(
    source: Source,
    target: Target,
    rows: int = Option(..., "-n", min=1, help="Number of word rows to keep."),
    mapping: str | None = Option(
        None, metavar="FILE", help="Write dropped words with their replacements."
    ),
    unshare_rows: bool = Option(
        False, "--repeat-rows", help="Keep all words, with a row for each."
    ),
) -> None:
    """Keep the vectors of the first N words; map other words to the nearest one.

    Files of msgpack and spaCy's folders keep all words, and several share a
    row. Other formats cannot store that, so they keep only the first N words,
    and --mapping says which of them replaces each dropped word; with
    --repeat-rows they keep all words, with a row for each. N-grams stay.

    Lines of the mapping are WORD, REPLACEMENT and COSINE, separated by tabs.

    Examples:
      ffjax prune words.fifu small.fifu -n 20000 --mapping mapping.tsv
      ffjax prune words.fifu all-words.msgpack -n 20000
      ffjax prune words.fifu all-words.fifu -n 20000 --repeat-rows
    """
    if target.output == mapping == "-":
        raise BadInput("expected OUTPUT or --mapping on standard output, got both.")
    files.check_output(mapping or "-", source.file, target.output)
    keeps_words = unshare_rows or FORMATS[files.check_target(target)].shares_rows
    replacements: dict[str, tuple[str, float]] = {}

    def change(emb: "ffjax.Embeddings", bar: Progress) -> "ffjax.Embeddings":
        pruned, mapped = ffjax.prune(emb, rows, progress=bar.update)
        replacements.update(mapped)
        if keeps_words:
            return pruned
        return ffjax.select_words(pruned, [w for w in pruned.vocab.words if w not in mapped])

    loaded = rewrite(source, target, change, "Pruning", function="prune", unshare_rows=unshare_rows)
    count = f"{len(replacements):,} of {loaded.n_words:,} words"
    message = f"mapped {count} to another word's row." if keeps_words else f"dropped {count}."
    if mapping is not None:
        lines = [tabbed(word, best, number(cos)) for word, (best, cos) in replacements.items()]
        text = "".join(f"{line}\n" for line in lines)
        files.write_output(mapping, text.encode("utf-8", "surrogateescape"))
        if not keeps_words:
            message = f"dropped {count}; {shown(mapping, output=True)} lists their replacements."
    say(message)


def reduce(
    source: Source,
    target: Target,
    dims: int = Option(..., "-d", min=1, help="Dimensions to keep."),
    center: bool = Option(False, help="Subtract the mean vector first."),
) -> None:
    """Project the vectors onto their first principal components.

    All rows are projected, those of n-grams too. Prints the share of the
    variance that is kept; without --center, of the squared lengths.

    Examples:
      ffjax reduce words.fifu small.fifu --dims 100
      ffjax reduce cc.de.300.bin cc.de.100.fifu --dims 100 --center
    """
    share = 0.0

    def change(emb: "ffjax.Embeddings", bar: Progress) -> "ffjax.Embeddings":
        from ffjax.transforms.pca import principal_components, project

        nonlocal share
        components = principal_components(emb, dims, center=center, progress=bar.update)
        share = components.explained
        return project(emb, components, progress=bar.update)

    loaded = rewrite(source, target, change, "Reducing", function="reduce_dims")
    of = "variance" if center else "squared lengths"
    say(f"{dims} of {loaded.dims} dimensions keep {100 * share:.1f} % of the {of}.")


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
    target = files.finalfusion_target(output, "explicit n-grams")
    rewrite(source, target, lambda emb, _: emb.bucket_to_explicit(), "Collecting n-grams")
