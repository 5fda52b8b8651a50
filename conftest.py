"""Settings of every test and doctest: devices, no silent promotion, a budget for compiling.

This file lies at the root, not in `tests/`, so that the doctests of one module
(`pytest ffjax/kernels`) run under it too.
"""

import ctypes
import gc
import os
import signal
from importlib.util import find_spec
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # a GPU run sets it

import jax
import pytest
from hypothesis import settings

import tests.annotations  # noqa: F401 (the option of jaxtyping in pyproject.toml names it)
from tests import compile_budget

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# A deadline would measure compilation. CI draws the same examples every time; elsewhere they vary.
settings.register_profile("explore", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "explore")


# A shell starts background jobs with Ctrl-C ignored, and programs that tests start inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


# Modules of classes of an extra, which doctests would import.
collect_ignore = [
    f"ffjax/layers/{module}.py"
    for module, package in (("equinox", "equinox"), ("nnx", "flax"))
    if find_spec(package) is None
]


def pytest_configure(config: pytest.Config) -> None:
    """Simulates eight devices, or one if the run leaves out the tests about devices."""
    needs_one = "not devices" in config.option.markexpr
    jax.config.update("jax_num_cpu_devices", 1 if needs_one else 8)
    compile_budget.register(config)
    # Of 1,150 programs that take 0.2 s or more, a run compiles 27 twice: storing all costs more.
    # This also leaves the cache of the user alone, where the command stores programs.
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
        jax.config.update("jax_enable_compilation_cache", False)


def pytest_collection_finish() -> None:
    """Takes all that was imported out of later garbage collections, and has fewer of them."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


# Compiled programs stay in memory until they are cleared. Clearing has a price, since later tests
# compile shared programs again, so it waits until a process holds 4.5 GiB: the two workers of
# `make test` then leave enough of a machine of 16 GB for the largest tests.
_MAX_RESIDENT_BYTES = 9 * (1 << 30) // 2


def pytest_runtest_teardown() -> None:
    """Clears compiled programs when the process has grown large, and returns their memory."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return
    resident_pages = int(statm.read_text().split()[1])
    if resident_pages * os.sysconf("SC_PAGE_SIZE") > _MAX_RESIDENT_BYTES:
        jax.clear_caches()
        gc.collect()
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc keeps freed memory
        if trim is not None:
            trim(0)
