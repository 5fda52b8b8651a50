"""Storages: row ids to rows; and the one sum of the rows of words' n-grams.

`base.py` is the interface. May import vocab, strings and kernels.
"""

from ffjax.storage.base import Storage
from ffjax.storage.composed import ComposedArray
from ffjax.storage.dense import NdArray
from ffjax.storage.int8 import Int8Array
from ffjax.storage.pq import PQ
from ffjax.storage.product_quantized import QuantizedArray
from ffjax.storage.sharded import ShardedArray

__all__ = [
    "PQ",
    "ComposedArray",
    "Int8Array",
    "NdArray",
    "QuantizedArray",
    "ShardedArray",
    "Storage",
]
