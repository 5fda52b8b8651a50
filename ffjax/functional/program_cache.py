"""JAX's compilation cache in the user's cache folder: programs outlive the process."""

import hashlib
import os
import platform
import sys
from importlib.metadata import version
from itertools import takewhile
from pathlib import Path

import jax
from jax.experimental.compilation_cache import compilation_cache

# Programs that compile faster are not kept: reading them back would gain nothing.
_LEAST_SECONDS = 0.2
_CPUINFO = Path("/proc/cpuinfo")


def cache_programs(path: str | os.PathLike[str] | None = None) -> Path | None:
    """Keeps compiled programs on disk, so that other processes need not compile them again.

    Call this before the first computation. It sets up JAX's compilation cache for the process: all
    programs that take 0.2 s or longer to compile are kept, those of other libraries too. Later
    processes still trace each program, which takes a quarter of the time. The folder has no size
    limit and can be removed at any time.

    Programs belong to one release of jaxlib and one model of CPU, hence the name of the default
    folder. On some Intel servers JAX never finds its own entries
    (https://github.com/jax-ml/jax/issues/38445); then nothing is gained, and nothing breaks.

    Args:
        path: the folder. JAX runs the code that it finds there, so nobody else should be able to
            write to it. The default is a folder that only the user can enter, below
            `$XDG_CACHE_HOME/ffjax` or `~/.cache/ffjax` (macOS: `~/Library/Caches/ffjax`, Windows:
            `%LOCALAPPDATA%/ffjax`), unless JAX already has one, for example from the environment
            variable `JAX_COMPILATION_CACHE_DIR`.

    Returns:
        The folder, or `None` if the environment variable `FFJAX_CACHE` is `off` and there is no
        `path`: then nothing changes.

    Raises:
        OSError: if the folder cannot be made, or belongs to somebody else.
        ValueError: if `FFJAX_CACHE` is set to anything but `off`.

    Examples:
        >>> import os
        >>> os.environ["FFJAX_CACHE"] = "off"
        >>> cache_programs() is None
        True
    """
    if path is None:
        choice = os.environ.get("FFJAX_CACHE", "")
        if choice.lower() == "off":
            return None
        if choice:
            raise ValueError(
                f"the environment variable FFJAX_CACHE: expected off, got {choice!r}. "
                "For another folder, set JAX_COMPILATION_CACHE_DIR."
            )
        if chosen := jax.config.jax_compilation_cache_dir:  # type: ignore[attr-defined]
            return Path(chosen)
    folder = _user_folder() / "programs" / _machine() if path is None else Path(path)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path is None:
        folder.chmod(0o700)  # fails if the folder belongs to somebody else
    jax.config.update("jax_compilation_cache_dir", os.fspath(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _LEAST_SECONDS)
    compilation_cache.reset_cache()  # JAX looks at its settings once, with the first program
    return folder


def _user_folder() -> Path:
    home = Path.home()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or home / ".cache"
    return Path(base) / "ffjax"


def _machine() -> str:
    """The release of jaxlib and a hash of the CPU, whose features JAX's own keys leave out."""
    cpu = [platform.machine(), platform.processor()]
    if _CPUINFO.is_file():
        with _CPUINFO.open(encoding="utf8") as lines:
            first_core = takewhile(str.strip, lines)
            cpu += [line for line in first_core if line.startswith(("model name", "flags"))]
    digest = hashlib.sha256("\n".join(cpu).encode()).hexdigest()
    return f"jaxlib-{version('jaxlib')}-{digest[:12]}"
