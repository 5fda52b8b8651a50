"""The machine: its description, its memory bandwidth, and the memory of this process."""

import gc
import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

_STATUS = Path("/proc/self/status")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe() -> str:
    """One line that says what the figures were measured on."""
    device = jax.devices()[0]
    fields = [
        f"{cores()} cores of {_cpu()}",
        f"Python {platform.python_version()}",
        f"jax {jax.__version__}",
    ]
    if device.platform != "cpu":
        fields.insert(0, str(device.device_kind))
    return ", ".join(fields)


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def bandwidth(size: int = 1 << 28, repeat: int = 5) -> float:
    """Bytes per second, read plus written, of the best of several copies of `size` bytes."""
    device = jax.devices()[0]
    if device.platform == "cpu":
        source, target = np.ones(size // 4, np.float32), np.zeros(size // 4, np.float32)
        slices = list(
            zip(np.array_split(source, cores()), np.array_split(target, cores()), strict=True)
        )
        with ThreadPoolExecutor(cores()) as pool:
            times = [
                _seconds(lambda: list(pool.map(lambda p: np.copyto(p[1], p[0]), slices)))
                for _ in range(repeat)
            ]
    else:
        array = jnp.ones(size // 4, jnp.float32)
        copy = jax.jit(lambda x: x + 1)
        times = [_seconds(lambda: jax.block_until_ready(copy(array))) for _ in range(repeat + 1)][
            1:
        ]
    return 2 * size / min(times)


def write_to_memory(size: int) -> None:
    """Writes to `size` bytes and frees them, so that the next allocation costs no page faults."""
    np.empty(size, np.uint8).fill(1)


def _seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def peak_and_resident(call: Callable[[], Any]) -> tuple[int, int]:
    """Bytes of resident memory that `call` adds: at the peak, and afterwards with its result alive.

    On Linux the peak is the kernel's high-water mark, reset before the call. Elsewhere the mark
    cannot be reset: both numbers are then its increase.
    """
    jax.block_until_ready(jnp.zeros(1))  # JAX starts before the measurement
    gc.collect()
    before = _resident()
    if before is None:
        start = _high_water()
        result = jax.block_until_ready(call())
        grown = _high_water() - start
        del result
        return grown, grown
    reset = _reset_high_water()
    result = jax.block_until_ready(call())
    peak = _status("VmHWM") if reset else _high_water()
    gc.collect()
    after = _resident()
    del result
    assert peak is not None and after is not None  # the same file gave `before`
    return max(0, peak - before), max(0, after - before)


def _resident() -> int | None:
    return _status("VmRSS")


def _status(field: str) -> int | None:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    return None


def _reset_high_water() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _high_water() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    print(describe())
