"""`ffjax analogy`: "a is to b as c is to what?"."""

from collections.abc import Collection, Sequence
from typing import Annotated

from typer import Argument, Option

import ffjax
from ffjax.cli.exit_status import BadInput
from ffjax.cli.inputs import Query, queries
from ffjax.cli.options import Json, MethodOption, Search, Source
from ffjax.cli.similar import Outcome, answer_queries, limits, outcomes

ROLES = ("a", "b", "c")


def analogy(
    source: Source,
    search: Search,
    words: Annotated[
        list[str] | None, Argument(metavar="A B C", help="Words; standard input if - or none.")
    ] = None,
    include: Annotated[
        list[str] | None,
        Option("--include", "-i", metavar="a b c", help="Words of the query that can be answers."),
    ] = None,
    method: MethodOption = "3cosadd",
    json: Json = False,
) -> None:
    """Answer "A is to B as C is to what?".

    The answers are the words nearest to B - A + C, without the three words of
    the query; --include allows those again. With --method 3cosmul the answers
    maximize the product of their cosines with B and C, divided by that with A.
    A query without an answer, or with a word without a vector, is reported on
    standard error, and the exit status is 1.

    In a pipe each line is A, B, C, ANSWER and SIMILARITY, separated by tabs.
    Input lines hold three words, separated by spaces or tabs.

    Examples:
      ffjax analogy demo man king woman
      ffjax analogy words.fifu paris france berlin -k 1 --include a c
      ffjax analogy words.fifu --input queries.txt --json
    """
    included = roles(include or [])
    if method == "3cosmul" and search.metric not in ("dot", "cosine"):
        raise BadInput(f"--metric: expected cosine with --method 3cosmul, got {search.metric}.")

    def answer(emb: "ffjax.Embeddings", batch: list[Query]) -> list[Outcome]:
        return analogies(emb, batch, search, included, method)

    answer_queries(source, queries(words, search.input, 3, source.file), answer, as_json=json)


def repeat_include(arguments: Sequence[str]) -> list[str]:
    """Repeats `--include` for each role that follows it, since an option takes one value."""
    repeated: list[str] = []
    follows = False  # whether the last argument is `--include` or one of its values
    for i, argument in enumerate(arguments):
        if argument == "--":
            return [*repeated, *arguments[i:]]
        if follows and argument in ROLES and repeated[-1] in ROLES:
            repeated.append("--include")
        elif not (follows and repeated[-1] in ("--include", "-i")):
            follows = argument in ("--include", "-i")
        repeated.append(argument)
    return repeated


def roles(include: Sequence[str]) -> set[str]:
    """The roles that may be answers, out of `a b`, `a,b` or `--include a --include b`."""
    chosen = {role for text in include for role in text.replace(",", " ").split()}
    if wrong := sorted(chosen - set(ROLES)):
        raise BadInput(f"--include: expected any of a, b and c, got {' '.join(wrong)}.")
    return chosen


def analogies(
    emb: "ffjax.Embeddings",
    batch: list[Query],
    search: Search,
    included: Collection[str],
    method: str,
) -> list[Outcome]:
    """The answers to a batch of queries, as `Embeddings.analogy` gives them."""
    # In `ffp-analogy`, `--include a` without `c` lets the word c be an answer; here it does not.
    import numpy as np

    from ffjax.embeddings.similarity import vectors_of
    from ffjax.functional.analogy import host_answer

    columns = [vectors_of(emb, words) for words in zip(*batch, strict=True)]
    vectors, ids, has_vector = zip(*columns, strict=True)
    excluded = [ids[i] for i, role in enumerate(ROLES) if role not in included]
    exclude = np.stack(excluded, axis=-1) if excluded else None
    options = {"method": method, "exclude": exclude, **limits(emb, search)}
    best = host_answer(emb, np.stack(vectors), **options)
    return outcomes(emb, batch, vectors, has_vector, best)
