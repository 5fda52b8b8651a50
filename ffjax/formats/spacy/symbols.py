"""spaCy's symbols: 457 names of attributes, tags and labels, such as `number` and `X`.

Their numbers have been the same since spaCy 3.0. They are in no `strings.json`.
"""

from functools import cache
from importlib.resources import files


@cache
def symbols() -> tuple[str, ...]:
    """The names of spaCy's symbols, by their numbers."""
    text = files("ffjax").joinpath("data", "spacy_symbols.txt").read_text(encoding="utf-8")
    return tuple(text.split("\n")[:-1])
