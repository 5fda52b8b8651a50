"""Tests of how many threads there are, and of work that they share."""

import math
import multiprocessing
import os
import threading
from pathlib import Path

import pytest

from ffjax._internal import cpus
from ffjax._internal.cpus import in_order, map_blocks

n_cpus = cpus.n_cpus


@pytest.fixture(autouse=True)
def four_cpus(monkeypatch):
    monkeypatch.setattr(cpus, "n_cpus", lambda: 4)


@pytest.fixture
def cgroups(tmp_path: Path, monkeypatch):
    """Makes control groups with limits, and says in which of them the process is."""

    def write(memberships: str, limits: dict[str, str]) -> None:
        for name, text in limits.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (tmp_path / "memberships").write_text(memberships)

    monkeypatch.setattr(cpus, "_CGROUPS", tmp_path)
    monkeypatch.setattr(cpus, "_MEMBERSHIPS", tmp_path / "memberships")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    monkeypatch.delenv("FFJAX_NUM_THREADS", raising=False)
    return write


def test_threads_are_the_cpus_of_the_affinity(cgroups, monkeypatch):
    cgroups("0::/", {})
    assert n_cpus() == 16
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5})
    assert n_cpus() == 2


LIMITS = {
    "of a group above": ("0::/job/step", {"job/cpu.max": "250000 100000"}, 3),
    "of the group": ("0::/job", {"job/cpu.max": "50000 100000\n", "cpu.max": "max 100000"}, 1),
    "of older groups": (
        "5:memory:/other\n4:cpu,cpuacct:/job\n0::/",
        {"cpu/job/cpu.cfs_quota_us": "200000\n", "cpu/job/cpu.cfs_period_us": "100000\n"},
        2,
    ),
    "none": ("4:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 16),
    "that cannot be read": ("0::/", {"cpu.max": "soon"}, 16),
}


@pytest.mark.parametrize("case", LIMITS.values(), ids=LIMITS)
def test_threads_follow_the_limits_of_control_groups(cgroups, case):
    memberships, limits, expected = case
    cgroups(memberships, limits)
    assert n_cpus() == expected


def test_without_control_groups_there_is_no_limit():
    assert cpus._quota(Path("missing"), Path("missing")) == math.inf


def test_the_environment_variable_overrides_all(cgroups, monkeypatch):
    cgroups("0::/", {"cpu.max": "100000 100000"})
    monkeypatch.setenv("FFJAX_NUM_THREADS", "5")
    assert n_cpus() == 5
    for choice in ("0", "-1", "two"):
        monkeypatch.setenv("FFJAX_NUM_THREADS", choice)
        with pytest.raises(ValueError, match="FFJAX_NUM_THREADS: expected a whole number"):
            n_cpus()


@pytest.mark.parametrize("spare", [0, 3])
def test_in_order_is_a_map(spare):
    assert list(in_order(lambda i: i * i, range(40), spare=spare)) == [i * i for i in range(40)]


@pytest.mark.parametrize("n", [0, 1, 3, 100])
def test_each_number_once(n):
    numbers = []
    map_blocks(numbers.append, range(0, 7 * n, 7))
    assert sorted(numbers) == list(range(0, 7 * n, 7))


def test_tasks_run_at_once():
    both = threading.Barrier(2)
    map_blocks(lambda _: both.wait(timeout=30), range(2))


@pytest.mark.parametrize("wrong", [0, 63])
def test_an_error_in_any_thread_is_raised(wrong):
    def task(number):
        if number == wrong:
            raise ValueError(f"number {number}")

    with pytest.raises(ValueError, match=f"number {wrong}"):
        map_blocks(task, range(64))


def test_tasks_within_tasks():
    numbers = []
    map_blocks(lambda i: map_blocks(lambda j: numbers.append((i, j)), range(8)), range(8))
    assert len(set(numbers)) == 64


def _in_fork(answers):
    numbers = []
    map_blocks(numbers.append, range(64))
    answers.put(len(numbers))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning")
def test_a_fork_has_threads_of_its_own():
    map_blocks(lambda _: None, range(64))
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    process = context.Process(target=_in_fork, args=(answers,))
    process.start()
    process.join(30)
    assert process.exitcode == 0 and answers.get() == 64


@pytest.mark.parametrize("n", [1, 3])
def test_blocks_are_mapped_in_order_on_several_threads(monkeypatch, n):
    monkeypatch.setattr(cpus, "n_cpus", lambda: n)
    barrier = threading.Barrier(n)

    def work(block: int) -> int:
        barrier.wait(60)
        return -block

    assert map_blocks(work, [1, 2, 3]) == [-1, -2, -3]
    assert map_blocks(lambda _: threading.current_thread(), [0]) == [threading.main_thread()]
    assert map_blocks(work, []) == []
