"""The command `ffjax`: the subcommands are in modules by what they do."""

from ffjax.cli.app import command, main

__all__ = ["command", "main"]
