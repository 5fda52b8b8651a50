"""Items that lie one after the other without an index: each begins where the one before ends."""

import numpy as np


class Chains:
    """All that looks like an item: where it begins, ascending, and where it would end.

    Examples:
        >>> chains = Chains(np.array([0, 2, 3, 7]), np.array([3, 9, 7, 8]))
        >>> chains.at(0), chains.at(3), chains.at(8)
        (slice(0, 1, None), slice(2, 4, None), slice(0, 0, None))
    """

    def __init__(self, starts: np.ndarray, ends: np.ndarray) -> None:
        self.starts, self.ends = starts, ends
        breaks = np.flatnonzero(ends[:-1] != starts[1:]) + 1
        self._stops = np.append(breaks, len(starts))

    def at(self, position: int) -> slice:
        """The items from a position on, up to one after which something else seems to begin."""
        first = int(np.searchsorted(self.starts, position))
        if first == len(self.starts) or self.starts[first] != position:
            return slice(0, 0)
        return slice(first, int(self._stops[np.searchsorted(self._stops, first, side="right")]))
