"""`python -m ffjax` is the command `ffjax`."""

from ffjax.cli import command

if __name__ == "__main__":
    command()
