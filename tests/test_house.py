"""Promises about the package itself, its documentation and the settings of the tests."""

import importlib.metadata
import importlib.util
import re
import runpy
import subprocess
import sys
import types
import zipfile

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

import ffjax
from ffjax._internal.arrays import padded_size

EXTRAS = "pyarrow polars zstandard matplotlib flax equinox optax torch"
PEERS = "finalfusion fasttext gensim floret faiss spacy"


def load_hooks(root):
    spec = importlib.util.spec_from_file_location("docs_hooks", root / "docs" / "hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# What tests run under


def test_signatures_are_checked_at_run_time():
    with pytest.raises(jaxtyping.TypeCheckError, match="normalize"):
        ffjax.normalize("no array")
    with pytest.raises(jaxtyping.TypeCheckError, match="padded_size"):
        padded_size("8")


def test_signatures_can_be_left_unchecked_to_see_the_errors_of_ffjax(as_users_see):
    with pytest.raises(TypeError, match="`storage`: expected Storage, got NoneType"):
        ffjax.Embeddings(None, None)


def test_dtypes_and_ranks_are_never_promoted_in_silence():
    with pytest.raises(ValueError, match="no available implicit dtype promotion path"):
        jnp.ones(3, jnp.float32) + jnp.ones(3, jnp.bfloat16)
    with pytest.raises(ValueError, match="jax_numpy_rank_promotion"):
        jnp.ones((2, 3)) + jnp.ones(3)


@pytest.mark.devices
def test_there_are_eight_devices_to_shard_over():
    if jax.default_backend() != "cpu":
        pytest.skip("only the CPU simulates devices")
    assert len(jax.devices()) == 8


# The package


def test_the_installed_version_is_that_of_the_source():
    assert importlib.metadata.version("ffjax") == ffjax.__version__


def test_importing_ffjax_imports_no_extra_and_starts_no_device():
    """Everyone would pay for an extra, and JAX must still accept settings afterwards."""
    code = f"""
import sys
import jax
before = set(sys.modules)
import ffjax
found = [name for name in "{EXTRAS} {PEERS}".split() if name in sys.modules and name not in before]
jax.config.update("jax_num_cpu_devices", 3)
print(found, len(jax.devices("cpu")))
"""
    env = {"PATH": "", "JAX_PLATFORMS": "cpu"}
    run = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert run.stdout.split("\n")[0] == "[] 3"


def test_the_wheel_holds_the_package_its_types_and_its_data(root, tmp_path):
    command = [
        sys.executable,
        "-m",
        "hatchling",
        "build",
        "--target",
        "wheel",
        "--directory",
        str(tmp_path),
    ]
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        f"ffjax/{path.relative_to(root / 'ffjax').as_posix()}"
        for path in (root / "ffjax").rglob("*.py")
    }
    expected |= {
        f"ffjax/data/{path.name}" for path in (root / "ffjax" / "data").glob("*") if path.is_file()
    }
    assert expected | {"ffjax/py.typed"} <= names
    assert {name.split("/")[0] for name in names} == {
        "ffjax",
        f"ffjax-{ffjax.__version__}.dist-info",
    }


@pytest.mark.parametrize(
    ("line", "variable"),
    [
        ("kept = 1", "kept"),
        ("for each in range(3): pass", "each"),
        ("def f(*, own): pass", "own"),
        ("_parts: int = 3", "_parts"),
        ("found = [1]", "found"),
        ("vectors, found = embed()", None),
        ("def f(found): pass", None),
        ("rows.known = 3", None),
    ],
)
def test_the_check_of_names_reports_fillers(root, tmp_path, monkeypatch, line, variable):
    names = runpy.run_path(str(root / "tools" / "check_names.py"))["filler_names"]
    monkeypatch.setitem(names.__globals__, "ROOT", tmp_path)
    (tmp_path / "module.py").write_text(line)
    expected = [] if variable is None else [(1, variable)]
    assert list(names(tmp_path / "module.py")) == expected


# The documentation


def test_every_public_name_has_a_docstring_and_a_place_in_the_reference(root):
    hooks = load_hooks(root)
    assert hooks.undocumented(ffjax) + hooks.misplaced(ffjax, root / "docs" / "reference") == []


def test_the_check_of_the_reference_finds_what_is_wrong(root, tmp_path):
    hooks = load_hooks(root)

    class Documented:
        """Says what it is."""

        def method(self):
            """Says what it does."""

        def bare(self):
            return self

        def _private(self):
            return self

    def function():
        return None

    package = types.SimpleNamespace(__name__="ffjax", __all__=["Documented", "function"])
    package.Documented, package.function = Documented, function
    assert hooks.undocumented(package) == [
        "`ffjax.Documented.bare` has no docstring",
        "`ffjax.function` has no docstring",
    ]
    (tmp_path / "a.md").write_text("::: ffjax.Documented\n\n::: ffjax.gone\n")
    (tmp_path / "b.md").write_text("::: ffjax.Documented\n")
    assert hooks.misplaced(package, tmp_path) == [
        "`ffjax.function` is missing: add `::: ffjax.function` to a page of docs/reference",
        "`ffjax.Documented` is shown twice",
        "`ffjax.gone` is in the reference but not in `__all__`",
    ]


def test_links_of_the_readme_lead_somewhere(root):
    links = re.findall(r"\]\(([^)#]+)", (root / "README.md").read_text(encoding="utf8"))
    assert len(links) > 3
    assert [link for link in links if not (root / link).exists()] == []


def test_the_example_of_the_readme_runs(root):
    (block,) = re.findall(
        r"```python\n(.*?)```", (root / "README.md").read_text(encoding="utf8"), re.DOTALL
    )
    names = {}
    exec(compile(block, "README.md", "exec"), names)
    emb, top = names["emb"], names["top"]
    words = [emb.vocab.idx(word) for word in ("berlin", "paris", "tea", "coffee")]
    assert (
        'emb.analogy("paris", "france", "berlin", k=3)     # [SimilarityResult(\'germany\', 0.896)'
        in block
    )
    assert emb.analogy("paris", "france", "berlin", k=3)[0].word == "germany"
    assert top.scores.shape == top.rows.shape == (4, 10)
    # a word is its own nearest neighbour, at the dot product of its row with itself
    assert np.asarray(top.rows)[:, 0].tolist() == words
    rows = emb.storage.embedding(words)
    np.testing.assert_allclose(np.asarray(top.scores)[:, 0], (rows * rows).sum(1), rtol=1e-5)


# The script that finds a Python for the Makefile


@pytest.fixture
def find_python(root, tmp_path):
    """Runs the script with nothing on the path but fakes; returns its status, output and error."""

    def run(PYTHON="", **fakes):
        for name, (version_ok, pip_ok) in fakes.items():
            fake = tmp_path / name.replace("_", ".")
            bad_version, no_pip = int(not version_ok), int(not pip_ok)
            cases = f"*version_info*) exit {bad_version};; *ensurepip*) exit {no_pip};;"
            fake.write_text(f'#!/bin/sh\ncase "$2" in {cases} esac\n')
            fake.chmod(0o755)
        script = ["/bin/sh", str(root / ".ci" / "find-python")]
        done = subprocess.run(
            script, env={"PATH": str(tmp_path), "PYTHON": PYTHON}, capture_output=True, text=True
        )
        return done.returncode, done.stdout.replace(f"{tmp_path}/", "").strip(), done.stderr

    return run


def test_find_python_takes_the_first_that_runs_and_is_new_enough(find_python):
    assert find_python(python3_12=(False, True), python3_11=(True, True), python3=(True, True))[
        :2
    ] == (0, "python3.11")


def test_find_python_passes_over_one_without_ensurepip_and_says_so_if_there_is_no_other(
    find_python,
):
    status, out, error = find_python(python3_12=(True, False))
    assert (
        (status, out) == (1, "")
        and "python3.12 has no `ensurepip`" in error
        and "python3-venv" in error
    )
    assert find_python(python3_12=(True, False), python3=(True, True))[:2] == (0, "python3")


def test_find_python_says_what_it_tried(find_python):
    status, out, error = find_python(python3=(False, True))
    assert (
        (status, out) == (1, "")
        and "needs Python 3.11 or later" in error
        and "make PYTHON=" in error
    )


def test_find_python_takes_the_one_that_is_named_or_none(find_python):
    assert find_python("mine", mine=(True, True), python3_12=(True, True))[:2] == (0, "mine")
    status, _, error = find_python("python2", python3_12=(True, True))
    assert status == 1 and "PYTHON=python2 is not a Python 3.11" in error
