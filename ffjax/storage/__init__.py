"""Storages: rows of numbers."""

from ffjax.storage.base import Storage
from ffjax.storage.composed import ComposedArray
from ffjax.storage.dense import NdArray
from ffjax.storage.quantized import PQ, QuantizedArray
from ffjax.storage.sharded import ShardedArray

__all__ = ["PQ", "ComposedArray", "NdArray", "QuantizedArray", "ShardedArray", "Storage"]
