"""The command `ffjax`: the subcommands are grouped by task."""

from ffjax.cli.app import command, main

__all__ = ["command", "main"]
