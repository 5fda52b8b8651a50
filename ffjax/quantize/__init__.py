"""Smaller storages: quantizers and narrow numbers."""
