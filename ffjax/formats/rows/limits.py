"""Arguments that several formats share, checked before a file is touched."""

from typing import Any


def check_limit(limit: Any) -> None:
    """Refuses a `limit` that is neither `None` nor a number of words.

    Raises:
        TypeError: it is no integer.
        ValueError: it is negative.
    """
    _check_number("limit", limit, 0, "the number of words to read, or None for all")


def check_dims(dims: Any) -> None:
    """Refuses a `dims` that is neither `None` nor a number of values.

    Raises:
        TypeError: it is no integer.
        ValueError: it is not positive.
    """
    _check_number("dims", dims, 1, "the number of values a line, or None to find out")


def _check_number(name: str, value: Any, least: int, what: str) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not hasattr(type(value), "__index__"):
        raise TypeError(f"`{name}`: expected {what}, got {type(value).__name__} {value!r}.")
    if value < least:
        raise ValueError(f"`{name}`: expected {what}, at least {least}, got {value}.")
