"""Values: frozen dataclasses that are JAX pytrees.

`jax.tree_util.register_dataclass` rebuilds a value by calling its class, and constructors in this
library validate and convert. That is wrong while a tree is transformed, when a leaf may be a
tracer, a `PartitionSpec`, a boolean or `None`. Here a value is rebuilt field by field, and no code
of its class runs.
"""

import dataclasses
import json
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, dataclass_transform

import jax
import numpy as np
from jax import export

from ffjax._internal.arrays import on_host

T = TypeVar("T")

# Elements compared at a time: comparing mapped files must not make masks as large as the files.
_COMPARED = 1 << 22


@dataclass_transform(frozen_default=True, eq_default=False)
def value(*, static: tuple[str, ...] = (), init: bool = True) -> Callable[[type[T]], type[T]]:
    """Makes a class a frozen dataclass that is a pytree: fields are children, or `static`.

    A child is an array, `None`, or another pytree. A static field is small and hashable; it is part
    of the tree's structure, so two values that differ in it compile to two programs. Rebuilding a
    value runs neither `__init__` nor `__post_init__`. Values compare by `equal`, have no hash, and
    have a repr even when their leaves are not arrays; a class may define its own `__init__`,
    `__eq__` and `__repr__`. With `init=False`, a class without an `__init__` has that of its base.

    Examples:
        >>> @value(static=("name",))
        ... class Pair:
        ...     left: np.ndarray
        ...     right: np.ndarray | None
        ...     name: str
        >>> jax.tree.map(lambda x: x + 1, Pair(np.arange(3), None, "p"))
        Pair(left=array([1, 2, 3]), right=None, name='p')
    """

    def decorate(cls: type[T]) -> type[T]:
        # A subclass inherits the repr and the comparison of its base, if that has its own.
        shown = None if cls.__repr__ is object.__repr__ else cls.__repr__
        compared = None if cls.__eq__ is object.__eq__ else cls.__eq__
        cls = dataclasses.dataclass(frozen=True, eq=False, repr=False, init=init)(cls)
        names = field_names(cls)
        check_names("static", static, names)
        children = tuple(name for name in names if name not in static)
        fixed = tuple(name for name in names if name in static)
        keys = tuple(jax.tree_util.GetAttrKey(name) for name in children)

        def flatten(self: T) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
            leaves = tuple(getattr(self, name) for name in children)
            return leaves, tuple(getattr(self, name) for name in fixed)

        def flatten_with_keys(self: T) -> tuple[tuple[tuple[Any, Any], ...], tuple[Any, ...]]:
            leaves, settings = flatten(self)
            return tuple(zip(keys, leaves, strict=True)), settings

        def unflatten(settings: tuple[Any, ...], leaves: Any) -> T:
            rebuilt = object.__new__(cls)
            vars(rebuilt).update(zip(children, leaves, strict=True))
            vars(rebuilt).update(zip(fixed, settings, strict=True))
            return rebuilt

        def frozen(self: T, name: str, new: Any = None) -> None:
            # The error that `dataclass` raises does not say what to do instead.
            copy = f"a changed copy, as in `value = value.replace({name}=...)`"
            instead = copy if hasattr(cls, "replace") else f"a new {cls.__name__}"
            message = f"`{name}`: {cls.__name__} is immutable, got an assignment. Make {instead}."
            raise dataclasses.FrozenInstanceError(message)

        def __getstate__(self: T) -> dict[str, Any]:
            # Caches of the host lie next to the fields; a copy or a pickle makes its own.
            return {name: getattr(self, name) for name in names}

        def __repr__(self: T) -> str:
            if shown is not None:
                try:
                    return shown(self)
                except Exception:  # a tree of something other than arrays: shapes, flags, specs
                    pass
            fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
            return f"{cls.__name__}({fields})"

        def __eq__(self: T, other: object) -> Any:
            if compared is not None:
                try:
                    return compared(self, other)
                except Exception:  # a tree of something other than arrays, as above
                    if all(map(_is_array, jax.tree.leaves((self, other)))):
                        raise
            return equal(self, other) if isinstance(other, cls) else NotImplemented

        methods: dict[str, Any] = {"__repr__": __repr__, "__eq__": __eq__, "__hash__": None}
        methods |= {"__getstate__": __getstate__, "__setattr__": frozen, "__delattr__": frozen}
        methods["_compares_itself"] = compared is not None
        for name, method in methods.items():
            setattr(cls, name, method)
        jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
        _register_for_export(cls, list, tuple)
        return cls

    return decorate


def static_value(cls: type[T]) -> type[T]:
    """Makes a dataclass of numbers and flags a pytree without leaves: all of it is structure."""
    jax.tree_util.register_static(cls)
    _register_for_export(cls, dataclasses.asdict, lambda settings: cls(**settings))
    return cls


def _register_for_export(cls: type, write: Callable, read: Callable) -> None:
    """Lets `jax.export` keep programs that take values of a class, by its name."""

    def reject(setting: Any) -> Any:
        raise TypeError(
            f"`serialize`: expected settings of numbers and text, got {type(setting).__name__}. "
            "Rows that are divided over devices belong to those; export with `storage[:]`."
        )

    if "<locals>" not in cls.__qualname__:
        export.register_pytree_node_serialization(
            cls,
            serialized_name=f"{cls.__module__.partition('.')[0]}.{cls.__name__}",
            serialize_auxdata=lambda settings: json.dumps(write(settings), default=reject).encode(),
            deserialize_auxdata=lambda data: read(json.loads(data)),
        )


def set_fields(self: Any, **fields: Any) -> None:
    """Sets fields of a frozen value, for its constructor."""
    vars(self).update(fields)


def replace(self: T, **changes: Any) -> T:
    """A copy of a value with some fields changed; unlike `__init__` it checks no values."""
    names = field_names(type(self))
    check_names("replace", changes, names)
    copy = object.__new__(type(self))
    set_fields(copy, **{name: changes.get(name, getattr(self, name)) for name in names})
    return copy


def equal(a: Any, b: Any) -> bool:
    """Whether two pytrees have the same types, the same static fields, and the same arrays.

    Arrays are the same when dtype, shape and every element are; NaN equals NaN, and 0.0 equals
    -0.0. Where an array lives (NumPy, a memory map, a device) makes no difference. Values of
    classes with an `__eq__` of their own are compared by that.
    """
    if a is b:
        return True

    def compares_itself(node: Any) -> bool:
        return node is not a and node is not b and getattr(node, "_compares_itself", False)

    leaves_a, structure_a = jax.tree.flatten(a, compares_itself)
    leaves_b, structure_b = jax.tree.flatten(b, compares_itself)
    return structure_a == structure_b and all(map(_same, leaves_a, leaves_b))


def _same(a: Any, b: Any) -> bool:
    if a is b:
        return True
    if not (_is_array(a) and _is_array(b)):
        return not _is_array(a) and not _is_array(b) and bool(a == b)
    x, y = on_host(a), on_host(b)
    if x.dtype != y.dtype or x.shape != y.shape:
        return False
    x, y = np.atleast_1d(x, y)
    step = max(1, _COMPARED * len(x) // max(1, x.size))
    blocks = (slice(start, start + step) for start in range(0, len(x), step))
    return all(_same_numbers(x[block], y[block]) for block in blocks)


def _same_numbers(x: np.ndarray, y: np.ndarray) -> bool:
    # Without a look for NaN first, which takes several times as long.
    return np.array_equal(x, y) or np.array_equal(x, y, equal_nan=True)


def _is_array(leaf: Any) -> bool:
    return hasattr(leaf, "__array__")


def field_names(cls: type) -> tuple[str, ...]:
    """The names of the fields of a value's class."""
    return tuple(field.name for field in dataclasses.fields(cls))  # type: ignore[arg-type]


def check_names(argument: str, names: Iterable[str], allowed: Iterable[str]) -> None:
    """Checks that names of fields exist."""
    if unknown := sorted(set(names) - set(allowed)):
        expected, got = ", ".join(allowed), ", ".join(unknown)
        raise TypeError(f"`{argument}`: expected some of {expected}, got {got}.")
