"""What callers pass to follow the progress of long work."""

from collections.abc import Callable
from typing import TypeAlias

# Called with how much is finished, and how much there is in all.
Progress: TypeAlias = Callable[[int, int], None]
# Called after each block with the bytes read, and the items in it.
BlockProgress: TypeAlias = Callable[[int, int], None]
