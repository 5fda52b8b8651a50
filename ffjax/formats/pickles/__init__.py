"""Pickles read as data: opcodes are interpreted here, and nothing is imported or called."""
