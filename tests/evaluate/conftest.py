"""Embeddings inside the package, for gensim and for us."""

import numpy as np
import pytest

from tests.builders import plain_demo


@pytest.fixture(scope="session")
def demo():
    """Words of the embeddings inside the package."""
    return plain_demo()


@pytest.fixture(scope="session")
def as_gensim():
    """Makes gensim's vectors of embeddings."""
    models = pytest.importorskip("gensim.models")

    def make(embeddings):
        vectors = models.KeyedVectors(embeddings.dims)
        vectors.add_vectors(
            embeddings.vocab.words, np.asarray(embeddings.storage)[embeddings.vocab.host_rows]
        )
        return vectors

    return make


@pytest.fixture(scope="session")
def datapath():
    """Finds files that gensim brings."""
    return pytest.importorskip("gensim.test.utils").datapath


@pytest.fixture
def write(tmp_path):
    """Writes a file and returns its path."""

    def make(text):
        path = tmp_path / "questions.txt"
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        return path

    return make
