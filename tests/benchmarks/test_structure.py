"""The figures of the package's structure."""

from benchmarks import structure


def test_code_lines_are_those_without_docstrings_comments_and_blanks():
    source = '"""Module."""\n\nx = """text"""  # not a docstring\n'
    source += 'class A:\n    """A."""\n    # why\n'
    assert structure.code_lines(source) == ['x = """text"""  # not a docstring', "class A:"]


def test_files_entered_are_those_of_the_package_whose_functions_run():
    from ffjax.cli.messages import explain

    entered = structure.files_entered(lambda: [explain(MemoryError()), structure.code_lines("")])
    assert [name.rpartition("ffjax/")[2] for name in entered] == ["cli/messages.py"]


def test_sizes_are_counted():
    assert {"code lines", "all lines"} <= structure.sizes().keys()
