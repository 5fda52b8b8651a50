"""Helpers that every folder may use and that use no folder."""
