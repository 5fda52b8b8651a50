"""Checks of annotations by beartype, which jaxtyping asks for one function at a time.

jaxtyping binds the arguments of every call to remember the sizes of arrays, and checks them twice.
That is most of the time of a small function. One whose annotations have no arrays needs none of it:
beartype alone checks its arguments and its result.
"""

import functools
import inspect
from collections.abc import Callable, Hashable
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype

_CHECKS: dict[Hashable, Callable] = {}
_with_sizes = jaxtyping.jaxtyped
_typed = beartype(conf=BeartypeConf(violation_type=jaxtyping.TypeCheckError))


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


def jaxtyped(*, typechecker: Any) -> Callable:
    """In the place of `jaxtyping.jaxtyped`, which the import hook puts before each function."""
    return functools.partial(_decorated, typechecker)


def _decorated(typechecker: Any, function: Any) -> Any:
    if not inspect.isfunction(function):
        return _with_sizes(function, typechecker=typechecker)
    annotations = function.__annotations__.values()
    if not annotations:
        return function
    is_inside = "<locals>" in function.__qualname__
    if is_inside or any(isinstance(x, str) or "jaxtyping" in repr(x) for x in annotations):
        return _with_sizes(function, typechecker=typechecker)
    typed = _typed(function)

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        call = function if jaxtyping.config.jaxtyping_disable else typed
        return call(*args, **kwargs)

    return wrapped


jaxtyping.jaxtyped = jaxtyped
