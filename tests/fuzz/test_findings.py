"""Files that the fuzzers found, and each target on its seeds and a few mutations of them."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
NAMES = sorted(path.stem.removeprefix("fuzz_") for path in HERE.glob("fuzz_*.py"))

# In a process of its own: targets make blocks small, which would slow down what runs after them.
_SCRIPT = """
import importlib, random, sys
from pathlib import Path
from tests.fuzz.__main__ import HERE, mutated
name = sys.argv[1]
module = importlib.import_module(f"tests.fuzz.fuzz_{name}")
found = sorted((HERE / "findings" / name).glob("*"))
for data in [*module.SEEDS, *(path.read_bytes() for path in found)]:
    module.target(data)
choice = random.Random(1)
for _ in range(500):
    data = mutated(choice, module.SEEDS)
    try:
        module.target(data)
    except Exception:
        print(data)
        raise
"""


@pytest.mark.parametrize("name", NAMES)
def test_target(name: str, root: Path) -> None:
    if name == "streams" and importlib.util.find_spec("zstandard") is None:
        pytest.skip("needs the extra `zstd`")
    command = [sys.executable, "-W", "error", "-c", _SCRIPT, name]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
