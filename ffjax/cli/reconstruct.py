"""`ffjax reconstruct`: plain vectors from quantized ones."""

from typing import TYPE_CHECKING, Any

from ffjax.cli.files import rewrite
from ffjax.cli.options import Files

if TYPE_CHECKING:
    from ffjax import Embeddings


def reconstruct(files: Files) -> None:
    """Turn quantized embeddings back into plain ones.

    Each row becomes the vector that its codes stand for; what quantization
    lost stays lost. Words, n-grams and metadata are kept.

    Examples:
      ffjax reconstruct small.fifu plain.fifu
    """

    def change(emb: "Embeddings", _: Any) -> "Embeddings":
        from ffjax.transforms.quantize import reconstruct

        return reconstruct(emb)

    rewrite(files, change, function="reconstruct", doing="Reconstructing")
