"""The command `ffjax`: the subcommands are grouped by task. Imports every folder; none imports it.

What needs JAX is imported inside the subcommands, so that `ffjax --help` starts without it.
"""

from ffjax.cli.app import command, main

__all__ = ["command", "main"]
