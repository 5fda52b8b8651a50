"""Orbax checkpoints of embeddings, alone and in a training's state, as the documentation shows."""

from pathlib import Path

import jax
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import ffjax
from tests import builders
from tests.formats.samples import quantized, simple

ocp = pytest.importorskip("orbax.checkpoint")


def save(folder: Path, tree: object) -> None:
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(folder, tree)


def restore(folder: Path, tree: object) -> object:
    shapes = jax.tree.map(ocp.utils.to_shape_dtype_struct, tree)
    with ocp.StandardCheckpointer() as checkpointer:
        return checkpointer.restore(folder, shapes)


def test_embeddings_come_back(tmp_path: Path) -> None:
    metadata = ffjax.Metadata({"corpus": "news"})
    values = {
        "plain": simple(norms=ffjax.Norms(np.ones(2, np.float32)), metadata=metadata),
        "quantized": quantized(),
        "floret": builders.embeddings("floret", norms=False),
        "fasttext": builders.embeddings("fasttext"),
        "step": jax.device_put(np.int32(3)),
    }
    save(tmp_path / "state", values)
    restored = restore(tmp_path / "state", values)
    assert restored == values
    assert restored["plain"].vocab.words == ["one", "two"]
    assert restored["plain"].metadata["corpus"] == "news"


def test_embeddings_without_words_are_an_error_of_orbax(tmp_path: Path) -> None:
    rows = ffjax.NdArray(np.zeros((0, 3), np.float32))
    with pytest.raises(ValueError, match="zero size"):
        save(tmp_path / "empty", ffjax.Embeddings(rows, ffjax.SimpleVocab([])))


@pytest.mark.devices
def test_rows_on_several_devices(tmp_path: Path) -> None:
    words = [f"w{i}" for i in range(16)]
    emb = ffjax.from_vectors(words, np.random.default_rng(0).standard_normal((16, 4)))
    sharding = NamedSharding(Mesh(np.array(jax.devices()), ("rows",)), PartitionSpec("rows"))
    divided = emb.replace(storage=ffjax.ShardedArray(emb.storage, sharding))
    save(tmp_path / "divided", divided)
    restored = restore(tmp_path / "divided", divided)
    assert isinstance(restored.storage, ffjax.ShardedArray) and restored == divided
    arrays = [x for x in jax.tree.leaves(restored.storage) if x.shape == (16, 4)]
    assert arrays and all(x.sharding == sharding for x in arrays)
    np.testing.assert_array_equal(restored["w3"], emb["w3"])
