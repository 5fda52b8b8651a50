"""Storages: row ids to rows; and the one sum of the rows of words' n-grams.

`base.py` is the interface. May import vocab, strings and kernels.
"""

from ffjax.storage.base import Storage as Storage
from ffjax.storage.composed import ComposedArray as ComposedArray
from ffjax.storage.dense import NdArray as NdArray
from ffjax.storage.int8 import Int8Array as Int8Array
from ffjax.storage.product_quantized import PQ as PQ
from ffjax.storage.product_quantized import QuantizedArray as QuantizedArray
from ffjax.storage.sharded import ShardedArray as ShardedArray
