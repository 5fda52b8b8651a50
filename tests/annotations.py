"""Checks of annotations by beartype, which jaxtyping asks for one function at a time."""

from collections.abc import Callable, Hashable

from beartype import beartype

_CHECKS: dict[Hashable, Callable] = {}


def checked(function: Callable) -> Callable:
    """A function that checks its arguments.

    jaxtyping gives functions that do nothing else, and functions inside of others anew at each call
    of those. beartype takes a millisecond for one, so equal ones share their checks.
    """
    if "<locals>" not in function.__qualname__:
        return beartype(function)
    name = function.__module__, function.__qualname__
    defaults = len(function.__defaults__ or ()), *(function.__kwdefaults__ or ())
    key = name, function.__code__, defaults, *function.__annotations__.items()
    if key not in _CHECKS:
        _CHECKS[key] = beartype(function)
    return _CHECKS[key]
