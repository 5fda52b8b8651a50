"""Small models trained by fastText and floret, the same each time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_TRAIN = """
import importlib, sys
library, method, text, output, settings = sys.argv[1:]
train = getattr(importlib.import_module(library), method)
train(text, thread=1, verbose=0, **eval(settings)).save_model(output)
"""
# With fewer than ten threads the trainers set only the first rows of their matrices, and start from
# whatever is in memory in the others. These settings of the GNU allocator make that 0.0115 in each
# place: they fill what it gives out with bytes 0x3c, and avoid a cache that does not.
SAME_MEMORY = {"GLIBC_TUNABLES": "glibc.malloc.perturb=195:glibc.malloc.tcache_count=0"}


def train(output: Path, text: Path, *, library: str, method: str, **settings: object) -> None:
    """Trains a model in a process of its own and saves it; skips where the library is absent."""
    pytest.importorskip(library)
    arguments = [library, method, str(text), str(output), repr(settings)]
    command = [sys.executable, "-W", "ignore", "-c", _TRAIN, *arguments]
    run = subprocess.run(
        command, env=os.environ | SAME_MEMORY, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
