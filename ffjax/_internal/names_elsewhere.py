"""What gensim, fastText and spaCy call things, and what to use here instead."""

from functools import cache
from pathlib import Path
from typing import Any

_TABLES = Path(__file__).parents[1] / "data" / "names_elsewhere.txt"


@cache
def names_elsewhere() -> list[dict[str, str]]:
    """What to use for attributes, names of modules, and arguments of `most_similar`.

    Attributes are those of vectors, in the first table, and of classifiers, in the last.
    """
    tables: list[dict[str, str]] = []
    for line in _TABLES.read_text("utf-8").splitlines():
        if line.startswith("#"):
            tables.append({})
            continue
        names, _, instead = line.partition(": ")
        tables[-1] |= dict.fromkeys(names.split(), instead)
    return tables


def missing_attribute(value: Any, name: str, instead: str | None) -> Any:
    """Raises the error about an attribute that does not exist, or that of a property."""
    if hasattr(type(value), name):
        return object.__getattribute__(value, name)
    message = attribute_error(f"{type(value).__name__!r} object", name, instead)
    raise AttributeError(message, name=name, obj=value)


def attribute_error(owner: str, name: str, instead: str | None) -> str:
    """The message about an attribute that does not exist."""
    if instead is None:
        return f"{owner} has no attribute {name!r}"
    use, _, owners = instead.partition(", of ")
    hint = f"For {owners}, use {use}." if owners else f"Use {use}."
    return f"{owner} has no attribute {name!r}. {hint}"
