"""Smaller storages: trained quantizers, narrow numbers, and back."""

from ffjax.quantization.quality import Quality
from ffjax.quantization.quantize import Quantized, quantize
from ffjax.quantization.reconstruct import reconstruct

__all__ = ["Quality", "Quantized", "quantize", "reconstruct"]
