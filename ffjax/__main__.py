"""`python -m ffjax` is the command `ffjax`."""

from ffjax.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
