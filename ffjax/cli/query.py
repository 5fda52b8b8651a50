"""`ffjax similar`, `analogy` and `search`: batches of queries and their answers."""

import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, compress
from os.path import exists
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Exit, Option

import ffjax
from ffjax.cli import options
from ffjax.cli.files import (
    DEMO,
    Query,
    load_model,
    load_words,
    path_of,
    queries,
    shown,
    task,
    text_source,
)
from ffjax.cli.messages import UNANSWERED, BadInput, say, translated
from ffjax.cli.options import Json, MethodOption, Search, Source
from ffjax.cli.output import Answer, number, show_answers, working
from ffjax.strings.codec import decode_word

UNKNOWN = "an unknown word without known n-grams."
NOT_FINITE = "its vector has NaN or infinity in it."
_NO_VECTOR = "none of its words has a vector."
_NO_LINE = "no line has a word with a vector."
_HEAD_BYTES = 1 << 16
_WORDS_HELP = "Words; with - or no words, read from standard input."
_BY_COSINE = Search(metric="cosine")

# Words with similarities, best first, or `None` and the reason why there is no answer.
Outcome = tuple[list[Answer] | None, str]


def similar(
    source: Source,
    search: Search = _BY_COSINE,
    words: Annotated[list[str] | None, Argument(metavar="WORD", help=_WORDS_HELP)] = None,
    json: Json = False,
) -> None:
    """Find the words that are most similar to each word.

    Similarity is the cosine. --metric chooses another, such as finalfusion's
    dot product, which differs a little for quantized vectors.
    An unknown word is looked up through its n-grams if the embeddings have
    any. A word without a vector or an answer is reported on standard error,
    and the exit status is 1.

    In a pipe each line is WORD, NEIGHBOUR and SIMILARITY, separated by tabs.

    Examples:
      ffjax similar demo berlin
      ffjax similar cc.de.300.bin Berlin Wien -k 3 --json
      ffjax similar words.fifu --input queries.txt > neighbours.tsv
      ffjax similar words.fifu berlin --metric angular --restrict 50000
      echo tea | ffjax similar words.fifu - | cut -f 2
    """
    file = source.file
    if not words and search.input is None and file.isalpha() and not exists(path_of(file)):
        hint = f"`ffjax similar {DEMO} {file}` uses the built-in embeddings."
        raise BadInput(f"{file}: No such file or directory. {hint}")
    batches = queries(words, search.input, 1, file)
    emb = load_words(source)

    def answer(batch: list[Query]) -> list[Outcome]:
        rows = emb.vocab.rows_of([word for (word,) in batch])
        unknown = [word for (word,), row in zip(batch, rows, strict=True) if row < 0]
        lower = [word.lower() for word in unknown]
        for word, name, row in zip(unknown, lower, emb.vocab.rows_of(lower), strict=True):
            if row >= 0:
                say(f"{word} is unknown, but {name} is a word.")
        return neighbours(emb, batch, search)

    _print_answers(batches, answer, json)


def analogy(
    source: Source,
    search: Search,
    words: Annotated[list[str] | None, Argument(metavar="A B C", help=_WORDS_HELP)] = None,
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
    included = {role for text in include or [] for role in text.replace(",", " ").split()}
    if wrong := sorted(included - set("abc")):
        raise BadInput(f"--include: expected any of a, b and c, got {' '.join(wrong)}.")
    if method == "3cosmul" and search.metric not in ("dot", "cosine"):
        raise BadInput(f"--metric: expected cosine with --method 3cosmul, got {search.metric}.")
    # In `ffp-analogy`, `--include a` without `c` lets the word c be an answer; here it does not.
    excluded = [i for i, role in enumerate("abc") if role not in included]
    batches = queries(words, search.input, 3, source.file)
    emb = load_words(source)

    def answer(batch: list[Query]) -> list[Outcome]:
        from ffjax.functional.analogy import host_answer

        vectors, ids, has_vector = _looked_up(emb, batch)
        exclude = ids[:, excluded] if excluded else None
        terms = vectors.swapaxes(0, 1)
        best = host_answer(emb, terms, method=method, exclude=exclude, **_limits(emb, search))
        return _outcomes(emb, batch, vectors, has_vector, best)

    _print_answers(batches, answer, json)


def search(
    text: Annotated[str, Argument(metavar="TEXT", help="File to search; - for standard input.")],
    query: Annotated[
        list[str] | None,
        Argument(metavar="QUERY", help="Queries; with - or none, read from standard input."),
    ] = None,
    input: Annotated[
        str | None, Option(metavar="FILE", help="One query per line; - for standard input.")
    ] = None,
    k: Annotated[int, Option("-k", min=1, help="Number of lines for each query.")] = 10,
    embeddings: Annotated[
        str, Option("-e", metavar="FILE", help="Word vectors or static model.")
    ] = DEMO,
    lowercase: options.Lowercase = False,
    strip_punctuation: options.StripPunctuation = False,
    format: options.InputFormat = None,
    lossy: options.Lossy = False,
    member: options.Member = None,
    json: Json = False,
) -> None:
    """Find the lines of a text that are closest in meaning to a query.

    Each line becomes the mean of the vectors of its words, and the lines
    with the largest cosines are the answers. Without --embeddings, those
    inside the package are used: English words in lower case. They may be a
    static model (model2vec, sentence-transformers), whose tokenizer divides
    the text.

    In a pipe each line is QUERY, NUMBER, TEXT and SIMILARITY, separated by
    tabs; lines are numbered from 1.

    Examples:
      ffjax search notes.txt "something to drink" -k 3
      ffjax search README.md "reading files" --lowercase --strip-punctuation
      ffjax search abstracts.txt --input queries.txt -e cc.en.300.bin > best.tsv
    """
    if text == embeddings == "-":
        raise BadInput("expected TEXT or --embeddings on standard input, got both.")
    batches = queries(query, input, 1, text, embeddings)
    source = text_source(text)
    changes: Any = {"lowercase": lowercase, "strip_punctuation": strip_punctuation}
    emb = load_model(Source(embeddings, format, lossy, member=member), **changes)
    with task("Reading", text, "embed_text"):
        data = source.read() if text == "-" else Path(text).read_bytes()
        if b"\0" in data[:_HEAD_BYTES]:
            raise BadInput(
                f"{shown(text)}: expected text, got a binary file. Embeddings go with "
                "--embeddings; `ffjax similar` finds words in them."
            )
        vectors, counts = ffjax.embed_text(emb, data, **changes)
    lines = data.split(b"\n")  # not as a `str`, which one emoji makes four times as large
    numbers = counts.nonzero()[0]  # of the lines that have a vector
    vectors = vectors[numbers]

    def answers(rows: Any, scores: Any) -> list[Answer]:
        return [
            {"line": i + 1, "text": decode_word(lines[i]).strip(), "similarity": number(score)}
            for i, score in zip(numbers[rows].tolist(), scores, strict=True)
        ]

    def answer(batch: list[Query]) -> list[Outcome]:
        with translated("embed_text", shown(input or "-")), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # each query without a vector is reported below
            targets, counts = ffjax.embed_text(emb, [text for (text,) in batch], **changes)
            best = ffjax.search(vectors, targets, k)
        return [
            (answers(rows, scores), _NO_LINE) if count else (None, _NO_VECTOR)
            for rows, scores, count in zip(best.rows, best.scores, counts, strict=True)
        ]

    _print_answers(batches, answer, json)


def _print_answers(
    batches: Iterator[list[Query]], answer: Callable[[list[Query]], list[Outcome]], as_json: bool
) -> None:
    """Answers queries a batch at a time, and ends with the status that says whether all were."""
    n_unanswered = 0
    with working("Answering", unit="queries", quiet=sys.stdout.isatty()) as bar:
        for batch in filter(None, batches):
            for query, (best, problem) in zip(batch, answer(batch), strict=True):
                show_answers(query, best, problem, as_json)
                n_unanswered += not best
            sys.stdout.flush()
            bar.advance(len(batch))
    if n_unanswered:
        raise Exit(UNANSWERED)


def neighbours(emb: "ffjax.Embeddings", batch: Sequence[Query], search: Search) -> list[Outcome]:
    """The words most similar to each word, as `Embeddings.word_similarity` gives them."""
    from ffjax.functional.search import nearest_rows

    vectors, ids, has_vector = _looked_up(emb, batch)
    best = nearest_rows(emb, vectors[:, 0], exclude=ids, **_limits(emb, search))
    return _outcomes(emb, batch, vectors, has_vector, best)


def _looked_up(emb: "ffjax.Embeddings", batch: Sequence[Query]) -> list[Any]:
    """Vectors and rows of the words of queries, and which have a vector: `[queries, size, ...]`."""
    from ffjax.embeddings.similarity import vectors_of

    arrays = vectors_of(emb, [*chain(*batch)])
    return [x.reshape(len(batch), -1, *x.shape[1:]) for x in arrays]


def _limits(emb: "ffjax.Embeddings", search: Search) -> dict[str, Any]:
    """The number of answers and the rows that may be answers, as arguments of `top_k`."""
    n_words, first = len(emb.vocab), search.restrict
    k = min(search.k, n_words, first or n_words)
    return {"k": k, "candidates": emb.vocab.first_rows(first), "metric": search.metric}


def _outcomes(
    emb: "ffjax.Embeddings",
    batch: Sequence[Query],
    vectors: Any,
    has_vector: Any,
    best: "ffjax.TopK",
) -> list[Outcome]:
    """Rows as words with similarities, or why there are none."""
    import numpy as np

    from ffjax.embeddings.similarity import named

    is_infinite = ~np.isfinite(vectors).all(-1)
    results: list[Outcome] = []
    for i, (query, pairs) in enumerate(zip(batch, named(emb, best), strict=True)):
        is_word = len(query) == 1
        unknown = ", ".join(compress(query, ~has_vector[i]))
        infinite = ", ".join(compress(query, is_infinite[i]))
        if not has_vector[i].all():
            results.append((None, UNKNOWN if is_word else f"no vector for {unknown}."))
        elif not pairs and infinite:
            results.append((None, NOT_FINITE if is_word else f"{infinite}: {NOT_FINITE}"))
        else:
            answers = [{"word": word, "similarity": number(score)} for word, score in pairs]
            results.append((answers, ""))
    return results
