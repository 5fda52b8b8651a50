"""`ffjax analogy`: "a is to b as c is to what?"."""

import sys
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from ffjax.cli.exit_status import UNANSWERED, BadInput
from ffjax.cli.files import load, shown
from ffjax.cli.inputs import Query, queries
from ffjax.cli.options import (
    EmbeddingsFile,
    InputFormat,
    Json,
    Lossy,
    Method,
    MethodOption,
    Metric,
    MetricOption,
    Neighbours,
    Queries,
    Restrict,
)
from ffjax.cli.output import Answer, Answers
from ffjax.cli.progress import working
from ffjax.cli.search import ODD, Search, check_words, encoded, named

if TYPE_CHECKING:
    from ffjax import Embeddings

PARTS = ("a", "b", "c")


def analogy(
    embeddings: EmbeddingsFile,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="A B C", help="Words, three a query; standard input for - or if none.", show_default=False
        ),
    ] = None,
    file: Queries = None,
    k: Neighbours = 10,
    include: Annotated[
        list[str] | None,
        typer.Option(
            "--include", "-i", metavar="a b c", help="Words of the query that may be answers: any of a, b, c."
        ),
    ] = None,
    method: MethodOption = Method.cosadd,
    metric: MetricOption = Metric.dot,
    restrict: Restrict = None,
    format: InputFormat = None,
    lossy: Lossy = False,
    json: Json = False,
) -> None:
    """Answer "A is to B as C is to what?".

    The answers are the words nearest to B - A + C, without the three words of
    the query; --include lets those be answers again. With --method 3cosmul
    they have the largest product of cosines with B and C over that with A. A query with a word that
    has no vector, or without an answer, gets a line on standard error, and the exit status is 1.

    In a pipe each line is A, B, C, ANSWER and SIMILARITY, separated by tabs.
    Lines of input hold three words with spaces between, or with tabs.

    Examples:
      ffjax analogy words.fifu man king woman
      ffjax analogy words.fifu paris france berlin -k 1 --include a c
      ffjax analogy words.fifu --input queries.txt --json
    """
    allowed = parts(include or [])
    if method == Method.cosmul and metric not in (Metric.dot, Metric.cosine):
        raise BadInput(f"--metric: expected none with --method 3cosmul, which goes by cosines, got {metric}.")
    how = Search(k, metric.value, restrict)
    asked = queries(words or [], file, 3, taken=embeddings == "-")
    emb = load(embeddings, format, lossy=lossy)
    check_words(emb, shown(embeddings))
    answers = Answers(as_json=json)
    with working("Answering", unit="queries", quiet=sys.stdout.isatty()) as bar:
        for batch in asked:
            for query, (found, why) in zip(batch, analogies(emb, batch, how, allowed, method.value), strict=True):
                answers.add(query, found, why)
            answers.flush()
            bar.advance(len(batch))
    if answers.unanswered:
        raise typer.Exit(UNANSWERED)


def spread(arguments: Sequence[str]) -> list[str]:
    """Repeats `--include` for each of the parts that follow it, since an option takes one value.

    Examples:
        >>> spread(["words.fifu", "--include", "a", "b", "-k", "1"])
        ['words.fifu', '--include', 'a', '--include', 'b', '-k', '1']
    """
    made: list[str] = []
    inside = False
    for place, argument in enumerate(arguments):
        if argument == "--":
            return [*made, *arguments[place:]]
        if inside and argument in PARTS and made[-1] in PARTS:
            made.append("--include")
        elif not (inside and made[-1] in ("--include", "-i")):
            inside = argument in ("--include", "-i")
        made.append(argument)
    return made


def parts(include: Sequence[str]) -> set[str]:
    """The parts of a query that may be answers, out of `a b`, `a,b` or `--include a --include b`.

    Examples:
        >>> sorted(parts(["a,c", "a"]))
        ['a', 'c']
    """
    named = {part for text in include for part in text.replace(",", " ").split()}
    if wrong := sorted(named - set(PARTS)):
        raise BadInput(f"--include: expected any of a, b and c, got {' '.join(wrong)}.")
    return named


def analogies(
    embeddings: "Embeddings", batch: Sequence[Query], how: Search, include: Collection[str], method: str = "3cosadd"
) -> list[tuple[list[Answer] | None, str]]:
    """Answers to a batch of queries; `None` for one that has no answer, and why.

    As `Embeddings.analogy`, where `skip` holds the words of the parts that `include` does not name. (In the peer's
    script, leaving out `c` skips `b`, so that `--include a` allows the word c as an answer: it does not here.)
    """
    import numpy as np

    from ffjax.functional.analogy import answer

    columns = [encoded(embeddings, words) for words in zip(*batch, strict=True)]
    skipped = [words.rows for part, words in zip(PARTS, columns, strict=True) if part not in include]
    exclude = np.stack(skipped, axis=-1) if skipped else None
    has_vector = np.stack([words.found for words in columns], axis=-1)
    finite = np.stack([words.finite for words in columns], axis=-1)
    best = answer(
        embeddings,
        np.stack([words.vectors for words in columns]),
        how.size(embeddings),
        method=method,
        metric=how.metric,
        exclude=exclude,
        candidates=how.rows(embeddings),
    )
    answers = []
    for query, known, good, found in zip(batch, has_vector, finite, named(embeddings, best), strict=False):
        unknown = [word for word, has_one in zip(query, known, strict=True) if not has_one]
        odd = [] if found else [word for word, is_good in zip(query, good, strict=True) if not is_good]
        problem = f"no vector for {', '.join(unknown)}." if unknown else f"{', '.join(odd)}: {ODD}" if odd else ""
        answers.append((None if problem else found, problem))
    return answers
