"""One pass through the library: load, look up, search, transform, write and read again."""

import jax.numpy as jnp
import numpy as np
import pytest

import ffjax
from tests.builders import embeddings


def test_known_and_unknown_words_have_vectors() -> None:
    emb = ffjax.demo()
    vectors, found = ffjax.embed(emb, ffjax.pack(["berlin", "berlinish", "12345"], count=4))
    assert found.tolist() == [True, True, False, False]
    np.testing.assert_allclose(vectors[0], emb["berlin"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(vectors[1], emb["berlinish"], rtol=1e-5, atol=1e-6)
    batch, found = emb.embedding_batch(["berlin", "berlinish", "12345"])
    np.testing.assert_allclose(batch, vectors[:3], rtol=1e-5, atol=1e-6)
    text, counts = ffjax.embed_text(emb, b"berlin berlinish\n12345\n")[:2]
    assert text.shape == (2, emb.dims) and counts.tolist() == [2, 0]


def test_neighbours_agree_with_a_product() -> None:
    emb = ffjax.demo()
    best = ffjax.top_k(emb, jnp.asarray(emb["berlin"]), k=3)
    assert [emb.vocab.words[row] for row in best.rows.tolist()][1:] == ["vienna", "munich"]
    assert [result.word for result in emb.word_similarity("berlin", k=2)] == ["vienna", "munich"]


@pytest.mark.parametrize("name", ["x.fifu", "x.bin", "x.vec", "x.msgpack"])
def test_files_come_back(tmp_path, name: str) -> None:
    emb = embeddings("fasttext") if name == "x.bin" else embeddings("simple")
    ffjax.save(emb, tmp_path / name, format="fasttext" if name == "x.bin" else None)
    back = ffjax.load(tmp_path / name)
    assert back.vocab.words == emb.vocab.words
    one, two = back["teapot"], emb["teapot"]  # fastText files hold no lengths apart from the rows
    assert one @ two / np.linalg.norm(one) / np.linalg.norm(two) > 0.99999
