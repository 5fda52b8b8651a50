"""Tests of work that threads share."""

import multiprocessing
import threading

import pytest

from ffjax._internal import cpus
from ffjax._internal.cpus import for_each


@pytest.fixture(autouse=True)
def four_cpus(monkeypatch):
    monkeypatch.setattr(cpus, "n_cpus", lambda: 4)


@pytest.mark.parametrize("n", [0, 1, 3, 100])
def test_each_number_once(n):
    numbers = []
    for_each(numbers.append, range(0, 7 * n, 7))
    assert sorted(numbers) == list(range(0, 7 * n, 7))


def test_tasks_run_at_once():
    both = threading.Barrier(2)
    for_each(lambda _: both.wait(timeout=30), range(2))


@pytest.mark.parametrize("wrong", [0, 63])
def test_an_error_in_any_thread_is_raised(wrong):
    def task(number):
        if number == wrong:
            raise ValueError(f"number {number}")

    with pytest.raises(ValueError, match=f"number {wrong}"):
        for_each(task, range(64))


def test_tasks_within_tasks():
    numbers = []
    for_each(lambda i: for_each(lambda j: numbers.append((i, j)), range(8)), range(8))
    assert len(set(numbers)) == 64


def _in_fork(answers):
    numbers = []
    for_each(numbers.append, range(64))
    answers.put(len(numbers))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning")
def test_a_fork_has_threads_of_its_own():
    for_each(lambda _: None, range(64))
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    process = context.Process(target=_in_fork, args=(answers,))
    process.start()
    process.join(30)
    assert process.exitcode == 0 and answers.get() == 64
