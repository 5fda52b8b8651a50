"""The command as a whole: help, statuses, pipes, terminals, interruption, completion."""

import gzip
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

import ffjax
from ffjax.cli import app, options
from ffjax.formats.registry import FORMATS
from tests.formats.fasttext import files as fasttext_files
from tests.formats.pickles import pickle_files

COMMANDS = [*app.MODULES]
ROOT = Path(ffjax.__file__).parents[1]


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
    assert words_of(app.function_of(command).__doc__) <= shown
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
    assert get_args(options.ReadFormat) == tuple(FORMATS)
    assert get_args(options.WrittenFormat) == tuple(x.name for x in FORMATS.values() if x.write)


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
        "    assert not {'jax', 'jaxtyping'} & {*sys.modules}, arguments\n"
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
        (["predict", "x"], "No such command 'predict'. Use 'classify'. See `ffjax --help`."),
        (["similar"], "Missing argument 'EMBEDDINGS'. See `ffjax similar --help`."),
        (["info", "x", "--jsn"], "No such option: --jsn"),
        (["similar", "x", "-k", "0"], "Invalid value for '-k': expected at least 1, got '0'. See"),
        (["similar", "x", "-k", "a"], "Invalid value for '-k': expected a whole number, got 'a'."),
        (["info", "no-such-file.fifu"], "no-such-file.fifu: No such file or directory"),
        (["similar", ".", "word"], ".: expected embeddings, got a folder with "),
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
