"""Tests ffjax with other releases of Python and JAX, each in a virtual environment of its own.

    python tools/test_versions.py [NAME ...]

A Python that this machine lacks is skipped, or an error if FFJAX_VERSIONS=required.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST = ["jax==0.7.0", "jaxlib==0.7.0", "numpy==2.0.0", "scipy==1.15.0"]
NEWEST = ["--upgrade", "jax", "jaxlib", "numpy"]
# The Python, and what is installed: the newest JAX is the newest that takes this Python.
VERSIONS = {
    "oldest": ("3.11", OLDEST),
    "3.11": ("3.11", NEWEST),
    "3.12": ("3.12", NEWEST),
    "3.13": ("3.13", NEWEST),
}
# What depends on JAX most: tracing, shardings, export, dtypes, values as pytrees.
ONE_DEVICE = [
    "tests/test_smoke.py",
    "tests/test_jax_citizen.py",
    "tests/test_pytrees.py",
    "tests/test_export.py",
    "tests/test_processes.py",
    "tests/functional/test_lookup.py",
    "tests/storage/test_storages.py",
    "tests/strings/test_strings.py",
    "tests/formats/snapshot",
]
EIGHT_DEVICES = ["tests/functional/test_explicit.py", "tests/storage/test_sharded.py"]


def find_python(version: str) -> str | None:
    """A Python of this version that runs: one on the path, or one of pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [shutil.which(f"python{version}"), *pyenv.glob(f"versions/{version}.*/bin/python")]
    # A name on the path may be a shim for nothing.
    check = f"import ensurepip, sys; assert sys.version.startswith('{version}.')"
    for candidate in filter(None, candidates):
        if subprocess.run([candidate, "-c", check], capture_output=True).returncode == 0:
            return str(candidate)
    return None


def test(name: str) -> bool | None:
    """Whether the tests pass, or `None` without the Python."""
    version, requirements = VERSIONS[name]
    python = find_python(version)
    if python is None:
        print(f"versions: {name}: no Python {version}", flush=True)
        return None
    folder = ROOT / ".venv-versions" / name
    ours = str(folder / "bin" / "python")
    if not Path(ours).exists():
        subprocess.run([python, "-m", "venv", folder], check=True)
    install = [ours, "-m", "pip", "install", "--quiet", "--editable", ".[test]", *requirements]
    subprocess.run(install, cwd=ROOT, check=True)
    releases = "sys.version.split()[0], jax.__version__, numpy.__version__"
    code = f"import sys, jax, numpy; print('versions: Python, JAX, NumPy:', {releases})"
    subprocess.run([ours, "-c", code], check=True)
    pytest = [ours, "-m", "pytest", "-q", "--numprocesses", "2", "--dist", "loadfile"]
    runs = (
        ["-m", "not devices and not exhaustive and not processes and not engines", *ONE_DEVICE],
        ["-m", "devices", *EIGHT_DEVICES],
    )
    environment = os.environ | {"FFJAX_PEERS": ""}  # tests beside a peer are not among these
    options = {"cwd": ROOT, "env": environment}
    statuses = [subprocess.run([*pytest, *run], **options).returncode for run in runs]
    return not any(statuses)


def main(names: list[str]) -> int:
    """Tests all versions, or some; 1 if one fails."""
    results = {name: test(name) for name in names or VERSIONS}
    failed = [name for name, passed in results.items() if passed is False]
    missing = [name for name, passed in results.items() if passed is None]
    for what, listed in (("failed", failed), ("without a Python", missing)):
        print(f"versions: {what}: {', '.join(listed) or 'none'}")
    return bool(failed) or bool(missing and os.environ.get("FFJAX_VERSIONS") == "required")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
