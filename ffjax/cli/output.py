"""Answers: tables on a terminal, tab-separated lines in a pipe, or JSON lines."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ffjax._internal.json_lines import to_json
from ffjax.cli.exit_status import say

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# Such as a word or the number and text of a line, and last the similarity.
Answer = dict[str, Any]

_ESCAPES = str.maketrans({"\t": "\\t", "\n": "\\n", "\r": "\\r"})
_BAR_WIDTH = 20
# Why a query has no answer although all its words have vectors.
_NO_CANDIDATE = "there is no other word with a finite vector to choose from."


def show_answers(
    query: Sequence[str], answers: Sequence[Answer] | None, problem: str, *, as_json: bool
) -> None:
    """Prints the answers to one query, or on standard error why nothing was found."""
    if not answers:
        sys.stdout.flush()
        words = " ".join(word or repr(word) for word in query)
        say(f"no answer for {words}: {problem or _NO_CANDIDATE}")
    if as_json:
        name = query[0] if len(query) == 1 else query
        print(to_json({"query": name, "results": answers or None}))
    elif answers and sys.stdout.isatty():
        title = "{} is to {} as {} is to" if len(query) == 3 else "{}"
        console().print(answer_table(answers, title.format(*query)))
    else:
        for answer in answers or []:
            print(tabbed(*query, *answer.values()))


def facts(values: Mapping[str, Any], *, as_json: bool) -> None:
    """Prints names and values: an aligned table, tab-separated lines, or one JSON object."""
    if as_json:
        print(to_json(values))
        return
    present = {name: value for name, value in values.items() if value is not None}
    if not sys.stdout.isatty():
        for name, value in present.items():
            print(tabbed(name, _plain(value)))
        return
    table = plain_table(show_header=False)
    table.add_column(style="bold cyan")
    table.add_column(overflow="fold")
    for name, value in present.items():
        text = f"{value:,}" if type(value) is int else _plain(value)
        table.add_row(name, text)
    console().print(table)


def tabbed(*fields: Any) -> str:
    r"""A line of tab-separated fields, in which a tab or line break becomes `\t`, `\n` or `\r`."""
    return "\t".join(str(field).translate(_ESCAPES) for field in fields)


def number(value: Any) -> float:
    """A float32 as the shortest decimal number that rounds to it."""
    import numpy as np

    return float(str(np.float32(value)))


def short(value: float) -> float:
    """A number with six digits, which is more than anybody reads."""
    return float(f"{value:.6g}")


def console() -> "Console":
    """Standard output as a terminal, to which text is text: no markup, no `:tea:`."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


def plain_table(**options: Any) -> "Table":
    """A table without lines."""
    from rich.table import Table

    return Table(box=None, padding=(0, 2, 0, 0), title_justify="left", **options)


def answer_table(answers: Sequence[Answer], title: str | None = None) -> "Table":
    """Answers and their similarities with bars, for a terminal."""
    from rich.bar import Bar

    table = plain_table(show_header=False, title=title, title_style="bold")
    table.add_column(justify="right", style="dim")
    table.add_column(style="cyan", overflow="fold")
    table.add_column(justify="right")
    table.add_column(min_width=_BAR_WIDTH)
    for rank, answer in enumerate(answers, start=1):
        *_, text, score = answer.values()
        bar = Bar(1.0, 0.0, min(max(score, 0.0), 1.0), width=_BAR_WIDTH)
        table.add_row(str(answer.get("line", rank)), text, f"{score:.4f}", bar)
    return table


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)
