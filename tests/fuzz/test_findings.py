"""Files that the fuzzers found, and each target on its seeds and a few mutations of them."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
NAMES = sorted(path.stem.removeprefix("fuzz_") for path in HERE.glob("fuzz_*.py"))

# In a process of its own, which a target may end.
_SCRIPT = """
import importlib, json, random, sys, traceback
from tests.fuzz.__main__ import HERE, mutated

def inputs(name, seeds):
    yield from seeds
    for path in sorted((HERE / "findings" / name).glob("*")):
        yield path.read_bytes()
    choice = random.Random(1)
    for _ in range(500):
        yield mutated(choice, seeds)

def error(name):
    module = importlib.import_module(f"tests.fuzz.fuzz_{name}")
    for data in inputs(name, module.SEEDS):
        try:
            module.target(data)
        except Exception:
            return f"{data}\\n{traceback.format_exc()}"
    return ""

for name in sys.argv[1:]:
    print(json.dumps([name, error(name)]), flush=True)
"""


@pytest.fixture(scope="module")
def errors(root: Path) -> dict[str, str]:
    """The error of each target, empty if it met none."""
    names = [name for name in NAMES if name != "streams" or importlib.util.find_spec("zstandard")]
    command = [sys.executable, "-W", "error", "-c", _SCRIPT, *names]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=600)
    no_answer = f"no answer, status {run.returncode}: {run.stderr}"
    return dict.fromkeys(names, no_answer) | dict(map(json.loads, run.stdout.splitlines()))


@pytest.mark.parametrize("name", NAMES)
def test_target(name: str, errors: dict[str, str]) -> None:
    if name not in errors:
        pytest.skip("needs the extra `zstd`")
    assert errors[name] == ""
