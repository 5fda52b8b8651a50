"""Values: registration, rebuilding without constructors, `replace`, `equal`."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ffjax
from ffjax._internal.pytree import equal, replace, set_fields, value


@value(static=("name",))
class Node:
    """Its constructor accepts only arrays."""

    x: Any
    name: str
    child: Any = None

    def __post_init__(self):
        """Validates and converts, as the library's values do."""
        if not isinstance(self.x, np.ndarray | jax.Array):
            raise TypeError("constructor ran on a leaf that is no array")
        set_fields(self, x=self.x + 0)


def node(values, name="n", child=None):
    return Node(np.asarray(values, np.float32), name, child)


def test_leaves_are_the_fields_that_are_not_static():
    tree = node([1, 2], child=node([3]))
    assert [leaf.tolist() for leaf in jax.tree.leaves(tree)] == [[1, 2], [3]]
    paths = [
        jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_flatten_with_path(tree)[0]
    ]
    assert paths == [".x", ".child.x"]
    assert jax.tree.leaves(node([1])) == [node([1]).x]


def test_rebuilding_does_not_run_the_constructor():
    value = node([1, 2])
    names = jax.tree.map(lambda leaf: "sharding", value)
    assert (
        type(names) is Node and names.x == "sharding" and names.name == "n" and names.child is None
    )
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


def test_values_compare_by_their_arrays_and_have_no_hash():
    assert node([1, np.nan]) == node([1, np.nan])
    assert node([1]) != node([2])
    assert node([1]) != 1
    with pytest.raises(TypeError, match="unhashable"):
        hash(node([1]))


def test_values_cannot_be_changed():
    with pytest.raises(AttributeError, match="`x`: Node is immutable.* Make a new Node.$"):
        node([1]).x = 2
    with pytest.raises(AttributeError, match="`x`: Node is immutable"):
        del node([1]).x
    with pytest.raises(AttributeError, match=r"`storage`: Embeddings is.*value.replace\(storage="):
        ffjax.demo().storage = None


def test_a_repr_shows_leaves_of_any_kind():
    assert repr(node([1, 2])) == "Node(x=array([1., 2.], dtype=float32), name='n', child=None)"
    assert repr(jax.tree.map(lambda _: None, node([1]))) == "Node(x=None, name='n', child=None)"

    @value()
    class Measured:
        x: Any

        def __repr__(self):
            return f"Measured({len(self.x)})"

    assert repr(Measured([1, 2])) == "Measured(2)"
    assert repr(Measured(3)) == "Measured(x=3)"


def test_a_class_may_compare_in_its_own_way():
    class Base:
        def __eq__(self, other):
            return "compared"

    @value()
    class Derived(Base):
        x: Any

    assert (Derived(1) == 2) == "compared"


def test_registration_names_unknown_static_fields():
    with pytest.raises(TypeError, match="`static`: expected some of x, got y"):

        @value(static=("y",))
        class Small:
            x: int


def test_replace_keeps_the_rest_and_runs_no_constructor():
    value = node([1, 2])
    changed = replace(value, x="anything", name="m")
    assert (changed.x, changed.name, changed.child) == ("anything", "m", None)
    assert value.name == "n"
    assert replace(value).x is value.x


def test_replace_names_unknown_fields():
    message = "expected some of x, name, child, got w, y"
    with pytest.raises(TypeError, match=message):
        replace(node([1]), y=1, w=2)


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
    monkeypatch.setattr("ffjax._internal.pytree._COMPARED", 8)
    x = np.arange(35.0).reshape(7, 5)
    x[6, 4] = np.nan
    assert equal(x, x.copy())
    for row in range(7):
        y = x.copy()
        y[row, 0] = -1
        assert not equal(x, y)
