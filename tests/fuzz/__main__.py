"""`python -m tests.fuzz NAME --seconds 600`: feeds a reader mutated files.

With atheris installed (`pip install atheris`) the fuzzer is guided by coverage; without it files
are mutated blindly. A file that makes a target fail is kept under `tests/fuzz/findings/NAME`, where
`test_findings.py` runs it from then on.
"""

import argparse
import hashlib
import importlib
import importlib.util
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAMES = sorted(path.stem.removeprefix("fuzz_") for path in HERE.glob("fuzz_*.py"))
_MOST_BYTES = 4096


def keep(name: str, data: bytes) -> Path:
    """Keeps a file that breaks a target."""
    path = HERE / "findings" / name / hashlib.sha256(data).hexdigest()[:16]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def run_guided(name: str, seconds: int) -> None:
    """Fuzzes with atheris, which ends the process."""
    import atheris

    with atheris.instrument_imports(include=["ffjax.formats"]):
        module = importlib.import_module(f"tests.fuzz.fuzz_{name}")

    def once(data: bytes) -> None:
        try:
            module.target(data)
        except Exception:
            print(f"kept as {keep(name, data)}", file=sys.stderr)
            raise

    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
    for i, seed in enumerate(module.SEEDS):
        (folder / f"seed{i}").write_bytes(seed)
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={_MOST_BYTES}",
        "-timeout=20",
        "-rss_limit_mb=3000",
    ]
    options += ["-print_final_stats=1", f"-artifact_prefix={folder}/"]
    atheris.Setup([sys.argv[0], *options, str(folder)], once)
    atheris.Fuzz()


def run_blind(name: str, seconds: int) -> None:
    """Fuzzes by mutating and joining the seeds and what was kept."""
    module = importlib.import_module(f"tests.fuzz.fuzz_{name}")
    target: Callable[[bytes], None] = module.target
    choice, seeds, runs = random.Random(0), list(module.SEEDS), 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        data = mutated(choice, seeds)
        runs += 1
        try:
            target(data)
        except Exception:
            print(f"kept as {keep(name, data)}", file=sys.stderr)
            raise
    print(f"{runs} files, no finding")


def mutated(choice: random.Random, seeds: list[bytes]) -> bytes:
    """A seed with a few bytes changed, cut out, doubled or taken from another seed."""
    data = bytearray(choice.choice(seeds))
    for _ in range(choice.randint(1, 6)):
        at, size = choice.randint(0, len(data)), choice.randint(1, 8)
        kind = choice.randint(0, 4)
        if kind == 0:
            data[at : at + size] = choice.randbytes(size)
        elif kind == 1:
            del data[at : at + size]
        elif kind == 2:
            data[at:at] = data[at : at + size]
        elif kind == 3:
            other = choice.choice(seeds)
            start = choice.randint(0, len(other))
            data[at:at] = other[start : start + 4 * size]
        elif data:
            data[at % len(data)] ^= 1 << choice.randint(0, 7)
    return bytes(data[:_MOST_BYTES])


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description="Feeds a reader mutated files."
    )
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument(
        "--blind", action="store_true", help="mutate blindly even if atheris is installed"
    )
    options = parser.parse_args()
    guided = not options.blind and importlib.util.find_spec("atheris") is not None
    (run_guided if guided else run_blind)(options.name, options.seconds)


if __name__ == "__main__":
    main()
