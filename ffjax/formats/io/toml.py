"""TOML documents in files, with a bound on the time to parse them."""

import tomllib
from collections.abc import Callable
from typing import Any

# The parser's time grows with the dots of a key times the keys: this many take a few seconds.
_MAX_STEPS = 1 << 23


def parse_toml(text: str, parse: Callable[[str], Any] = tomllib.loads) -> Any:
    """What `parse` makes of a document; `ValueError` if that takes too long or nests too deeply."""
    dots = max(line.count(".") for line in text.split("\n"))
    if dots * (text.count(".") + text.count("\n")) > _MAX_STEPS:
        raise ValueError(f"a line has {dots} dots, too many for keys of a few parts")
    try:
        return parse(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
