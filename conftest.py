"""What every test and doctest runs under: simulated devices, and no silent promotion of dtypes or ranks.

It lies at the root, not in `tests/`, so that the doctests of one module (`pytest ffjax/kernels`) run under it too.
"""

import ctypes
import gc
import os
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # a GPU run sets it

import jax  # noqa: E402
import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

from tests import compile_budget  # noqa: E402

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# A deadline would measure compilation. In CI the examples are the same every time; a developer's machine explores.
settings.register_profile("explore", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "explore")


def pytest_configure(config: pytest.Config) -> None:
    """Simulates eight devices, unless no test of this run needs more than one; counts compiled programs."""
    needs_one = "not devices" in config.option.markexpr
    jax.config.update("jax_num_cpu_devices", 1 if needs_one else 8)
    compile_budget.register(config)


# Compiled programs stay in memory until they are cleared. Clearing has a price, since later tests
# compile shared programs again, so it waits until a process holds 4.5 GiB: the two workers of
# `make test` then leave enough of a machine of 16 GB for the largest tests.
_MAX_RESIDENT_BYTES = 9 * (1 << 30) // 2


def pytest_runtest_teardown() -> None:
    """Clears compiled programs when the process has grown large, and returns their memory."""
    statm = Path("/proc/self/statm")
    if statm.exists() and int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") > _MAX_RESIDENT_BYTES:
        jax.clear_caches()
        gc.collect()
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc keeps freed memory
        if trim is not None:
            trim(0)
