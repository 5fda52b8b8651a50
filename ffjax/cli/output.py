"""Answers for people, for pipes and for programs: tables on a terminal, tab-separated lines, or JSON lines."""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ffjax.cli.exit_status import say

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Answer = tuple[str, float]

_ESCAPES = str.maketrans({"\t": "\\t", "\n": "\\n", "\r": "\\r"})
_BAR = 20
# Why a query has no answer although all its words have vectors.
_NOBODY = "no other word that may be an answer has a finite vector."


class Answers:
    """Prints the answers to queries as they come.

    In a pipe each answer is a line: the words of the query, the answer and its similarity, separated by tabs. With JSON
    each query is a line: an object with `query` and `results` (`null` if there is no answer).

    Args:
        as_json: whether to print JSON.

    Attributes:
        unanswered: how many queries had no answer.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.unanswered = 0
        self._tables = None if as_json or not sys.stdout.isatty() else _console()

    def add(self, query: Sequence[str], answers: Sequence[Answer] | None, problem: str = "") -> None:
        """Prints the answers to one query, or a line on standard error if there are none.

        Args:
            query: its words.
            answers: words with their similarities, best first; `None` if the query cannot be answered. An empty list
                is no answer either.
            problem: why it cannot.
        """
        if not answers:
            answers, problem = None, problem or _NOBODY
            self.unanswered += 1
            sys.stdout.flush()
            say(f"no answer for {' '.join(word or repr(word) for word in query)}: {problem}")
        if self.as_json:
            results = None if answers is None else [{"word": word, "similarity": score} for word, score in answers]
            print(to_json({"query": query[0] if len(query) == 1 else list(query), "results": results}))
        elif answers is not None:
            if self._tables is not None:
                self._tables.print(answer_table(answers, title(query)))
            else:
                for word, score in answers:
                    print(tabbed(*query, word, score))

    def flush(self) -> None:
        """Lets the reader see what has been printed."""
        sys.stdout.flush()


def facts(values: Mapping[str, Any], *, as_json: bool) -> None:
    """Prints names and values: an aligned table, tab-separated lines, or one JSON object."""
    if as_json:
        print(to_json(values))
        return
    shown = {name: value for name, value in values.items() if value is not None}
    if not sys.stdout.isatty():
        for name, value in shown.items():
            print(tabbed(name, _plain(value)))
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold cyan")
    table.add_column(overflow="fold")
    for name, value in shown.items():
        table.add_row(name, Text(f"{value:,}" if isinstance(value, int) and value >= 10_000 else _plain(value)))
    _console().print(table)


def tabbed(*fields: Any) -> str:
    r"""One line of fields with tabs between; a tab or a line break inside a field becomes `\t`, `\n` or `\r`."""
    return "\t".join(str(field).translate(_ESCAPES) for field in fields)


def number(value: Any) -> float:
    """A float32 as the shortest decimal number that is the same float32.

    Examples:
        >>> import numpy as np
        >>> number(np.float32(0.1))
        0.1
    """
    return float(str(value))


def to_json(value: Any) -> str:
    """JSON on one line; text that UTF-8 cannot hold is written with escapes, and what is no number as null.

    Examples:
        >>> to_json({"word": "größe"}), to_json(chr(0xDCFF)).isascii()
        ('{"word": "größe"}', True)
        >>> to_json({"pearson": float("nan")})
        '{"pearson": null}'
    """
    value = _finite(value)
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if text.isascii() or _encodable(text) else json.dumps(value, default=str)


def _finite(value: Any) -> Any:
    """JSON has neither NaN nor infinity."""
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _console() -> "Console":
    from rich.console import Console

    return Console(highlight=False)


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)


def answer_table(answers: Sequence[Answer], title: str | None = None) -> "Table":
    """Words and their similarities with bars, for a terminal."""
    from rich.bar import Bar
    from rich.table import Table
    from rich.text import Text

    heading = None if title is None else Text(title, "bold")
    table = Table(box=None, padding=(0, 1), show_header=False, title=heading, title_justify="left")
    table.add_column(justify="right", style="dim")
    table.add_column(style="cyan", overflow="fold")
    table.add_column(justify="right")
    table.add_column()
    for place, (word, score) in enumerate(answers, start=1):
        bar = Bar(1.0, 0.0, min(max(score, 0.0), 1.0), width=_BAR)
        table.add_row(str(place), Text(word), f"{score:.4f}", bar)
    return table


def title(query: Sequence[str]) -> str:
    """A query in one line.

    Examples:
        >>> title(["man", "king", "woman"])
        'man is to king as woman is to'
    """
    if len(query) == 3:
        return "{} is to {} as {} is to".format(*query)
    return " ".join(query)
