"""`ffjax._pytree`: registration, rebuilding without constructors, `replace`, `equal`."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ffjax._internal.pytree import equal, pytree, replace


@pytree(static=("name",))
@dataclasses.dataclass(frozen=True, eq=False)
class Node:
    """Counts on its constructor: it refuses everything that is not an array."""

    x: Any
    name: str
    child: Any = None

    def __post_init__(self):
        """Validates and converts, as the library's values do."""
        if not isinstance(self.x, np.ndarray | jax.Array):
            raise TypeError("constructor ran on a leaf that is no array")
        object.__setattr__(self, "x", self.x + 0)


def node(values, name="n", child=None):
    return Node(np.asarray(values, np.float32), name, child)


def test_leaves_are_the_fields_that_are_not_static():
    value = node([1, 2], child=node([3]))
    assert [leaf.tolist() for leaf in jax.tree.leaves(value)] == [[1, 2], [3]]
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_flatten_with_path(value)[0]]
    assert paths == [".x", ".child.x"]
    assert jax.tree.leaves(node([1])) == [node([1]).x]


def test_rebuilding_does_not_run_the_constructor():
    value = node([1, 2])
    names = jax.tree.map(lambda leaf: "sharding", value)
    assert type(names) is Node and names.x == "sharding" and names.name == "n" and names.child is None
    leaves, treedef = jax.tree.flatten(value)
    assert jax.tree.unflatten(treedef, leaves).x is value.x
    with pytest.raises(TypeError, match="constructor ran"):
        Node("sharding", "n")


def test_static_fields_are_part_of_the_compiled_program():
    traces = []

    @jax.jit
    def double(value):
        traces.append(value.name)
        return jax.tree.map(lambda x: x * 2, value)

    assert double(node([1, 2])).x.tolist() == [2, 4]
    double(node([3, 4]))
    double(node([3, 4], name="m"))
    assert traces == ["n", "m"]


def test_vmap_goes_through():
    batch = Node(jnp.arange(6.0).reshape(3, 2), "n")
    assert jax.vmap(lambda value: value.x.sum())(batch).tolist() == [1, 5, 9]


def test_registration_refuses_what_is_not_frozen():
    @dataclasses.dataclass
    class Mutable:
        x: int

    with pytest.raises(TypeError, match="expected a frozen dataclass, got .*Mutable"):
        pytree()(Mutable)
    with pytest.raises(TypeError, match="expected a frozen dataclass, got <class 'int'>"):
        pytree()(int)

    class Inherited(Node):
        pass

    with pytest.raises(TypeError, match="expected a frozen dataclass, got .*Inherited"):
        pytree()(Inherited)


def test_registration_names_unknown_static_fields():
    @dataclasses.dataclass(frozen=True)
    class Small:
        x: int

    with pytest.raises(TypeError, match=r"`static` expected fields of Small \(`x`\), got `y`"):
        pytree(static=("y",))(Small)


def test_replace_keeps_the_rest_and_runs_no_constructor():
    value = node([1, 2])
    changed = replace(value, x="anything", name="m")
    assert (changed.x, changed.name, changed.child) == ("anything", "m", None)
    assert value.name == "n"
    assert replace(value).x is value.x


def test_replace_names_unknown_fields():
    with pytest.raises(TypeError, match=r"fields of Node \(`x`, `name`, `child`\), got `w`, `y`; name only"):
        replace(node([1]), y=1, w=2)
    with pytest.raises(TypeError, match="`value` expected an instance of a dataclass, got 3"):
        replace(3, x=1)
    with pytest.raises(TypeError, match="`value` expected an instance of a dataclass, got <class"):
        replace(Node, x=1)


def test_equal():
    value = node([1, np.nan], child=node([3]))
    assert equal(value, node([1, np.nan], child=node([3])))
    assert equal(value, jax.tree.map(jnp.asarray, value))
    assert not equal(value, node([1, np.nan], child=node([4])))
    assert not equal(value, node([1, 0], child=node([3])))
    assert not equal(value, node([1, np.nan], name="m", child=node([3])))
    assert not equal(value, node([1, np.nan]))
    assert not equal(node([1]), node([1, 1]))
    assert not equal(node([1]), Node(np.array([1], np.float64), "n"))
    assert not equal(node([]), Node(np.zeros((0, 2), np.float32), "n"))
    assert not equal(node([1]), 1)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "int8", "bool", "uint8"])
def test_equal_holds_for_small_dtypes(dtype):
    x = np.array([0, 1, 1]).astype(jnp.dtype(dtype))
    assert equal(x, x.copy())
    assert not equal(x, x[::-1])


def test_equal_compares_large_arrays_in_blocks(monkeypatch):
    monkeypatch.setattr("ffjax._internal.pytree._BLOCK", 8)
    x = np.arange(35.0).reshape(7, 5)
    x[6, 4] = np.nan
    assert equal(x, x.copy())
    for row in range(7):
        y = x.copy()
        y[row, 0] = -1
        assert not equal(x, y)
