"""`ffjax similar`, `analogy` and `search`: batches of queries and their answers."""

import sys
import warnings
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from itertools import chain
from os.path import exists
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Exit, Option

import ffjax
from ffjax._internal.text_check import check_text
from ffjax.cli import files, options
from ffjax.cli.files import DEMO, Query, load_words, queries, shown, task
from ffjax.cli.messages import UNANSWERED, BadInput, say, translated
from ffjax.cli.options import Answers, Input, Json, MethodOption, MetricOption, Restrict, Source
from ffjax.cli.output import Answer, number, show_answers, working
from ffjax.strings.codec import decode_word

UNKNOWN = "an unknown word without known n-grams."
NO_NGRAMS = "an unknown word, and these embeddings have no n-grams."
NOT_FINITE = "its vector has NaN or infinity in it."
_NO_VECTOR = "none of its words has a vector."
_NO_LINE = "no line has a word with a vector."
_HEAD_BYTES = 1 << 16
_WORDS_HELP = "Words; with - or no words, read from standard input."

# Words with similarities, best first, and if there are none the reason, unless it is the usual one.
Outcome = tuple[list[Answer], str]


def similar(
    source: Source,
    words: list[str] | None = Argument(None, metavar="WORD", help=_WORDS_HELP),
    input: Input = None,
    k: Answers = 10,
    metric: MetricOption = "cosine",
    restrict: Restrict = None,
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
    if not words and input is None and file.isalpha() and not exists(files.path_of(file)):
        hint = f"`ffjax similar {DEMO} {file}` uses the built-in embeddings."
        raise BadInput(f"{file}: No such file or directory. {hint}")
    batches = queries(words, input, 1, file)
    emb = load_words(source)

    def answer(batch: list[Query]) -> list[Outcome]:
        words = [word for (word,) in batch]
        lower = [word.lower() for word in words]
        rows = map(emb.vocab.rows_of, (words, lower))
        for word, name, row, lower_row in zip(words, lower, *rows, strict=True):
            if row < 0 <= lower_row:
                say(f"{word} is unknown, but {name} is a word.")
        return neighbours(emb, words, k, metric, restrict)

    _print_answers(batches, answer, json)


def analogy(
    source: Source,
    words: list[str] | None = Argument(None, metavar="A B C", help=_WORDS_HELP),
    input: Input = None,
    k: Answers = 10,
    metric: MetricOption = "dot",
    restrict: Restrict = None,
    include: list[str] | None = Option(
        None, "--include", "-i", metavar="a b c", help="Words of the query that can be answers."
    ),
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
        raise BadInput(f"`--include`: expected any of a, b and c, got {' '.join(wrong)}.")
    if method == "3cosmul" and metric not in ("dot", "cosine"):
        raise BadInput(f"`--metric`: expected cosine with `--method 3cosmul`, got {metric}.")
    # In `ffp-analogy`, `--include a` without `c` lets the word c be an answer; here it does not.
    excluded = [i for i, role in enumerate("abc") if role not in included]
    batches = queries(words, input, 3, source.file)
    emb = load_words(source)

    def answer(batch: list[Query]) -> list[Outcome]:
        from ffjax.embeddings.similarity import named, vectors_of
        from ffjax.functional.analogy import host_answer

        vectors, rows, has_vector = vectors_of(emb, [*chain(*batch)])
        terms = vectors.reshape(len(batch), 3, -1).swapaxes(0, 1)
        options: Any = {"method": method, "metric": metric}
        options["exclude"] = rows.reshape(-1, 3)[:, excluded] if excluded else None
        options["candidates"] = emb.vocab.first_rows(restrict)
        best = named(emb, host_answer(emb, terms, min(k, emb.n_words), **options))
        is_known: Any = has_vector.reshape(-1, 3).all(1)
        return [
            _outcome(emb, query, pairs if has_vectors else None)
            for query, pairs, has_vectors in zip(batch, best, is_known, strict=True)
        ]

    _print_answers(batches, answer, json)


def search(
    text: str = Argument(..., metavar="TEXT", help="File to search; - for standard input."),
    query: list[str] | None = Argument(
        None, metavar="QUERY", help="Queries; with - or none, read from standard input."
    ),
    input: Input = None,
    k: Annotated[int, Option("-k", min=1, help="Number of lines for each query.")] = 10,
    embeddings: str = Option(DEMO, "-e", metavar="FILE", help="Word vectors or static model."),
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
    source = files.text_source(text)
    changes: Any = {"lowercase": lowercase, "strip_punctuation": strip_punctuation}
    emb = files.load_model(Source(embeddings, format, lossy, member=member))
    with task("Reading", text, "embed_text"):
        data = source.read() if text == "-" else Path(text).read_bytes()
        hint = "Embeddings go with --embeddings; `ffjax similar` finds words in them."
        check_text(data, shown(text), hint)
        if b"\0" in data[:_HEAD_BYTES]:
            raise BadInput(f"{shown(text)}: expected text, got a binary file. {hint}")
        data = data.removeprefix(BOM_UTF8)
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
            (answers(rows, scores), _NO_LINE) if count else ([], _NO_VECTOR)
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


def neighbours(
    emb: "ffjax.Embeddings", words: list[str], k: int, metric: str, restrict: int | None
) -> list[Outcome]:
    """The words most similar to each word."""
    candidates = emb.vocab.first_rows(restrict)
    answers = emb.most_similar_batch(words, k, metric=metric, candidates=candidates)
    return [_outcome(emb, (word,), pairs) for word, pairs in zip(words, answers, strict=True)]


def _outcome(emb: "ffjax.Embeddings", query: Query, pairs: Any) -> Outcome:
    """Words with similarities, or why there are none; `None` if a word has no vector."""
    import numpy as np

    if pairs:
        return [{"word": word, "similarity": number(score)} for word, score in pairs], ""
    is_word = len(query) == 1
    if pairs is None:
        names = ", ".join(word for word in query if emb.get(word) is None)
        unknown = UNKNOWN if emb.vocab.subword_indexer is not None else NO_NGRAMS
        return [], unknown if is_word else f"no vector for {names}."
    if names := ", ".join(word for word in query if not np.isfinite(emb[word]).all()):
        return [], NOT_FINITE if is_word else f"{names}: {NOT_FINITE}"
    return [], ""
