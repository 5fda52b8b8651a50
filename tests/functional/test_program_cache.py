"""Programs that are kept between processes."""

import os
import stat
import subprocess
import sys

import pytest

import ffjax

CODE = """
import jax, jax.numpy as jnp, ffjax
jnp.zeros(3).block_until_ready()  # JAX has looked at its settings
print(ffjax.cache_programs({path!r}))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
hits = []
jax.monitoring.register_event_listener(lambda event, **_: hits.append(event))
jax.jit(lambda x: jnp.sort(x) + 1)(jnp.arange(5.0))
print("/jax/compilation_cache/cache_hits" in hits)
"""


def run(path=None, **environment) -> list[str]:
    variables = {name: value for name, value in os.environ.items() if "CACHE" not in name}
    command = [sys.executable, "-c", CODE.format(path=path)]
    environment = variables | {"JAX_PLATFORMS": "cpu"} | environment
    process = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert process.returncode == 0, process.stderr
    return process.stdout.split()


@pytest.mark.skipif(sys.platform != "linux", reason="the folder is named by XDG_CACHE_HOME")
def test_programs_are_written_to_a_folder_that_only_the_user_can_enter(tmp_path):
    folder, hit = run(XDG_CACHE_HOME=str(tmp_path))
    assert folder.startswith(f"{tmp_path}/ffjax/programs/jaxlib-") and hit == "False"
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    assert os.listdir(folder)
    assert run(XDG_CACHE_HOME=str(tmp_path))[0] == folder


def test_the_environment_switches_it_off(tmp_path):
    assert run(FFJAX_CACHE="off", XDG_CACHE_HOME=str(tmp_path)) == ["None", "False"]
    assert os.listdir(tmp_path) == []


def test_other_values_of_the_switch_are_an_error(monkeypatch):
    monkeypatch.setenv("FFJAX_CACHE", "foo")
    with pytest.raises(ValueError, match="variable FFJAX_CACHE: expected off, got 'foo'"):
        ffjax.cache_programs()


def test_a_folder_that_was_chosen_stays(tmp_path):
    chosen = str(tmp_path / "chosen")
    assert run(JAX_COMPILATION_CACHE_DIR=chosen)[0] == chosen
    other = str(tmp_path / "other")
    assert run(other, JAX_COMPILATION_CACHE_DIR=chosen)[0] == other
