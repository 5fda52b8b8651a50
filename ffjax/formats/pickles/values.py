"""The inert values that opcodes of pickles make.

No class of a file is looked up, and none is called. Numbers, `None`, tuples and lists are Python's
own. Text and bytes stay in the file, and objects are records of what would have been called.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np


class Raw(NamedTuple):
    """Text or bytes of a file: where they begin and end."""

    start: int
    stop: int
    is_text: bool


@dataclass(frozen=True, slots=True, eq=False)
class Global:
    """The name of a class or a function."""

    name: str


class Skipped(NamedTuple):
    """Entries of a dictionary that number values seen before: not read."""

    start: int
    stop: int


class TextRun(NamedTuple):
    """Many short texts, one after the other in a list: where each begins and ends."""

    starts: np.ndarray
    stops: np.ndarray


@dataclass(slots=True, eq=False)
class Entries:
    """The keys and values of a dictionary, in turn."""

    items: list[Any] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Record:
    """An object: what would be called, with which arguments, and what is set afterwards."""

    callee: Global
    arguments: tuple[Any, ...]
    offset: int
    state: Any = None
    items: list[Any] = field(default_factory=list)


def in_pairs(items: list[Any]) -> Iterator[tuple[Any, Any]]:
    """Keys with their values, but those that were skipped."""
    plain = [item for item in items if not isinstance(item, Skipped)]
    return zip(plain[::2], plain[1::2], strict=False)
