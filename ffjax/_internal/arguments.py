"""Checks of arguments, before NumPy or JAX stumbles over them."""

import math
import operator
from collections.abc import Iterable
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from ffjax._internal.arrays import as_int32, on_host
from ffjax._internal.file_arguments import short, shown, wrong_type, wrong_value

# What an array may be expected to hold: how errors call it, and what to convert it to.
_KINDS = {
    jnp.floating: ("floats", "jnp.float32"),
    jnp.integer: ("whole numbers", "jnp.int32"),
    jnp.bool_: ("booleans", "bool"),
    jnp.uint8: ("bytes (uint8)", "jnp.uint8"),
}


def check_embeddings(embeddings: Any, expected: str = "Embeddings") -> None:
    """Checks that an argument has words and rows."""
    if not (hasattr(embeddings, "storage") and hasattr(embeddings, "vocab")):
        raise TypeError(
            f"`embeddings`: expected {expected}, such as `ffjax.load(path)` gives, "
            f"got {type(embeddings).__name__}."
        )


def check_instance(name: str, value: Any, kind: type, *, optional: bool = False) -> None:
    """Checks that an argument is of a class, or `None` if it is optional."""
    if not (isinstance(value, kind) or (optional and value is None)):
        expected = f"{kind.__name__} or None" if optional else kind.__name__
        raise TypeError(f"`{name}`: expected {expected}, got {type(value).__name__}.")


def check_word(name: str, word: Any, hint: str = "", what: str = "a word (str)") -> None:
    """Checks that an argument is a `str`."""
    if not isinstance(word, str):
        raise wrong_type(name, what, word, decode_hint(word) or hint)


def decode_hint(word: Any) -> str:
    """What to do about a word that is bytes."""
    return "Decode it, as in `word.decode()`." if isinstance(word, bytes) else ""


def check_several(
    name: str, items: Any, what: str = "word", hint: str = "", *, any_empty: bool = False
) -> None:
    """Checks that an argument is several words or texts: an iterable, or an array of strings.

    With `any_empty` an array without items may be of any type, as `np.array([])` is of floats.
    """
    expected = f"`{name}`: expected a list of {what}s"
    if isinstance(items, str | bytes | bytearray | memoryview):
        advice = f"Write [{short(items)}]{hint and ', or '}{hint}."
        raise TypeError(f"{expected}, got the single {what} {short(items)}. {advice}")
    if not isinstance(items, Iterable):
        raise TypeError(f"{expected}, got {shown(items)}.")
    if not isinstance(items, np.ndarray):
        return
    if items.ndim != 1:
        raise TypeError(
            f"`{name}`: expected an array of one dimension, got shape {items.shape}. "
            f"Use `{name}.ravel()`."
        )
    if items.dtype.kind not in "SUTO" and not (any_empty and items.size == 0):
        expected = f"expected an array of strings, got {items.dtype}"
        advice = f" {hint.capitalize()}." if hint else ""
        raise TypeError(f"`{name}`: {expected}.{advice}")


def list_of_words(words: Any, name: str = "words") -> list[str]:
    """Words as a list."""
    check_several(name, words, any_empty=True)
    listed = list(words)
    for word in listed:
        if not isinstance(word, str):
            expected = f"`{name}`: expected a list of words"
            raise TypeError(f"{expected}, got {shown(word)} in it. {decode_hint(word)}".rstrip())
    return listed


def whole_number(name: str, value: Any, least: int | None = 0, hint: str = "") -> int:
    """A number as an `int`, at least `least`; `hint` is added to the error about its type."""
    try:
        number = None if isinstance(value, bool | np.bool_) else operator.index(value)
    except (TypeError, jax.errors.TracerIntegerConversionError):
        number = None
    if number is None:
        got = "a traced value" if isinstance(value, jax.core.Tracer) else shown(value)
        raise TypeError(f"`{name}`: expected a whole number, got {got}.{hint and ' '}{hint}")
    if least is not None and number < least:
        raise wrong_value(name, f"{least} or more", number)
    return number


def check_flag(name: str, value: Any) -> bool:
    """A boolean, also one of NumPy, as a `bool`."""
    if not isinstance(value, bool | np.bool_):
        raise wrong_type(name, "True or False", value)
    return bool(value)


def array_of(
    name: str, value: Any, kind: Any, what: str, shape: tuple[int | None, ...] | None = None
) -> Any:
    """An array, or numbers in lists as one, of a `kind` like `jnp.floating`.

    `what` says in errors what it holds. In `shape` `None` stands for an axis of any length.
    """
    array = value
    if not isinstance(value, np.ndarray | np.generic | jax.Array):
        try:
            array = np.asarray(value)
        except ValueError:  # lists of different lengths
            array = np.asarray(None)
        if array.dtype.kind not in "biufc":
            raise TypeError(f"`{name}`: expected {what}, got {type(value).__name__}.")
        if not array.size and kind is jnp.integer:
            array = array.astype(np.int32)  # NumPy makes floats of an empty list
    if not jnp.issubdtype(array.dtype, kind):
        numbers, dtype = _KINDS[kind]
        raise TypeError(
            f"`{name}`: expected {numbers}, got {array.dtype}. "
            f"Convert first, as in `{name}.astype({dtype})`."
        )
    if shape is not None:
        axes = zip(shape, array.shape, strict=False)
        if len(shape) != array.ndim or any(n not in (None, m) for n, m in axes):
            raise wrong_value(name, what, f"shape {array.shape}")
    return as_int32(array) if kind is jnp.integer else array


def is_real(dtype: np.dtype) -> bool:
    """Whether numbers of a type are real ones, truth values aside; bfloat16 is of the last kind."""
    return dtype.kind in "fiuV"


def real_numbers(name: str, value: Any, what: str) -> np.ndarray:
    """Real numbers of an array or of lists on the host, in their own type."""
    expected = f"`{name}`: expected numbers ({what})"
    try:
        array = on_host(value) if isinstance(value, jax.Array) else np.asarray(value)
    except ValueError as error:
        raise TypeError(f"{expected}, got lists of different lengths.") from error
    if array.dtype.kind != "b" and not is_real(array.dtype):
        raise TypeError(f"{expected}, got {type(value).__name__} of {array.dtype}.")
    return array


def real_number(name: str, value: Any) -> float:
    """A real number, also one of NumPy or JAX, as a `float`."""
    try:
        number = math.nan if isinstance(value, str | bytes) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if math.isnan(number):
        kind = ValueError if isinstance(value, float) else TypeError
        raise kind(f"`{name}`: expected a real number, got {shown(value)}.")
    return number


def check_array(
    name: str, array: Any, ndim: int, dtype: str, hint: str = "", rows: int | None = None
) -> None:
    """Checks that an argument is an array of `ndim` dimensions of a dtype, for `rows` rows."""
    is_array = isinstance(array, np.ndarray | jax.Array)
    if not is_array or array.ndim != ndim or array.dtype != np.dtype(dtype):
        got = f"{array.ndim} of {array.dtype}" if is_array else type(array).__name__
        expected = f"{ndim} dimension{'s' * (ndim != 1)} of {dtype}"
        raise TypeError(f"`{name}`: expected {expected}, got {got}.{hint and ' '}{hint}")
    if rows not in (None, len(array)):
        raise wrong_value(name, f"{rows}, one for each row", len(array))


def key_of(value: Any) -> jax.Array:
    """One key for random numbers, of either kind that JAX has; by default `jax.random.key(0)`."""
    default = jax.random.key(0)
    got = shown(value)
    if value is None:
        return default
    if isinstance(value, jax.Array | np.ndarray):
        if jnp.issubdtype(value.dtype, jax.dtypes.prng_key) and not value.ndim:
            return jnp.asarray(value)
        if value.dtype == np.uint32 and value.shape == jax.random.key_data(default).shape:
            return jax.random.wrap_key_data(jnp.asarray(value))
        got = f"shape {value.shape} of {value.dtype}"
    raise TypeError(f"`key`: expected one key, as `jax.random.key(0)` makes it, got {got}.")


def row_key(key: Any, n_rows: int) -> Any:
    """Which rows are asked for: a slice, or an `int` or an integer array without negative numbers.

    Masks become the numbers of the rows that they mark; negative numbers count from the last row.
    """
    if isinstance(key, slice):
        return key
    if isinstance(key, np.ndarray) and key.dtype.kind == "i" and key.ndim and key.size:
        # Negative numbers are large ones without their signs: one pass finds both. JAX indexes by
        # types that hold the number of rows alone.
        if key.itemsize >= 4 and key.view(f"u{key.itemsize}").max() < n_rows:
            return key
    ids = np.asarray(None if isinstance(key, tuple) else key)
    if ids.dtype == bool and ids.shape == (n_rows,):
        return np.flatnonzero(ids)
    if not ids.size:
        return ids.astype(np.int64)  # NumPy makes floats of an empty list
    if ids.dtype.kind not in "iu":
        hint = "For rows of these numbers give a list; columns are taken from the answer."
        expected = "a row number, a slice, or an array of row numbers"
        raise wrong_type("key", expected, key, hint if isinstance(key, tuple) else "")
    if ids.min() < -n_rows or ids.max() >= n_rows:
        got = f"{ids.min()} to {ids.max()}" if ids.ndim else str(ids)
        expected = f"index out of range: expected {-n_rows} to {n_rows - 1}"
        raise IndexError(f"`key`: {expected}, got {got}.")
    if ids.ndim == 0:
        return int(ids) % n_rows
    ids = ids.astype(np.int64, copy=False)
    return np.where(ids < 0, ids + n_rows, ids)


def check_out(out: Any, shape: tuple[int, ...], dtype: Any) -> None:
    """Checks the array that rows of a shape and dtype are to be written to."""
    if not isinstance(out, np.ndarray):
        raise wrong_type("out", "a NumPy array to write to", out)
    if not out.flags.writeable:
        raise wrong_value("out", "an array that can be written to", "a read-only one")
    if out.shape != shape or not np.can_cast(dtype, out.dtype, "same_kind"):
        raise wrong_value("out", f"shape {shape} of floats", f"{out.shape} of {out.dtype}")
