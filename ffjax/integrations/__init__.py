"""ffjax inside other programs, which find it by entry points."""
