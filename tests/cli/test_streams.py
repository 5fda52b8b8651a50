"""Pipes, terminals, interruption and streams that are closed: the command as a process."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import ffjax
from ffjax.cli import messages as status
from ffjax.cli import output
from ffjax.cli.files import BATCH

FFJAX = [sys.executable, "-m", "ffjax"]


def plain(text):
    """Text without the codes of a terminal."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text).replace("\r", "")


def on_terminal(*arguments, typed=b"", until=b""):
    """Runs the command on a terminal of its own; returns its status and what it showed."""
    terminal, end = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    command = [*FFJAX, *map(str, arguments)]
    shown = b""
    with subprocess.Popen(
        command, stdin=end, stdout=end, stderr=end, env=env, start_new_session=True
    ) as process:
        os.close(end)
        while True:
            if typed and until in shown:
                os.write(terminal, typed)
                typed = b""
            ready, _, _ = select.select([terminal], [], [], 60)
            assert ready, f"no output for a minute after {shown!r}"
            try:
                data = os.read(terminal, 4096)
            except OSError:  # Linux says so when the other end is closed
                data = b""
            if not data:
                break
            shown += data
    os.close(terminal)
    return process.returncode, plain(shown.decode())


# Pipes


def test_a_reader_that_goes_away_is_not_an_error(demo_file):
    with subprocess.Popen(
        [*FFJAX, "similar", demo_file, "king", "-k", "9000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline().startswith(b"king\tprince\t")
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141


def test_words_that_are_not_utf8_pass_through_unchanged(shell, tmp_path):
    path = tmp_path / "words.txt"
    path.write_bytes(b"caf\xe9 1 0\ntea 0.8 0.6\n")
    result = shell("similar", path, "-f", "text", "--lossy", "--json", stdin=b"caf\xe9\ntea\n")
    assert result.returncode == 1
    assert (
        result.stderr
        == b"ffjax: no answer for caf\\udce9: an unknown word, and these embeddings have no "
        b"n-grams.\n"
    )
    first, second = map(json.loads, result.stdout.splitlines())
    assert first == {"query": "caf\udce9", "results": None}
    assert second["results"][0]["word"] == "caf\N{REPLACEMENT CHARACTER}"


def test_a_tab_in_a_word_is_escaped(ff, tmp_path):

    path = tmp_path / "tabs.fifu"
    ffjax.Embeddings(
        ffjax.NdArray(np.ones((2, 3), np.float32)), ffjax.SimpleVocab(["one", "t\tw\no"])
    ).write(path)
    assert ff("similar", path, "one", "-m", "dot").out == "one\tt\\tw\\no\t3.0\n"


# Interruption


def test_ctrl_c_ends_quietly_with_status_130(demo_file):
    with subprocess.Popen(
        [*FFJAX, "similar", demo_file, "-k", "1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdin.write(
            b"king\n" * BATCH
        )  # a batch, so that it is past its imports when it waits for more
        process.stdin.flush()
        assert process.stdout.readline().startswith(b"king\tprince\t")
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read() == b""


def test_a_job_that_is_ended_leaves_no_unfinished_file(classifiers, tmp_path):
    command = [*FFJAX, "classify", classifiers / "softmax-chars", "-", "-o", tmp_path / "out"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdin.write(b"abc\n")
        process.stdin.flush()
        while not list(tmp_path.iterdir()) and process.poll() is None:
            time.sleep(0.05)
        process.terminate()
        assert process.wait(60) == 128 + signal.SIGTERM and process.stderr.read() == b""
    assert not list(tmp_path.iterdir())


# Terminals


def test_answers_on_a_terminal_are_tables(demo_file):
    status, shown = on_terminal("similar", demo_file, "berlin", "-k", "2")
    assert status == 0
    # On a slow machine a progress bar precedes them.
    title, *lines = [line.split() for line in shown.strip().splitlines()[-3:]]
    assert title == ["berlin"]
    best = ffjax.demo().most_similar("berlin", k=2)
    assert [line[:3] for line in lines] == [
        [str(rank), result.word, f"{result.similarity:.4f}"] for rank, result in enumerate(best, 1)
    ]
    assert all("█" in line[3] for line in lines)


def test_each_line_typed_at_a_terminal_is_answered_at_once(demo_file):
    status, shown = on_terminal(
        "similar", demo_file, "-k", "1", typed=b"berlin\n12345\n\x04", until=b"Ctrl-D"
    )
    assert (
        "reading a word per line" in shown and "munich" in shown and "no answer for 12345" in shown
    )
    assert status == 1


def test_each_text_typed_at_a_terminal_is_labelled_at_once(classifiers):
    command = ("classify", classifiers / "softmax-chars")
    status, shown = on_terminal(*command, typed=b"abc\nxyz\n\x04", until=b"Ctrl-D")
    assert status == 0 and "reading a text per line" in shown and shown.count("__label__") == 2


def test_characters_that_control_a_terminal_are_escaped(demo_file, tmp_path):
    (tmp_path / "text").write_bytes("\x1b[31mtea \u202e\r\n".encode())
    status, shown = on_terminal("search", tmp_path / "text", "tea", "-k", "1")
    assert status == 0 and r"\x1b[31mtea \u202e" in shown


def test_info_on_a_terminal_is_a_table(small):
    status, shown = on_terminal("info", small["buckets"])
    assert status == 0 and re.search(r"^ngram_lengths +3 to 5 *$", shown, re.MULTILINE)


# Progress


class Terminal:
    """Standard error that says it is a terminal."""

    def __init__(self):
        self.text = ""

    def isatty(self):
        return True

    def write(self, text):
        self.text += text

    def flush(self):
        pass


@pytest.mark.parametrize(
    ("delay", "settings", "shows"),
    [
        (0.01, {"total": 4, "unit": "files"}, "Counting.*2 of 4 files"),
        (0.01, {"unit": "files"}, "Counting.*2 files"),
        (0.01, {}, "Counting"),
        (30, {"total": 4, "unit": "files"}, None),
        (0.01, {"quiet": True}, None),
    ],
)
def test_a_bar_shows_on_a_terminal_once_the_work_takes_long(monkeypatch, delay, settings, shows):
    monkeypatch.setattr(output, "DELAY", delay)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with output.working("Counting", **settings) as bar:
        bar.advance(2)
        deadline = time.monotonic() + (10 if shows else 0.5)
        while (
            not (shows and re.search(shows, plain(terminal.text))) and time.monotonic() < deadline
        ):
            time.sleep(0.05)
            bar.advance(0)
    assert re.search(shows, plain(terminal.text)) if shows else not plain(terminal.text).strip()


def test_a_bar_shows_the_current_step(monkeypatch):
    monkeypatch.setattr(output, "DELAY", 0.01)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with output.working("Reading", unit="bytes") as bar:
        for what, steps, total, shows in (
            ("Reading", 3, 7, "Reading.*3.* bytes"),
            ("Writing", 0, None, "Writing.*0"),
        ):
            deadline = time.monotonic() + 10
            while not re.search(shows, plain(terminal.text)) and time.monotonic() < deadline:
                bar.show(what, steps, total)
                time.sleep(0.05)
            assert re.search(shows, plain(terminal.text))
    assert (bar.what, bar.steps, bar.total) == ("Writing", 0, None)


def test_a_bar_keeps_out_of_the_way_of_answers_and_messages(monkeypatch, capfd):
    monkeypatch.setattr(output, "DELAY", 0.01)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with output.working("Counting"):
        deadline = time.monotonic() + 10
        while "Counting" not in terminal.text and time.monotonic() < deadline:
            time.sleep(0.05)
        print("answer")
        status.say("a message")
    assert capfd.readouterr().out == "answer\n"
    assert "ffjax: a message\n" in plain(terminal.text) and sys.stderr is terminal


def test_no_bar_shows_where_there_is_no_terminal(monkeypatch, capfd):
    monkeypatch.setattr(output, "DELAY", 0.0)
    with output.working("Counting"):
        time.sleep(0.3)
    assert capfd.readouterr() == ("", "")


# Streams that are closed or go away


def closing(what, *arguments):
    """Runs the command from a shell that closes some of its streams."""
    line = " ".join(map(str, [*FFJAX, *arguments, what]))
    return subprocess.run(["sh", "-c", line], capture_output=True, timeout=120)


@pytest.mark.parametrize(
    "arguments", [["--version"], ["info", "FILE"], ["similar", "FILE", "tea"], ["similar", "-h"]]
)
def test_a_closed_standard_output_is_an_error_in_one_line(small, arguments):
    result = closing(">&-", *(small["simple"] if name == "FILE" else name for name in arguments))
    assert result.returncode == 2
    assert result.stderr == b"ffjax: error: standard output is closed\n"


def test_closed_streams_that_are_not_used_do_no_harm(small, tmp_path):
    result = closing("<&- >&- 2>&-", "convert", small["simple"], tmp_path / "copy.fifu")
    assert result.returncode == 0
    assert (tmp_path / "copy.fifu").read_bytes() == small["simple"].read_bytes()


def test_a_closed_standard_input_is_empty(small):
    result = closing("<&-", "info", "-")
    assert result.returncode == 2 and result.stderr.count(b"\n") == 1
    assert result.stderr.startswith(b"ffjax: error: standard input: ")
    result = closing("<&-", "similar", small["simple"])
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


def test_a_closed_standard_error_keeps_the_status(small):
    result = closing("2>&-", "similar", small["simple"], "blorp", "tea", "-k", "1")
    assert result.returncode == 1 and result.stdout.startswith(b"tea\t")
    assert closing("2>&-", "info", "no-such-file").returncode == 2


@pytest.mark.parametrize("command", [[], ["search"], ["classify"], ["metadata"], ["evaluate"]])
def test_help_has_no_names_of_python_types(ff, command):
    text = ff(*command, "--help").out
    assert "--help" in text and not re.search(r"<\w+|\b(str|bool|float|int)\b", text)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["similar", "--help"]])
def test_help_for_a_reader_that_has_gone_away(arguments):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        result = subprocess.run(
            [*FFJAX, *arguments], stdout=writer, stderr=subprocess.PIPE, timeout=60
        )
    finally:
        os.close(writer)
    assert (result.returncode, result.stderr) == (141, b"")
