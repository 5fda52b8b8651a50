"""Several processes under `jax.distributed`: each has the answers of one process alone."""

import os
import re
import socket
import subprocess
import sys

import numpy as np
import pytest

import ffjax
from tests import builders
from tests.conftest import ROOT
from tests.functional.search.reference import integers
from tests.process_worker import all_answers

TIMEOUT = 900


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("processes")
    words = ffjax.SimpleVocab([f"w{i}" for i in range(1003)])
    ffjax.Embeddings(ffjax.NdArray(integers(0, 1003, 5)), words).write(path / "tied.fifu")
    ffjax.NdArray(integers(1, 7, 5)).write(path / "queries.fifu")
    builders.embeddings("buckets").write(path / "words.fifu")
    rows = builders.storage(47)
    ffjax.write_fasttext(path / "words.bin", ffjax.Embeddings(rows, builders.vocab("fasttext")))
    plain = ffjax.from_vectors(builders.WORDS, np.asarray(rows)[:10])
    ffjax.save(plain.replace(norms=None), path / "rows.npy")
    ffjax.save(plain, path / "rows.safetensors")
    return path


def run_processes(n, program, *arguments):
    """Runs a program `n` times at once; its first arguments are an address, `n` and a number."""
    try:
        with socket.socket() as probe:
            probe.bind(("localhost", 0))
            address = f"localhost:{probe.getsockname()[1]}"
    except OSError as error:
        pytest.skip(f"needs a port of this machine: {error}")
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *program, address, str(n)]
    started = [
        subprocess.Popen(
            [*command, str(number), *arguments],
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for number in range(n)
    ]
    try:
        outputs = [process.communicate(timeout=TIMEOUT)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    for process, output in zip(started, outputs, strict=True):
        assert process.returncode == 0, output
    return outputs


def check_answers(folder, n):
    run_processes(n, ["-m", "tests.process_worker"], str(folder))
    expected = all_answers(folder, None, thorough=n > 2)
    for number in range(n):
        answers = np.load(folder / f"{n}-{number}.npz")
        assert set(answers) == set(expected)
        for name, answer in expected.items():
            if answer.dtype.kind != "f":
                np.testing.assert_array_equal(answers[name], answer, err_msg=name)
            else:
                np.testing.assert_allclose(answers[name], answer, atol=1e-6, err_msg=name)


def test_two_processes_answer_as_one(folder):
    check_answers(folder, 2)


@pytest.mark.processes
def test_four_processes_answer_as_one(folder, classifiers):
    (folder / "classifier").symlink_to(classifiers / "hs-pruned")
    check_answers(folder, 4)


@pytest.mark.processes
def test_the_script_in_the_documentation(tmp_path):
    page = (ROOT / "docs" / "larger-than-one-machine.md").read_text(encoding="utf8")
    script = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "neighbours.py").write_text(script[1], encoding="utf8")
    ffjax.demo().write(tmp_path / "demo.fifu")
    first, _ = run_processes(2, [str(tmp_path / "neighbours.py")], str(tmp_path / "demo.fifu"))
    assert "21750 of 43500 rows in this process" in first
    nearest = ffjax.demo().most_similar_batch(["berlin"], 3)[0]
    assert " ".join(["berlin", *(result.word for result in nearest)]) in first
