"""Files to values and back, one module or folder for each format.

Imports every folder but `cli`, `evaluate` and `layers`; only these import it.
"""
