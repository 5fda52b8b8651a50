"""What the tests of odd arguments share."""

import numpy as np
import pytest

import ffjax

STRINGS = ffjax.pack(["tea", "coffee"])
QUERIES = np.ones((2, 100), np.float32)


@pytest.fixture(scope="module")
def emb():
    return ffjax.demo()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    (folder / "pairs").write_text("tea\tcoffee\t9\ntea\tbread\t5\n")
    (folder / "questions").write_text(": x\nman king woman queen\n")
    return folder
