"""Frozen dataclasses as JAX pytrees whose constructors do not run again when a pytree is rebuilt.

`jax.tree_util.register_dataclass` would rebuild a value by calling its class, and constructors in this library validate
and convert. That is wrong while a tree is transformed, when a leaf may be a tracer, a `PartitionSpec`, a boolean or
`None`. Here a value is rebuilt field by field, with no code of its class run.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np

__all__ = ["equal", "pytree", "replace"]

T = TypeVar("T")

# Elements compared at a time: comparing a mapped file must not make masks as large as the file.
_BLOCK = 1 << 22


def pytree(*, static: tuple[str, ...] = ()) -> Callable[[type[T]], type[T]]:
    """Registers a frozen dataclass as a pytree: every field is a child, save those named in `static`.

    A child is an array, `None`, or another pytree. A static field is small and hashable; it becomes part of the tree's
    structure, so two values that differ in it compile to two programs. Neither `__init__` nor `__post_init__` runs when
    JAX rebuilds a value. Declare the dataclass with `eq=False` and compare with `equal`: the comparison that
    `dataclass` writes asks arrays for one truth value.

    Args:
        static: Names of the fields that are not children.

    Returns:
        A class decorator, to be written above `@dataclass(frozen=True, eq=False)`.

    Raises:
        TypeError: When the decorated class is not a frozen dataclass, or `static` names a field that it lacks.

    Example:
        >>> @pytree(static=("name",))
        ... @dataclasses.dataclass(frozen=True, eq=False)
        ... class Pair:
        ...     left: np.ndarray
        ...     right: np.ndarray | None
        ...     name: str
        >>> pair = Pair(np.arange(3), None, "p")
        >>> jax.tree.map(lambda x: x + 1, pair)
        Pair(left=array([1, 2, 3]), right=None, name='p')
    """

    def register(cls: type[T]) -> type[T]:
        params = getattr(cls, "__dataclass_params__", None) if "__dataclass_fields__" in vars(cls) else None
        if params is None or not params.frozen:
            raise TypeError(f"`pytree` expected a frozen dataclass, got {cls!r}; put it above `@dataclass(...)`")
        names = _field_names(cls)
        if unknown := sorted(set(static) - set(names)):
            raise TypeError(f"`static` expected fields of {cls.__name__} ({_listed(names)}), got {_listed(unknown)}")
        children = tuple(name for name in names if name not in static)
        fixed = tuple(name for name in names if name in static)
        keys = tuple(jax.tree_util.GetAttrKey(name) for name in children)

        def flatten(value: T) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
            return tuple(getattr(value, n) for n in children), tuple(getattr(value, n) for n in fixed)

        def flatten_with_keys(value: T) -> tuple[tuple[tuple[Any, Any], ...], tuple[Any, ...]]:
            leaves, aux = flatten(value)
            return tuple(zip(keys, leaves, strict=True)), aux

        def unflatten(aux: tuple[Any, ...], leaves: Any) -> T:
            value = object.__new__(cls)
            for name, leaf in zip(children, leaves, strict=True):
                object.__setattr__(value, name, leaf)
            for name, setting in zip(fixed, aux, strict=True):
                object.__setattr__(value, name, setting)
            return value

        def refuse(value: T, name: str, new: Any = None) -> None:
            raise dataclasses.FrozenInstanceError(
                f"`{name}`: {cls.__name__} is immutable, got an assignment. "
                f"Make a changed copy instead, as in `value = value.replace({name}=...)`, or a new {cls.__name__}."
            )

        def declared(value: T) -> dict[str, Any]:
            # Caches of the host lie beside the fields; a copy or a pickle makes its own.
            return {name: getattr(value, name) for name in names}

        shown = cls.__repr__

        def described(value: T) -> str:
            try:
                return shown(value)
            except Exception:  # a tree of something else than arrays: shapes, flags, specifications
                parts = ", ".join(f"{name}={getattr(value, name)!r}" for name in names)
                return f"{cls.__name__}({parts})"

        cls.__repr__ = described  # type: ignore[method-assign,assignment]
        cls.__getstate__ = declared  # type: ignore[attr-defined]
        # The error that `dataclass` would raise names no way out.
        cls.__setattr__ = refuse  # type: ignore[method-assign,assignment]
        cls.__delattr__ = refuse  # type: ignore[method-assign,assignment]
        jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
        return cls

    return register


def replace(value: T, **changes: Any) -> T:
    """A copy of a frozen dataclass with some fields changed, and no code of its class run.

    Unlike `dataclasses.replace` it neither validates nor converts, so it is for callers that hold fields already right.

    Args:
        value: The dataclass instance to copy; it stays as it is.
        **changes: New values of fields, by name.

    Returns:
        The copy. Fields that were not named are shared, not copied.

    Raises:
        TypeError: When `value` is not a dataclass instance, or `changes` names a field that it lacks.

    Example:
        >>> @dataclasses.dataclass(frozen=True)
        ... class Point:
        ...     x: int
        ...     y: int
        >>> replace(Point(1, 2), y=5)
        Point(x=1, y=5)
    """
    if isinstance(value, type) or not dataclasses.is_dataclass(value):
        raise TypeError(f"`value` expected an instance of a dataclass, got {value!r}")
    cls = type(value)
    names = _field_names(cls)
    if unknown := sorted(set(changes) - set(names)):
        raise TypeError(
            f"`replace` expected fields of {cls.__name__} ({_listed(names)}), got {_listed(unknown)}; "
            "name only fields that it has"
        )
    copy = object.__new__(cls)
    for name in names:
        object.__setattr__(copy, name, changes[name] if name in changes else getattr(value, name))
    return copy


def equal(a: Any, b: Any) -> bool:
    """Whether two pytrees have the same types, the same static fields, and the same arrays.

    Arrays are the same when dtype, shape and every element are; NaN equals NaN, and 0.0 equals -0.0. Where an array
    lives (NumPy, a memory map, a device) makes no difference.

    Args:
        a: A pytree.
        b: A pytree.

    Returns:
        A Python `bool`.

    Example:
        >>> equal({"x": np.array([1.0, np.nan])}, {"x": np.array([1.0, np.nan])})
        True
        >>> equal(np.int32(1), np.int64(1))
        False
    """
    if a is b:
        return True
    left, left_def = jax.tree.flatten(a)
    right, right_def = jax.tree.flatten(b)
    return left_def == right_def and all(_same(x, y) for x, y in zip(left, right, strict=True))


def _same(a: Any, b: Any) -> bool:
    if a is b:
        return True
    x, y = np.asarray(a), np.asarray(b)
    if x.dtype != y.dtype or x.shape != y.shape:
        return False
    if x.ndim == 0 or x.size <= _BLOCK:
        return _same_block(x, y)
    step = max(1, _BLOCK * len(x) // x.size)
    return all(_same_block(x[i : i + step], y[i : i + step]) for i in range(0, len(x), step))


def _same_block(x: np.ndarray, y: np.ndarray) -> bool:
    same = x == y
    if not np.all(same):
        same |= (x != x) & (y != y)  # only NaN differs from itself
    return bool(np.all(same))


def _field_names(cls: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(cls))


def _listed(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"
