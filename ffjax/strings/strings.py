"""A padded batch of words: what device functions take instead of `str`.

bytes    uint8[batch, width]   each row one string, then zeros
lengths  int32[batch]          bytes in use; -1 marks a filler row
"""

from jaxtyping import Int32, UInt8

from ffjax._internal.arrays import AnyArray
from ffjax._internal.pytree import value


@value()
class Strings:
    """A batch of byte strings of one padded width: what device functions take instead of `str`.

    Made by `pack`. Rows with length -1 fill the batch up to one of a few sizes; nothing is ever
    found for them.

    Attributes:
        bytes: UTF-8 bytes, padded with zeros, shape `[batch, width]`.
        lengths: bytes in each string, -1 for filler rows, shape `[batch]`.
    """

    bytes: UInt8[AnyArray, "*batch width"]
    lengths: Int32[AnyArray, "*batch"]

    def __len__(self) -> int:
        """The number of rows, filler rows included."""
        return self.lengths.shape[0]

    def flat(self) -> "Strings":
        """The words of a batch of any shape, one after the other."""
        if self.lengths.ndim == 1:
            return self
        return Strings(self.bytes.reshape(-1, self.bytes.shape[-1]), self.lengths.reshape(-1))
