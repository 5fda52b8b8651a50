"""The command as a whole: help, statuses, pipes, terminals, interruption, completion."""

import gzip
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
import tomllib
from importlib import import_module
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

import ffjax
from ffjax.cli import app, options, progress
from ffjax.cli import exit_status as status
from ffjax.cli.inputs import BATCH
from ffjax.formats import detect
from tests.formats.fasttext import files as fasttext_files
from tests.formats.pickles import pickle_files

COMMANDS = [name.replace("_", "-") for names in app.COMMANDS.values() for name in names]
ROOT = Path(ffjax.__file__).parents[1]
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


# Help


def test_version(ff):
    assert ff("--version") == (0, f"ffjax {ffjax.__version__}\n", "")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_all_commands(ff, arguments):
    result = ff(*arguments)
    assert result.status == 0 and result.err == ""
    assert set(COMMANDS) <= set(result.out.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_has_a_description_and_examples(ff, command):
    result = ff(command, "--help")
    assert result.status == 0
    text = " ".join(result.out.split())
    assert f"Usage: ffjax {command}" in text
    examples = text.split("Examples: ")[1].split(" ╭")[0]
    assert f"ffjax {command}" in examples


def words_of(text):
    """The words in a text, without lines drawn around it."""
    return set(re.sub("[│╭╮╰╯─]", " ", text).split())


@pytest.mark.parametrize("command", COMMANDS)
def test_help_breaks_no_word_at_80_columns(ff, command, monkeypatch):
    """Markup swallows nothing either, such as the `[plot]` of `pip install 'ffjax[plot]'`."""
    import typer

    monkeypatch.setenv("COLUMNS", "80")
    shown = words_of(ff(command, "--help").out)
    parser = typer.main.get_command(app.app()).get_command(None, command)
    module = import_module(f"ffjax.cli.{app.MODULES.get(command.replace('-', '_'), command)}")
    assert words_of(getattr(module, command.replace("-", "_")).__doc__) <= shown
    for parameter in parser.params:
        assert words_of(parameter.help or "") <= shown
        options = [",".join(name for name in parameter.opts if name.startswith("--"))]
        assert set(filter(None, options)) <= shown


def test_every_extra_that_the_command_names_exists():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]
    sources = [path.read_text(encoding="utf8") for path in ROOT.glob("ffjax/**/*.py")]
    extras = {extra for text in sources for extra in re.findall(r"ffjax\[(\w+)\]", text)}
    assert "plot" in extras and extras <= set(project["optional-dependencies"])


def test_demo_names_the_embeddings_inside_the_package(ff, demo_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert ff("similar", "demo", "tea", "-k", 2) == ff("similar", demo_file, "tea", "-k", 2)
    assert ff("convert", "demo", "copy.fifu").status == 0
    assert (tmp_path / "copy.fifu").read_bytes() == demo_file.read_bytes()
    (tmp_path / "demo").write_text("mine 1 0\nyours 0.8 0.6\n")
    assert dict(ff("info", "demo").rows)["words"] == "2"


def test_small_work_compiles_nothing(tmp_path):
    """Not for words that are unknown, analogies, and a few lines of text either."""
    text = tmp_path / "text"
    text.write_text("a cup of green tea\nflights to berlin\n")
    commands = [
        ["similar", "demo", "berlin", "neuropharmacology", "-k", "7", "--metric", "cosine"],
        ["analogy", "demo", "man", "king", "woman"],
        ["search", str(text), "something to drink"],
        ["embed", "demo", str(text), "-o", str(tmp_path / "vectors.npy")],
    ]
    code = (
        "import jax, sys; from ffjax.cli import main; compiled = []\n"
        "jax.monitoring.register_event_duration_secs_listener(\n"
        "    lambda event, *_, **__: compiled.append(event) if 'backend_compile' in event else 0)\n"
        f"for arguments in {commands!r}: assert main(arguments) == 0\n"
        "assert not compiled, compiled\n"
    )
    run = [sys.executable, "-c", code]
    result = subprocess.run(run, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_in_the_help_are_commands_that_parse(command):
    """Each example is taken apart by the command's own parser; files need not be there for that."""
    import shlex

    import typer

    group = typer.main.get_command(app.app())
    parser = group.get_command(None, command)
    examples = parser.help.split("Examples:")[1].splitlines()
    for line in filter(str.strip, examples):
        example = line[line.index("ffjax ") :].split(" | ")[0].split(" > ")[0]
        name, *words = shlex.split(example)[1:]
        assert name == command
        parser.make_context(command, app.repeat_include(words))


def test_formats_on_the_command_line_are_those_of_load():
    formats = (*detect.FORMATS, *detect.FOLDER_FORMATS)
    written = tuple(name for name in formats if name not in detect.READ_ONLY_FORMATS)
    assert get_args(options.Format) == written


def test_help_completion_and_info_do_not_import_jax(small, demo_file, tmp_path):
    """Nothing of them needs JAX, in any format."""
    files = {
        "floret": b"2 1 3 4 2 7 < >\n0 1.0\n1 2.0\n",
        "text": b"one 1 0\ntwo 0 2\n",
        "textdims": b"2 2\none 1 0\ntwo 0 2\n",
        "word2vec": b"1 1\na \x00\x00\x80?\n",
        "fasttext": fasttext_files.model(["tea", "pot"]),
        "msgpack": ffjax.to_bytes(ffjax.load(small["explicit"])),
        "gensim": pickle_files.keyed_vectors(["a"], np.ones((1, 2), np.float32)),
        "text.gz": gzip.compress(b"one 1 0\ntwo 0 2\n"),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    paths = [str(demo_file), *map(str, small.values()), *(str(tmp_path / name) for name in files)]
    commands = [["--help"], ["similar", "--help"], *(["info", path] for path in paths)]
    code = (
        "import os, sys; from ffjax.cli import main\n"
        f"for arguments in {commands!r}:\n"
        "    assert main(arguments) == 0, arguments\n"
        "    assert 'jax' not in sys.modules, arguments\n"
        "completion = {'_FFJAX_COMPLETE': 'complete_bash', 'COMP_WORDS': 'ffjax s'}\n"
        "os.environ |= {**completion, 'COMP_CWORD': '1'}\n"
        "try: main([])\n"
        "except SystemExit: assert 'jax' not in sys.modules\n"
    )
    run = [sys.executable, "-c", code]
    result = subprocess.run(run, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")


def test_completion_of_commands_and_formats(shell):
    def complete(line, position):
        env = {
            **os.environ,
            "_FFJAX_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(position),
        }
        return shell(env=env).stdout.decode().split()

    assert complete("ffjax s", 1) == ["similar", "search", "select"]
    assert complete("ffjax convert a b --to te", 5) == ["text", "textdims"]


def test_completion_script(shell):
    env = {**os.environ, "SHELL": "/bin/bash", "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    result = shell("--show-completion", "bash", env=env)
    assert result.returncode == 0 and b"_FFJAX_COMPLETE=complete_bash" in result.stdout


# Bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["simlar"], "No such command 'simlar'. Did you mean 'similar'? See `ffjax --help`."),
        (["similar"], "Missing argument 'EMBEDDINGS'. See `ffjax similar --help`."),
        (["info", "x", "--jsn"], "No such option: --jsn"),
        (["info", "no-such-file.fifu"], "no-such-file.fifu: No such file or directory"),
        (["similar", ".", "word"], ".: Is a directory"),
        (
            ["info", "x", "-f", "pickle"],
            "Invalid value for '--format' / '--from' / '-f': 'pickle' is not one of",
        ),
    ],
)
def test_bad_input_ends_in_one_line_and_status_2(ff, arguments, message):
    result = ff(*arguments)
    assert result.status == 2 and result.out == ""
    assert result.err.startswith(f"ffjax: error: {message}") and result.err.count("\n") == 1


@pytest.mark.parametrize(
    "command", ["similar", "analogy", "info", "metadata", "convert", "select", "bucket-to-explicit"]
)
def test_a_broken_file_ends_in_one_line_and_status_2(ff, small, tmp_path, command):
    path = tmp_path / "broken.fifu"
    path.write_bytes(small["buckets"].read_bytes()[:-100])
    extra = {"similar": ["tea"], "analogy": ["a", "b", "c"], "info": [], "metadata": []}
    extra["select"] = ["out.fifu", "-n", "1"]
    result = ff(command, path, *extra.get(command, ["out.fifu"]))
    assert result.status == 2 and result.out == "" and result.err.count("\n") == 1
    assert result.err.startswith(f"ffjax: error: {path}: byte ")


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
        == b"ffjax: no answer for caf\\udce9: an unknown word without known n-grams.\n"
    )
    first, second = map(json.loads, result.stdout.splitlines())
    assert first == {"query": "caf\udce9", "results": None}
    assert second["results"][0]["word"] == "caf\N{REPLACEMENT CHARACTER}"


def test_a_tab_in_a_word_is_escaped(ff, tmp_path):
    import numpy as np

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
    monkeypatch.setattr(progress, "DELAY", delay)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress.working("Counting", **settings) as bar:
        bar.advance(2)
        deadline = time.monotonic() + (10 if shows else 0.5)
        while (
            not (shows and re.search(shows, plain(terminal.text))) and time.monotonic() < deadline
        ):
            time.sleep(0.05)
            bar.advance(0)
    assert re.search(shows, plain(terminal.text)) if shows else not plain(terminal.text).strip()


def test_a_bar_shows_the_current_step(monkeypatch):
    monkeypatch.setattr(progress, "DELAY", 0.01)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress.working("Reading", unit="bytes") as bar:
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
    monkeypatch.setattr(progress, "DELAY", 0.01)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress.working("Counting"):
        deadline = time.monotonic() + 10
        while "Counting" not in terminal.text and time.monotonic() < deadline:
            time.sleep(0.05)
        print("answer")
        status.say("a message")
    assert capfd.readouterr().out == "answer\n"
    assert "ffjax: a message\n" in plain(terminal.text) and sys.stderr is terminal


def test_no_bar_shows_where_there_is_no_terminal(monkeypatch, capfd):
    monkeypatch.setattr(progress, "DELAY", 0.0)
    with progress.working("Counting"):
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
