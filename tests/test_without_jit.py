"""Device functions under `jax.disable_jit`, where loops run in Python."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ffjax
from tests.builders import VOCABS, cases, embeddings


@pytest.mark.parametrize("kind", cases(["buckets"], exhaustive=VOCABS))
def test_embed_and_encode(kind):
    emb, strings = embeddings(kind), ffjax.pack(["Paris", "Parisian"], count=2)
    expected, found = ffjax.embed(emb, strings)
    with jax.disable_jit():
        vectors, is_found = ffjax.embed(emb, strings)
        rows = ffjax.encode(emb.vocab, strings)
        np.testing.assert_allclose(ffjax.lookup(emb, rows), expected, atol=1e-5)
        assert emb.storage.gather_sum(jnp.zeros((2, 0), jnp.int32)).shape == (2, 6)
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    assert is_found.tolist() == found.tolist()
