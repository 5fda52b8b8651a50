"""The bridge: `str` and bytes on the host to arrays for the device, and back.

Imports kernels, `_internal` and `errors`.
"""
