"""`ffjax search`: the lines of a text that are most similar to a query."""

import warnings
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

import ffjax
from ffjax.cli import options
from ffjax.cli.exit_status import BadInput
from ffjax.cli.files import DEMO, load_model, shown, task, text_source
from ffjax.cli.inputs import Query, queries
from ffjax.cli.messages import translated
from ffjax.cli.output import Answer, number
from ffjax.cli.similar import Outcome, print_answers
from ffjax.strings.codec import decode_word

_HEAD_BYTES = 1 << 16
_NO_VECTOR = "none of its words has a vector."
_NO_LINE = "no line has a word with a vector."


def search(
    text: Annotated[str, Argument(metavar="TEXT", help="File to search; - for standard input.")],
    query: Annotated[
        list[str] | None, Argument(metavar="QUERY", help="Queries; standard input if - or none.")
    ] = None,
    input: Annotated[
        str | None, Option(metavar="FILE", help="One query per line; - for standard input.")
    ] = None,
    k: Annotated[int, Option("-k", min=1, help="Number of lines for each query.")] = 10,
    embeddings: Annotated[
        str, Option("--embeddings", "-e", metavar="FILE", help="Word vectors or static model.")
    ] = DEMO,
    lowercase: options.Lowercase = False,
    strip_punctuation: options.StripPunctuation = False,
    format: options.InputFormat = None,
    lossy: options.Lossy = False,
    member: options.Member = None,
    json: options.Json = False,
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
    emb = load_model(options.Source(embeddings, format, lossy, member=member))
    if (lowercase or strip_punctuation) and isinstance(emb, ffjax.StaticModel):
        option = "--lowercase" if lowercase else "--strip-punctuation"
        raise BadInput(
            f"`{option}`: expected embeddings of words, got a static model, whose tokenizer "
            "divides the text. Leave it out."
        )
    changes: Any = {"lowercase": lowercase, "strip_punctuation": strip_punctuation}
    with task("Reading", text, "embed_text"):
        data = source.read() if text == "-" else Path(text).read_bytes()
        if b"\0" in data[:_HEAD_BYTES]:
            raise BadInput(
                f"{shown(text)}: expected text, got a binary file. Embeddings go with "
                "--embeddings; `ffjax similar` finds words in them."
            )
        vectors, counts = ffjax.embed_text(emb, data, **changes)
    lines = data.split(b"\n")
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
        outcomes = map(answers, best.rows.tolist(), best.scores.tolist())
        return [
            (outcome if count else None, _NO_LINE if count else _NO_VECTOR)
            for outcome, count in zip(outcomes, counts, strict=True)
        ]

    print_answers(batches, answer, as_json=json)
