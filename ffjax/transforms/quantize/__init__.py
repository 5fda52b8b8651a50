"""Smaller storages: trained quantizers, narrow numbers, and back to plain rows."""

from ffjax.transforms.quantize.api import QuantizeResult as QuantizeResult
from ffjax.transforms.quantize.api import quantize as quantize
from ffjax.transforms.quantize.narrow import reconstruct as reconstruct
from ffjax.transforms.quantize.quality import QuantizationQuality as QuantizationQuality
