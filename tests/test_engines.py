"""The recipes of `docs/engines.md`, run by the real engines: the vectors of one process.

`FFJAX_ENGINE_LINES` is how many lines they read, a million by default.
"""

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

import ffjax
from tests.conftest import ROOT

pytestmark = pytest.mark.engines
LINES, FILES, DIMS = int(os.environ.get("FFJAX_ENGINE_LINES", "1000000")), 8, 8
MODULES = {
    "Ray Data": "ray",
    "Spark": "pyspark",
    "Dask": "dask",
    "Hugging Face datasets": "datasets",
    "datatrove": "datatrove",
}
# The same stage, whose first batch ends the worker.
KILLED = """
import os, signal
import ffjax

class TextStage(ffjax.TextStage):
    def __call__(self, batch):
        try:
            os.close(os.open(os.environ["FFJAX_KILLED"], os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return super().__call__(batch)
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Lines in Parquet files, some of them null, and embeddings of their words."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    folder, random = tmp_path_factory.mktemp("engines"), np.random.default_rng(0)
    words = np.array([f"word{i}" for i in range(2000)])
    rows = random.standard_normal((len(words), DIMS), np.float32)
    ffjax.from_vectors(words.tolist(), rows).write(folder / "words.fifu")
    (folder / "lines").mkdir()
    for i, ids in enumerate(np.array_split(np.arange(LINES), FILES)):
        chosen = words[np.minimum(random.zipf(1.3, (len(ids), 9)), len(words)) - 1]
        texts = [" ".join(row) for row in chosen.tolist()]
        texts[::100] = [None] * len(texts[::100])
        table = pa.table({"id": ids, "text": pa.array(texts, pa.string())})
        pq.write_table(table, folder / "lines" / f"{i}.parquet")
    return folder


@pytest.fixture(scope="module")
def run(folder):
    """Runs a recipe and compares what it wrote."""
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    lines = ds.dataset(folder / "lines").to_table().sort_by("id")
    answers, _ = ffjax.embed_text(ffjax.load(folder / "words.fifu"), lines["text"])

    def run(section, module="ffjax"):
        if find_spec(MODULES[section]) is None:
            pytest.skip(f"needs {MODULES[section]}")
        if section == "Spark" and shutil.which("java") is None:
            pytest.skip("needs Java")
        page = (ROOT / "docs" / "engines.md").read_text(encoding="utf8")
        (script,) = re.findall(rf"## {section}\n\n```python\n(.*?)```", page, re.DOTALL)
        script = script.replace("/data", str(folder)).replace("from ffjax", f"from {module}")
        (folder / "killed.py").write_text(KILLED)
        (folder / "recipe.py").write_text(script)
        for name in ("vectors", "logs"):
            shutil.rmtree(folder / name, ignore_errors=True)
        environment = os.environ | {
            "PYTHONPATH": f"{ROOT}:{folder}",
            "JAX_PLATFORMS": "cpu",
            "JAX_COMPILATION_CACHE_DIR": str(folder / "programs"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
            "FFJAX_KILLED": str(folder / "killed"),
            "HF_HOME": str(folder / "huggingface"),
            "HF_HUB_OFFLINE": "1",
            "RAY_USAGE_STATS_ENABLED": "0",
            "PYSPARK_PYTHON": sys.executable,
            "PYSPARK_DRIVER_PYTHON": sys.executable,
        }
        process = subprocess.run(
            [sys.executable, folder / "recipe.py"],
            env=environment,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=1800,
        )
        assert process.returncode == 0, process.stdout[-9000:]
        written = ds.dataset(folder / "vectors", exclude_invalid_files=True).to_table()
        written = written.sort_by("id")
        texts, expected = lines, answers
        if section == "datatrove":  # leaves empty ones out
            is_text = pc.is_valid(lines["text"])
            texts, expected = lines.filter(is_text), answers[is_text]
        assert written["id"].equals(texts["id"]) and written["text"].equals(texts["text"])
        vectors = written["vector"].combine_chunks().flatten().to_numpy().reshape(-1, DIMS)
        np.testing.assert_allclose(vectors, expected, atol=1e-6)

    return run


@pytest.mark.parametrize("section", MODULES)
def test_the_recipe_writes_what_one_process_answers(run, section):
    run(section)


@pytest.mark.parametrize("section", ["Ray Data", "Spark"])
def test_the_batches_of_a_killed_worker_are_computed_again(run, folder, section):
    (folder / "killed").unlink(missing_ok=True)
    run(section, "killed")
    assert (folder / "killed").exists()
