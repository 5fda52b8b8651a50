"""Arguments that many functions take, checked before NumPy or JAX stumbles over them."""

import operator
from collections.abc import Iterable
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

_KINDS = {jnp.floating: "floats", jnp.integer: "whole numbers", jnp.bool_: "booleans", jnp.uint8: "bytes (uint8)"}


def check_embeddings(embeddings: Any, name: str = "embeddings", expected: str = "Embeddings") -> None:
    """Refuses what has neither words nor rows.

    Raises:
        TypeError: so it is.
    """
    if not (hasattr(embeddings, "storage") and hasattr(embeddings, "vocab")):
        raise TypeError(
            f"`{name}`: expected {expected}, such as `ffjax.load(path)` gives, got {type(embeddings).__name__}."
        )


def list_of_words(words: Any) -> list[str]:
    """Words as a list.

    Raises:
        TypeError: `words` is one word, nothing to go through, or holds something else than words.

    Examples:
        >>> list_of_words(("tea", "coffee"))
        ['tea', 'coffee']
    """
    if isinstance(words, str):
        raise TypeError(f"`words`: expected a list of words, got the single word {words!r}. Write [{words!r}].")
    if not isinstance(words, Iterable):
        raise TypeError(f"`words`: expected a list of words, got {type(words).__name__} {words!r}.")
    made = list(words)
    for word in made:
        if not isinstance(word, str):
            raise TypeError(f"`words`: expected a list of words, got {type(word).__name__} {word!r} in it.")
    return made


def whole_number(name: str, value: Any, least: int = 0, hint: str = "") -> int:
    """A number as an `int`.

    Args:
        name: what errors call it.
        value: the number.
        least: the smallest that it may be.
        hint: what errors say beyond that.

    Raises:
        TypeError: it is none (a `bool` is none either), or it is traced.
        ValueError: it is too small.

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
        got = "a traced value" if isinstance(value, jax.core.Tracer) else f"{type(value).__name__} {value!r}"
        raise TypeError(f"`{name}`: expected a whole number, got {got}.{hint and ' '}{hint}")
    if number < least:
        raise ValueError(f"`{name}`: expected {least} or more, got {number}.")
    return number


def array_of(name: str, value: Any, kind: Any, what: str, shape: tuple[int | None, ...] | None = None) -> Any:
    """An array, or numbers in lists as an array.

    Args:
        name: what errors call it.
        value: the array.
        kind: what its numbers are: `jnp.floating`, `jnp.integer`, `jnp.bool_` or `jnp.uint8`.
        what: what it holds, with its shape, for people.
        shape: its shape, `None` for an axis of any length; of any rank without it.

    Raises:
        TypeError: it is no array, or of something else.
        ValueError: it has another shape.
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
        to = {jnp.floating: "jnp.float32", jnp.integer: "jnp.int32", jnp.bool_: "bool", jnp.uint8: "jnp.uint8"}[kind]
        raise TypeError(
            f"`{name}`: expected {_KINDS[kind]}, got {array.dtype}. Convert first, as in `{name}.astype({to})`."
        )
    if shape is not None and (
        len(shape) != array.ndim or any(n is not None and n != m for n, m in zip(shape, array.shape, strict=True))
    ):
        raise ValueError(f"`{name}`: expected {what}, got shape {array.shape}.")
    return array


def key_of(value: Any) -> jax.Array:
    """A key for random numbers: a given one, or the default if that is `None`.

    Args:
        value: a key as `jax.random.key` makes one, or the whole numbers of one, as `jax.random.PRNGKey` makes them.

    Raises:
        TypeError: it is no key, or several.

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
        if value.dtype == np.uint32 and value.shape == jax.random.key_data(jax.random.key(0)).shape:
            return jax.random.wrap_key_data(jnp.asarray(value))
    got = f"shape {value.shape} of {value.dtype}" if hasattr(value, "dtype") else f"{type(value).__name__} {value!r}"
    raise TypeError(f"`key`: expected one key, as `jax.random.key(0)` makes it, got {got}.")
