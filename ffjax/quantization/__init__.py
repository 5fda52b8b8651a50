"""Smaller storages: trained quantizers, narrow numbers, and back."""

from ffjax.quantization.decode import reconstruct
from ffjax.quantization.methods import Quantized, quantize
from ffjax.quantization.quality import Quality

__all__ = ["Quality", "Quantized", "quantize", "reconstruct"]
