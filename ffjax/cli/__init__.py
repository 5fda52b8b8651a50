"""The command `ffjax`, one module a subcommand."""

from ffjax.cli.app import command, main

__all__ = ["command", "main"]
