"""Pure compiled functions on arrays."""
