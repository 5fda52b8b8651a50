"""The harness of the benchmarks, with a fake clock: the speed of the machine does not matter."""

import json
import math
import os
import sys

import jax.numpy as jnp
import numpy as np
import pytest

import benchmarks.harness as harness
from benchmarks.__main__ import ROOT, chosen, discover, main, measure_here
from benchmarks.files import Missing, derived, peer, real
from benchmarks.harness import Figure, Memory, Pair, Result, compare, measure, row
from benchmarks.machine import peak_and_resident


class FakeClock:
    """A clock that only the timed work moves."""

    def __init__(self):
        self.now = 0.0
        self.order = []

    def __call__(self):
        return self.now

    def work(self, name, *seconds):
        """A callable that takes the given times in turn, then the last one for ever."""
        remaining = list(seconds)

        def call():
            self.order.append(name)
            self.now += remaining.pop(0) if len(remaining) > 1 else remaining[0]
            return name

        return call


@pytest.fixture(autouse=True)
def written(monkeypatch):
    """How much memory was written to before each sample, which here is not done."""
    sizes = []
    # What other tests left in memory would take seconds to look through before each sample.
    monkeypatch.setattr(harness.gc, "collect", lambda: 0)
    monkeypatch.setattr(harness, "write_to_memory", sizes.append)
    return sizes


@pytest.fixture
def rows(monkeypatch):
    """An empty registry."""
    monkeypatch.setattr(harness, "ROWS", registry := {})
    monkeypatch.setattr("benchmarks.__main__.ROWS", registry)
    return registry


def register(prepare=lambda: Figure(1.0), name="some_row", **bounds):
    prepare.__name__ = name
    row(issue=1, work="work", beside="a peer", **bounds)(prepare)
    return harness.ROWS[name.replace("_", "-")]


def test_compare_takes_medians_and_keeps_the_first_call_apart():
    clock = FakeClock()
    # first call (compiling), the call that sets the number of repeats, then the samples
    pair = Pair(
        clock.work("ours", 9.0, 1.0, 1.0, 2.0, 7.0), clock.work("peer", 50.0, 4.0, 4.0, 6.0, 4.0)
    )
    times = compare(pair, repeat=3, clock=clock)
    assert (times.first, times.ours, times.peer, times.samples) == (9.0, 2.0, 4.0, 3)
    # inclusive quartiles of 1, 2, 7 are 1.5 and 4.5, by hand
    assert times.spread == (4.5 - 1.5) / 2.0


def test_compare_interleaves_the_sides_and_changes_who_goes_first():
    clock = FakeClock()
    compare(Pair(clock.work("o", 1.0), clock.work("p", 1.0)), repeat=4, clock=clock)
    warming_up = ["o", "p", "o", "p"]
    assert clock.order == warming_up + ["o", "p", "p", "o", "o", "p", "p", "o"]


def test_compare_repeats_short_calls_within_a_sample():
    clock = FakeClock()
    times = compare(Pair(clock.work("o", 1e-3), clock.work("p", 1.0)), repeat=3, clock=clock)
    assert clock.order.count("o") == 2 + 3 * round(harness.MIN_SAMPLE / 1e-3)
    assert clock.order.count("p") == 2 + 3
    assert math.isclose(times.ours, 1e-3)


def test_compare_takes_fewer_samples_of_slow_work_but_never_fewer_than_three():
    clock = FakeClock()
    assert (
        compare(Pair(clock.work("o", 10.0), clock.work("p", 20.0)), repeat=7, clock=clock).samples
        == 4
    )
    assert (
        compare(Pair(clock.work("o", 1000.0), clock.work("p", 1.0)), repeat=7, clock=clock).samples
        == 3
    )


def test_compare_writes_to_memory_before_each_sample_of_either_side(written):
    clock = FakeClock()
    compare(Pair(clock.work("o", 1.0), clock.work("p", 1.0), memory=123), repeat=3, clock=clock)
    assert written == [123] * len(clock.order)


def test_compare_calls_a_peer_that_takes_minutes_once():
    clock = FakeClock()
    pair = Pair(clock.work("ours", 9.0, 2.0), clock.work("peer", 500.0), once=True)
    times = compare(pair, repeat=3, clock=clock)
    assert (times.first, times.ours, times.peer, times.samples) == (9.0, 2.0, 500.0, 1)
    assert clock.order == ["ours", "peer", "ours"]


def test_compare_checks_the_answers_before_timing():
    clock = FakeClock()

    def check(ours, theirs):
        assert (ours, theirs) == ("o", "p")
        raise ValueError("the answers differ")

    with pytest.raises(ValueError, match="the answers differ"):
        compare(Pair(clock.work("o", 1.0), clock.work("p", 1.0), check), repeat=3, clock=clock)
    assert clock.order == ["o", "p"]


def test_at_least_is_how_many_times_as_fast_and_at_most_is_how_much_slower(rows, monkeypatch):
    monkeypatch.setattr(
        harness, "compare", lambda pair, repeat: harness.Times(2.0, 10.0, 3.0, 0.0, repeat)
    )
    pair = Pair(lambda: None, lambda: None)
    fast = measure(register(lambda: pair, "fast", at_least=5), 7)
    assert (fast.kind, fast.ratio, fast.met, fast.target, fast.first) == (
        "time",
        5.0,
        True,
        "≥ 5",
        3.0,
    )
    assert measure(register(lambda: pair, "faster", at_least=5.1), 7).met is False
    slow = measure(register(lambda: pair, "slow", at_most=0.2), 7)
    assert (slow.ratio, slow.met, slow.target) == (0.2, True, "≤ 0.2")
    assert measure(register(lambda: pair, "slower", at_most=0.1), 7).met is False
    assert measure(register(lambda: pair, "unbound"), 7).met is None


def test_share_of_the_bandwidth_is_bytes_a_second_over_the_copy_bandwidth(rows, monkeypatch):
    monkeypatch.setattr(
        harness, "compare", lambda pair, repeat: harness.Times(2.0, 10.0, 3.0, 0.0, repeat)
    )
    monkeypatch.setattr(harness, "bandwidth", lambda: 100.0)
    assert (
        measure(register(lambda: Pair(lambda: None, lambda: None, bytes_moved=50)), 7).of_bandwidth
        == 0.25
    )


def test_figures_are_held_against_the_peer_or_alone(rows):
    assert measure(register(lambda: Figure(3.0, 2.0), "beside", at_most=1.5), 7).met is True
    alone = measure(register(lambda: Figure(0.84), "alone", at_least=0.85), 7)
    assert (alone.ratio, alone.met, alone.peer) == (0.84, False, None)
    unbound = measure(register(lambda: Figure(29.5), "unbound"), 7)
    assert (unbound.ours, unbound.ratio, unbound.met) == (29.5, None, None)


def test_a_name_is_registered_once_and_with_one_bound(rows):
    register()
    with pytest.raises(ValueError, match="`row`: expected a new name, got `some-row` twice"):
        register()
    with pytest.raises(ValueError, match="`at_least`, `at_most`: expected one of them"):
        register(name="both", at_least=1, at_most=1)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the high-water mark cannot be reset")
def test_peak_counts_what_was_freed_again_and_resident_what_stayed():
    mb = 1 << 20

    def call():
        passing = np.ones(256 * mb, np.uint8)
        del passing
        return np.ones(64 * mb, np.uint8)  # above 32 MB glibc takes no memory that was freed before

    peak, resident = peak_and_resident(call)
    assert 250 * mb < peak < 400 * mb
    assert 60 * mb < resident < 180 * mb


def test_memory_is_measured_one_side_at_a_time(rows, monkeypatch):
    monkeypatch.setattr(harness, "peak_and_resident", lambda call: (call(), 1))
    bounded = register(lambda: Memory(lambda: 50, 40, "the file", lambda: 90), at_most=1.25)
    ours, theirs = measure(bounded, 7, "ours"), measure(bounded, 7, "peer")
    assert (ours.kind, ours.ours, ours.ratio, ours.met, ours.more_sides) == (
        "memory",
        50,
        1.25,
        True,
        True,
    )
    assert (theirs.ours, theirs.more_sides) == (90, False)
    assert ours.unit == "peak, of the file"
    alone = register(lambda: Memory(lambda: 50, 40, "the file", measure="resident"), "alone")
    assert measure(alone, 7).ours == 1
    with pytest.raises(ValueError, match="`peer`: expected a side that `alone` has"):
        measure(alone, 7, "peer")


def test_rows_are_chosen_by_name_pattern_and_issue(rows):
    for name in ("load_glove", "load_fasttext", "search"):
        register(lambda: Figure(1.0), name)
    assert [r.name for r in chosen(["load-*"], None)] == ["load-glove", "load-fasttext"]
    assert [r.name for r in chosen([], 1)] == ["load-glove", "load-fasttext", "search"]
    assert chosen([], 2) == []
    with pytest.raises(ValueError, match="`lookup`: expected a row or a pattern"):
        chosen(["search", "lookup"], None)


def test_what_is_absent_skips_the_row_and_says_how_to_get_it(rows, monkeypatch, tmp_path):
    monkeypatch.setenv("FFJAX_REAL", str(tmp_path))
    with pytest.raises(
        Missing, match=r"`glove.100d.txt` is not in \$FFJAX_REAL.*real_data.sh glove`"
    ):
        real("glove.100d.txt")
    (tmp_path / "glove.100d.txt").touch()
    assert real("glove.100d.txt") == tmp_path / "glove.100d.txt"
    with pytest.raises(Missing, match="`no_such_peer` can't be imported.*peers"):
        peer("no_such_peer")
    assert peer("json.decoder") is json.decoder
    skipped = measure_here(register(lambda: Figure(len(real("ft300.bin").name))), 7)
    assert skipped.kind == "skipped" and "real_data.sh fasttext" in skipped.note


def test_derived_files_are_made_once_and_never_half(monkeypatch, tmp_path):
    monkeypatch.setenv("FFJAX_BENCH_CACHE", str(tmp_path / "cache"))

    def broken(path):
        path.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        derived("a.fifu", broken)
    assert os.listdir(tmp_path / "cache") == []
    first = derived("a.fifu", lambda path: path.write_text("first"))
    assert derived("a.fifu", broken) == first == tmp_path / "cache" / "a.fifu"
    assert first.read_text() == "first"


def test_results_are_blocked_on_until_ready():
    times = compare(Pair(lambda: {"a": jnp.ones(3)}, lambda: [np.ones(3), "text"]), repeat=3)
    assert times.ours > 0 and times.peer > 0


def test_unknown_names_are_bad_arguments(capsys):
    assert main(["no-such-row"]) == 2
    assert "`no-such-row`: expected a row or a pattern" in capsys.readouterr().err
    assert main(["memory-bandwidth", "--markdown", "no-such-file.md"]) == 2
    assert "`--markdown`: expected a file with" in capsys.readouterr().err


def test_every_module_of_rows_registers_and_every_row_is_documented(capsys):
    discover()
    assert {r.prepare.__module__ for r in harness.ROWS.values()} == {
        f"benchmarks.{path.stem}" for path in (ROOT / "benchmarks").glob("rows_*.py")
    }
    assert main(["--list"]) == 0
    listed = capsys.readouterr().out
    for r in harness.ROWS.values():
        assert r.work and r.beside and r.name in listed


def test_a_row_runs_in_a_process_of_its_own_and_is_written_out(tmp_path, capfd):
    markdown, out = tmp_path / "table.md", tmp_path / "results.json"
    markdown.write_text("before\n<!-- benchmarks: begin -->\n<!-- benchmarks: end -->\nafter\n")
    assert main(["memory-bandwidth", "--json", str(out), "--markdown", str(markdown)]) == 0
    (record,) = json.loads(out.read_text())["results"]
    assert Result(**record).kind == "figure" and record["ours"] > 0
    text = markdown.read_text()
    assert (
        text.startswith("before\n")
        and text.endswith("\nafter\n")
        and "| memory-bandwidth |" in text
    )
    assert "| memory-bandwidth |" in capfd.readouterr().out


def test_only_the_last_items_of_long_lists_are_looked_at(monkeypatch):
    leaves = []
    monkeypatch.setattr(harness.jax, "block_until_ready", leaves.append)
    harness.finish(([["a"], ["b"]] * 1000, [np.zeros(1)] * 1000, "end"))
    assert len(leaves) == 2 * harness._LAST_ITEMS + 1 and leaves[-1] == "end"
