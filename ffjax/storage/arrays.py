"""What all storages do with the arrays that they are made of: check them, place them, and read them on the host."""

from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from ffjax._internal.types import on_host


def check_array(name: str, array: Any, ndim: int, dtype: str, hint: str = "") -> None:
    """Checks an argument.

    Args:
        name: what the argument is called.
        array: the argument.
        ndim: how many dimensions it has.
        dtype: the type of its numbers.
        hint: what to do if it is something else.

    Raises:
        TypeError: it is no array of so many dimensions of this type.
    """
    if not isinstance(array, np.ndarray | jax.Array) or array.ndim != ndim or array.dtype != np.dtype(dtype):
        got = f"{array.ndim} of {array.dtype}" if isinstance(array, np.ndarray | jax.Array) else type(array).__name__
        number = f"{ndim} dimension{'s' * (ndim != 1)}"
        raise TypeError(f"`{name}`: expected {number} of {dtype}, got {got}.{hint and ' ' + hint}")


def placed_array(array: Any) -> Any:
    """A NumPy array copied to the default device, so that it can't change underneath; anything else as it is."""
    if isinstance(array, np.ndarray) and not isinstance(array, np.memmap):
        return jnp.array(array)
    return array


def host_view(array: Any) -> np.ndarray | None:
    """The array as a NumPy array if that costs no copy (NumPy already, or whole on one CPU device), else `None`."""
    if isinstance(array, np.ndarray):
        return np.asarray(array)
    if isinstance(array, jax.core.Tracer):
        return on_host(array)  # which says what to do instead
    if len(array.devices()) == 1 and next(iter(array.devices())).platform == "cpu":
        return np.asarray(array)
    return None


def checked_key(key: Any, *, columns: bool = False) -> Any:
    """What rows are asked for by, as it is.

    Args:
        key: as the caller gave it.
        columns: whether a tuple may ask for columns too.

    Raises:
        TypeError: it is `None`, to which NumPy would answer with one dimension more, or a tuple.
    """
    if key is None or (isinstance(key, tuple) and not columns):
        hint = "" if key is None else " For rows of these numbers give a list; columns are taken from the answer."
        raise TypeError(f"`key`: expected a row number, a slice, or an array of row numbers, got {key!r}.{hint}")
    return key


def check_out(out: np.ndarray | None, shape: tuple[int, ...], dtype: Any) -> None:
    """Checks where rows are to be written.

    Args:
        out: the array that the caller gave.
        shape: the shape of the answer.
        dtype: the type of its numbers.

    Raises:
        TypeError: `out` is no array.
        ValueError: `out` is of another shape, of a type that is no float, or cannot be written to.
    """
    if out is None:
        return
    if not isinstance(out, np.ndarray):
        raise TypeError(f"`out`: expected a NumPy array to write to, got {type(out).__name__}.")
    if not out.flags.writeable:
        raise ValueError("`out`: expected an array that can be written to, got one that is read-only.")
    if out.shape != shape or not np.can_cast(dtype, out.dtype, "same_kind"):
        raise ValueError(f"`out`: expected shape {shape} of floats, got {out.shape} of {out.dtype}.")
