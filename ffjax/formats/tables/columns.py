"""Which columns of a table, or arrays of a file, hold the words and the vectors."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ffjax.errors import FormatError

WORDS = ("word", "words", "token", "tokens", "key", "keys", "term", "text", "vocab", "vocabulary")
WORDS += ("label", "labels", "name", "names", "index", "__index_level_0__")
VECTORS = ("vector", "vectors", "embedding", "embeddings", "matrix", "emb", "data", "weight")
VECTORS += ("weights", "embedding.weight", "embeddings.weight", "values", "arr_0")
_MOST_NAMES = 20


def is_words_file(words: Any, columns: Mapping[str, Any]) -> bool:
    """Whether an argument `words` is a file, and not the name of a column."""
    if words is None or (isinstance(words, str) and words in columns):
        return False
    return not isinstance(words, str) or os.path.exists(words)


def choose(
    argument: str,
    name: str | None,
    candidates: Sequence[str],
    usual: Sequence[str],
    columns: Mapping[str, Any],
    file: Any,
) -> str:
    """The column to read: `name`, or the only one of the candidates, or the one of a usual name.

    `columns` says what each column of the file is, for errors; `argument` is what names one.
    """
    if name is not None:
        if name in candidates:
            return name
        expected = f"expected the name of {argument} in {_listed(columns)}"
        raise ValueError(f"`{argument}`: {expected}, got {name!r}.")
    if len(candidates) == 1:
        return candidates[0]
    by_name = {candidate.lower(): candidate for candidate in reversed(candidates)}
    for likely in usual:
        if likely in by_name:
            return by_name[likely]
    expected = f"one column of {argument}"
    got, hint = f"none in {_listed(columns) or 'an empty table'}", None
    if candidates:
        got = f"{len(candidates)}: {_listed({name: columns[name] for name in candidates})}"
        hint = f"Name it with `{argument}=`."
    raise FormatError(file, field=argument, expected=expected, got=got, hint=hint)


def _listed(columns: Mapping[str, Any]) -> str:
    listed = ", ".join(f"{name!r} ({what})" for name, what in list(columns.items())[:_MOST_NAMES])
    return listed + (", ..." if len(columns) > _MOST_NAMES else "")
