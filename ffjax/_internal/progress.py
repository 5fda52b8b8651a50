"""What callers pass to follow the progress of long work."""

from collections.abc import Callable
from typing import Any, TypeAlias

# Called with how much is finished, and how much there is in all.
Progress: TypeAlias = Callable[[int, int], None]
# As `Progress`, called with what is being done first.
Report: TypeAlias = Callable[[str, int, int], None]
# Called after each block with the bytes read, and the items in it.
BlockProgress: TypeAlias = Callable[[int, int], None]


def ignore(*_: Any) -> None:
    """Progress that nobody follows."""
