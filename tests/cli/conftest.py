"""Running the command: in this process, or as its users do."""

import subprocess
import sys
from importlib.resources import files
from typing import NamedTuple

import numpy as np
import pytest

import ffjax
from ffjax.cli import main
from tests.builders import plain_demo

WORDS = ["tea", "teapot", "coffee", "coffeepot", "pot", "Kaffee", "кофе", "咖啡", "naïve", "a b"]


class Result(NamedTuple):
    """The outcome of a command."""

    status: int
    out: str
    err: str

    @property
    def rows(self) -> list[list[str]]:
        """The fields of each line of output."""
        return [line.split("\t") for line in self.out.splitlines()]


@pytest.fixture
def ff(monkeypatch, capfd, tmp_path_factory):
    """Runs the command in this process: `ff("similar", path, "tea", stdin="")`."""

    source = tmp_path_factory.mktemp("streams") / "stdin"

    def run(*arguments: object, stdin: str | bytes = "") -> Result:
        source.write_bytes(stdin.encode() if isinstance(stdin, str) else stdin)
        with monkeypatch.context() as patch, open(source, encoding="utf-8") as stream:
            patch.setattr(sys, "stdin", stream)
            capfd.readouterr()
            status = main([str(argument) for argument in arguments])
        return Result(status, *capfd.readouterr())

    return run


@pytest.fixture
def pipe(ff, monkeypatch, tmp_path_factory):
    """As `ff`, with bytes on standard output, which is a file as in `ffjax ... > file`."""

    target = tmp_path_factory.mktemp("streams") / "stdout"

    def run(*arguments: object, stdin: bytes = b"") -> tuple[int, bytes, str]:
        with monkeypatch.context() as patch, open(target, "w", encoding="utf-8") as stream:
            patch.setattr(sys, "stdout", stream)
            status, _, err = ff(*arguments, stdin=stdin)
        return status, target.read_bytes(), err

    return run


@pytest.fixture(scope="session")
def shell():
    """Runs the command in a process of its own, with bytes on standard input."""

    def run(*arguments: object, stdin: bytes = b"", **settings) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "ffjax", *map(str, arguments)]
        return subprocess.run(command, input=stdin, capture_output=True, timeout=120, **settings)

    return run


@pytest.fixture(scope="session")
def peer():
    """Runs one of finalfusion-python's scripts: `peer("similar", path, stdin="tea\\n")`."""
    pytest.importorskip("finalfusion")

    def run(script: str, *arguments: object, stdin: str = "") -> Result:
        command = [sys.executable, "-m", f"finalfusion.scripts.{script}", *map(str, arguments)]
        result = subprocess.run(
            command, input=stdin, capture_output=True, text=True, encoding="utf-8", timeout=120
        )
        return Result(result.returncode, result.stdout, result.stderr)

    return run


@pytest.fixture(scope="session")
def demo_file():
    """The embeddings inside the package."""
    return files("ffjax") / "data" / "demo.fifu"


@pytest.fixture(scope="session")
def plain_file(tmp_path_factory):
    """Words of the demo embeddings with plain rows, which the peer's scripts can search."""
    path = tmp_path_factory.mktemp("plain") / "plain.fifu"
    plain_demo().write(path)
    return path


def unit(rows: int, dims: int = 12, seed: int = 3) -> np.ndarray:
    """Random rows of unit length."""
    matrix = np.random.default_rng(seed).standard_normal((rows, dims))
    return (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """Files of a few words, by kind of vocabulary: `simple`, `buckets`, `fasttext`, `explicit`."""
    folder = tmp_path_factory.mktemp("small")
    buckets = ffjax.FinalfusionBucketVocab(WORDS, ffjax.FinalfusionHashIndexer(6, 3, 5))
    vocabs = {
        "simple": ffjax.SimpleVocab(WORDS),
        "buckets": buckets,
        "fasttext": ffjax.FastTextVocab(WORDS, ffjax.FastTextIndexer(50, 3, 5)),
        "explicit": buckets.to_explicit(),
    }
    norms = ffjax.Norms(np.linspace(1, 2, len(WORDS), dtype=np.float32))
    metadata = ffjax.Metadata.from_toml('corpus = "kitchen" # small\n')
    paths = {}
    for kind, vocab in vocabs.items():
        paths[kind] = folder / f"{kind}.fifu"
        ffjax.Embeddings(ffjax.NdArray(unit(vocab.upper_bound)), vocab, norms, metadata).write(
            paths[kind]
        )
    return paths
