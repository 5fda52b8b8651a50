"""What every test and doctest runs under: the CPU as eight devices, and no silent promotion of dtypes or ranks.

It stands at the root, and not in `tests/`, so that the doctests of one module (`pytest ffjax/ops`) run under it too.
"""

import ctypes
import gc
import os
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # a GPU run sets it
_FLAG = "--xla_force_host_platform_device_count"
if _FLAG not in os.environ.get("XLA_FLAGS", ""):  # read when JAX starts its backend, so before anything else
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_FLAG}=8".strip()

import jax  # noqa: E402
from hypothesis import settings  # noqa: E402

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# A deadline would measure compilation. In CI the examples are the same every time; a developer's machine explores.
settings.register_profile("explore", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "explore")

# Compiled programs stay until they are cleared, 30 MB and more for each of `embed`, which adds up in a process that
# runs many modules. Clearing is not free, since what later tests share is compiled again, so it waits until a process
# holds 4.5 GiB: the two workers of `make test` then leave a machine of 16 GB some for the largest tests.
_MOST_RESIDENT = 9 * (1 << 30) // 2


def pytest_runtest_teardown() -> None:
    """Forgets compiled programs where a process has grown large, and hands their memory back."""
    statm = Path("/proc/self/statm")
    if statm.exists() and int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") > _MOST_RESIDENT:
        jax.clear_caches()
        gc.collect()
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc alone keeps what was freed, and has this
        if trim is not None:
            trim(0)
