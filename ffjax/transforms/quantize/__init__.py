"""Smaller storages: trained quantizers, narrow numbers, and back to plain rows."""

from ffjax.transforms.quantize.api import QuantizeResult, quantize
from ffjax.transforms.quantize.quality import QuantizationQuality
from ffjax.transforms.quantize.reconstruct import reconstruct

__all__ = ["QuantizationQuality", "QuantizeResult", "quantize", "reconstruct"]
