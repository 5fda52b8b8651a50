"""Checks of arguments, before NumPy or JAX stumbles over them."""

import operator
from collections.abc import Iterable
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from ffjax._internal.arrays import as_int32

# What an array may be expected to hold: how errors call it, and what to convert it to.
_KINDS = {
    jnp.floating: ("floats", "jnp.float32"),
    jnp.integer: ("whole numbers", "jnp.int32"),
    jnp.number: ("numbers", "jnp.float32"),
    jnp.bool_: ("booleans", "bool"),
    jnp.uint8: ("bytes (uint8)", "jnp.uint8"),
}


def check_embeddings(
    embeddings: Any, name: str = "embeddings", expected: str = "Embeddings"
) -> None:
    """Checks that an argument has words and rows."""
    if not (hasattr(embeddings, "storage") and hasattr(embeddings, "vocab")):
        raise TypeError(
            f"`{name}`: expected {expected}, such as `ffjax.load(path)` gives, "
            f"got {type(embeddings).__name__}."
        )


def check_instance(name: str, value: Any, kind: type, *, optional: bool = False) -> None:
    """Checks that an argument is of a class, or `None` if it is optional."""
    if not (isinstance(value, kind) or (optional and value is None)):
        expected = f"{kind.__name__} or None" if optional else kind.__name__
        raise TypeError(f"`{name}`: expected {expected}, got {type(value).__name__}.")


def check_word(name: str, word: Any, hint: str = "") -> None:
    """Checks that an argument is a `str`."""
    if not isinstance(word, str):
        raise TypeError(f"`{name}`: expected a word, got {_shown(word)}.{hint and ' '}{hint}")


def list_of_words(words: Any) -> list[str]:
    """Words as a list.

    Examples:
        >>> list_of_words(("tea", "coffee"))
        ['tea', 'coffee']
    """
    expected = "`words`: expected a list of words"
    if isinstance(words, str):
        raise TypeError(f"{expected}, got the single word {words!r}. Write [{words!r}].")
    if not isinstance(words, Iterable):
        raise TypeError(f"{expected}, got {_shown(words)}.")
    listed = list(words)
    for word in listed:
        if not isinstance(word, str):
            raise TypeError(f"{expected}, got {_shown(word)} in it.")
    return listed


def whole_number(name: str, value: Any, least: int = 0, hint: str = "") -> int:
    """A number as an `int`, at least `least`; `hint` is added to the error about its type.

    Examples:
        >>> import numpy as np
        >>> whole_number("n", np.int32(3))
        3
    """
    try:
        number = None if isinstance(value, bool | np.bool_) else operator.index(value)
    except (TypeError, jax.errors.TracerIntegerConversionError):
        number = None
    if number is None:
        got = "a traced value" if isinstance(value, jax.core.Tracer) else _shown(value)
        raise TypeError(f"`{name}`: expected a whole number, got {got}.{hint and ' '}{hint}")
    if number < least:
        raise ValueError(f"`{name}`: expected {least} or more, got {number}.")
    return number


def array_of(
    name: str,
    value: Any,
    kind: Any,
    expected: str,
    shape: tuple[int | None, ...] | None = None,
) -> Any:
    """An array, or numbers in lists as an array; whole numbers as int32.

    Args:
        name: what errors call it.
        value: the array.
        kind: one of `_KINDS`.
        expected: what it holds, with its shape, for errors.
        shape: its shape, `None` for an axis of any length; any shape by default.
    """
    array = value
    if not isinstance(value, np.ndarray | np.generic | jax.Array):
        try:
            array = np.asarray(value)
        except ValueError:  # lists of different lengths
            array = np.asarray(None)
        if array.dtype.kind not in "biufc":
            raise TypeError(f"`{name}`: expected {expected}, got {type(value).__name__}.")
        if not array.size and kind is jnp.integer:
            array = array.astype(np.int32)  # NumPy makes floats of an empty list
    if not jnp.issubdtype(array.dtype, kind):
        numbers, dtype = _KINDS[kind]
        raise TypeError(
            f"`{name}`: expected {numbers}, got {array.dtype}. "
            f"Convert first, as in `{name}.astype({dtype})`."
        )
    if shape is not None and not _fits(array.shape, shape):
        raise ValueError(f"`{name}`: expected {expected}, got shape {array.shape}.")
    return as_int32(array) if kind is jnp.integer else array


def _fits(shape: tuple[int, ...], expected: tuple[int | None, ...]) -> bool:
    if len(shape) != len(expected):
        return False
    return all(n is None or n == m for n, m in zip(expected, shape, strict=True))


def check_array(name: str, array: Any, ndim: int, dtype: str, hint: str = "") -> None:
    """Checks that an argument is an array of `ndim` dimensions of a dtype."""
    is_array = isinstance(array, np.ndarray | jax.Array)
    if is_array and array.ndim == ndim and array.dtype == np.dtype(dtype):
        return
    got = f"{array.ndim} of {array.dtype}" if is_array else type(array).__name__
    expected = f"{ndim} dimension{'s' * (ndim != 1)} of {dtype}"
    raise TypeError(f"`{name}`: expected {expected}, got {got}.{hint and ' '}{hint}")


def key_of(value: Any) -> jax.Array:
    """One key for random numbers, of either kind that JAX has; by default `jax.random.key(0)`.

    Examples:
        >>> import jax
        >>> bool(key_of(jax.random.PRNGKey(0)) == key_of(None))
        True
    """
    if value is None:
        return jax.random.key(0)
    if isinstance(value, jax.Array | np.ndarray):
        if jnp.issubdtype(value.dtype, jax.dtypes.prng_key) and not value.ndim:
            return jnp.asarray(value)
        raw_shape = jax.random.key_data(jax.random.key(0)).shape
        if value.dtype == np.uint32 and value.shape == raw_shape:
            return jax.random.wrap_key_data(jnp.asarray(value))
        got = f"shape {value.shape} of {value.dtype}"
    else:
        got = _shown(value)
    raise TypeError(f"`key`: expected one key, as `jax.random.key(0)` makes it, got {got}.")


def row_key(key: Any, n_rows: int) -> Any:
    """Which rows of a storage are asked for: an `int`, a slice, or an integer array, none negative.

    Lists become arrays, masks the numbers of the rows that they mark, and negative numbers count
    from the last row.
    """
    if isinstance(key, slice):
        return key
    if isinstance(key, np.ndarray) and key.dtype.kind == "i" and key.ndim and key.size:
        # Negative numbers are large ones without their signs: one pass finds both.
        if key.view(f"u{key.itemsize}").max() < n_rows:
            return key
    ids = None if key is None or isinstance(key, tuple) else np.asarray(key)
    if ids is not None and ids.dtype == bool and ids.shape == (n_rows,):
        return np.flatnonzero(ids)
    if ids is not None and not ids.size:
        return ids.astype(np.int64)  # NumPy makes floats of an empty list
    if ids is None or ids.dtype.kind not in "iu":
        hint = ""
        if isinstance(key, tuple):
            hint = " For rows of these numbers give a list; columns are taken from the answer."
        raise TypeError(
            "`key`: expected a row number, a slice, or an array of row numbers, "
            f"got {key!r}.{hint}"
        )
    if ids.min() < -n_rows or ids.max() >= n_rows:
        got = f"{ids.min()} to {ids.max()}" if ids.ndim else str(ids)
        raise IndexError(
            f"`key`: index out of range: expected {-n_rows} to {n_rows - 1}, got {got}."
        )
    if ids.ndim == 0:
        return int(ids) % n_rows
    return np.where(ids < 0, ids + n_rows, ids).astype(np.int64, copy=False)


def check_out(out: Any, shape: tuple[int, ...], dtype: Any) -> None:
    """Checks the array that rows of a shape and dtype are to be written to."""
    if not isinstance(out, np.ndarray):
        raise TypeError(
            f"`out`: expected a NumPy array to write to, got {type(out).__name__}."
        )
    if not out.flags.writeable:
        raise ValueError("`out`: expected an array that can be written to, got a read-only one.")
    if out.shape != shape or not np.can_cast(dtype, out.dtype, "same_kind"):
        raise ValueError(
            f"`out`: expected shape {shape} of floats, got {out.shape} of {out.dtype}."
        )


def _shown(value: Any) -> str:
    return f"{type(value).__name__} {value!r}"
