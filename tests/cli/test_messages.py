"""Library errors in the words of the command line: the tables name what exists on both sides."""

import inspect
import re
import warnings

import pytest
import typer

import ffjax
from ffjax.cli import app, messages
from ffjax.cli.messages import BadInput
from ffjax.errors import FormatError

PARAMETERS = {
    option
    for command in typer.main.get_command(app.app()).commands.values()
    for parameter in command.params
    for option in (*parameter.opts, *parameter.secondary_opts, parameter.metavar)
}


@pytest.mark.parametrize("function", messages.OPTIONS)
def test_each_mapped_argument_is_one_of_the_function(function):
    called = ffjax.evaluate.analogies if function == "evaluate" else getattr(ffjax, function)
    assert set(messages.OPTIONS[function]) <= set(inspect.signature(called).parameters)


@pytest.mark.parametrize("function", messages.OPTIONS)
def test_each_option_is_one_of_a_command(function):
    assert set(messages.OPTIONS[function].values()) <= PARAMETERS


def test_each_class_has_a_name_for_people():
    bases = (ffjax.Vocab, ffjax.Storage)
    classes = (getattr(ffjax, name) for name in ffjax.__all__)
    values = [cls for cls in classes if isinstance(cls, type) and issubclass(cls, bases)]
    names = {cls.__name__ for cls in values if not inspect.isabstract(cls)}
    assert names - {"SubwordVocab"} == set(messages.CLASSES)


@pytest.mark.parametrize("function", messages.COMMANDS)
def test_each_function_that_is_a_command_exists(function):
    command = messages.COMMANDS[function].removeprefix("ffjax ")
    assert callable(getattr(ffjax, function))
    assert command in typer.main.get_command(app.app()).commands


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("`limit`: expected 1, got 0.", "`--first`: expected 1, got 0."),
        ("Use `lossy=True`.", "Use `--lossy`."),
        ('Use `format="text"`.', "Use `-f text`."),
        ("`mmap`: expected a bool.", "`mmap`: expected a bool."),
        ("Drop it with `ffjax.select_words`.", "Drop it with `ffjax select`."),
        ("Use `ffjax.reconstruct(embeddings)`.", "Use `ffjax reconstruct`."),
        ("`ffjax.load_finalfusion` reads it.", "`ffjax similar` reads it."),
        ("Call `ffjax.pack(words)`.", "Call `ffjax.pack(words)`."),
        ("expected a SimpleVocab, got FloretVocab(0 words, F(...), '<').", "expected a plain "
         "vocabulary, got a floret table."),
    ],
)
def test_arguments_and_functions_become_options_and_commands(message, expected):
    assert messages.in_terms(message, messages.OPTIONS["load"]) == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("`bits`: expected 1."), "`--bits`: expected 1."),
        (TypeError("`embeddings`: expected words."), "words.fifu: expected words."),
        (ValueError("expected 256 rows."), "words.fifu: expected 256 rows."),
        (ImportError("needs zstandard."), "words.fifu: needs zstandard."),
        (ValueError("the environment variable X: bad."), "the environment variable X: bad."),
    ],
)
def test_errors_name_an_option_or_the_file(error, expected):
    match = f"^{re.escape(expected)}$"
    with pytest.raises(BadInput, match=match), messages.translated("quantize", "words.fifu"):
        raise error


@pytest.mark.parametrize(("file", "named"), [(3, "standard input"), ("x.gz", "x.gz")])
def test_a_format_error_names_the_file_and_the_option(file, named):
    error = FormatError(file, offset=4, expected="UTF-8", hint="Use `lossy=True`.")
    with pytest.raises(FormatError, match="Use `--lossy`"):
        with messages.translated("load", "standard input"):
            raise error
    assert str(error) == f"{named}: byte 4: expected UTF-8. Use `--lossy`."


@pytest.mark.filterwarnings("default")
def test_warnings_are_lines_with_options(capsys):
    with messages.translated("quantize", "words.fifu"):
        warnings.warn("`subquantizers`: 7 dimensions.", stacklevel=1)
    assert capsys.readouterr().err == "ffjax: `--subquantizers`: 7 dimensions.\n"
