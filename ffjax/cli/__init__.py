"""The command `ffjax`, one module a subcommand."""

from ffjax.cli.app import main

__all__ = ["main"]
