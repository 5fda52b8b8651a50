"""Running the command: in this process, or as its users do."""

import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.resources import files
from typing import IO, NamedTuple

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


@pytest.fixture
def peer(monkeypatch, capfd, tmp_path_factory):
    """Runs one of finalfusion-python's scripts: `peer("similar", path, stdin="tea\\n")`."""
    pytest.importorskip("finalfusion")
    source = tmp_path_factory.mktemp("streams") / "stdin"

    def run(script: str, *arguments: object, stdin: str = "") -> Result:
        source.write_text(stdin, encoding="utf-8")
        module = import_module(f"finalfusion.scripts.{script}")
        with monkeypatch.context() as patch, open(source) as stream, file_descriptor(0, stream):
            patch.setattr(sys, "argv", [f"ffp-{script}", *map(str, arguments)])
            capfd.readouterr()
            try:
                status = module.main()
            except SystemExit as end:
                status = end.code
            except Exception:  # as Python ends then
                traceback.print_exc()
                status = 1
        return Result(status or 0, *capfd.readouterr())

    return run


@contextmanager
def file_descriptor(number: int, stream: IO) -> Iterator[None]:
    """Puts a stream under the number of a file descriptor, for code that opens that."""
    before = os.dup(number)
    os.dup2(stream.fileno(), number)
    try:
        yield
    finally:
        os.dup2(before, number)
        os.close(before)


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
