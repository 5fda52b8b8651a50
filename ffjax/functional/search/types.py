"""The arguments and answers of searches."""

from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float32, Int32

from ffjax._internal.arguments import whole_number
from ffjax._internal.arrays import AnyArray
from ffjax._internal.pytree import value
from ffjax.storage import Storage
from ffjax.storage.norms import Norms
from ffjax.vocab import Vocab


@runtime_checkable
class EmbeddingsLike(Protocol):
    """What the device functions need of `Embeddings`."""

    @property
    def storage(self) -> Storage:
        """The rows."""
        ...

    @property
    def vocab(self) -> Vocab:
        """The words."""
        ...

    @property
    def norms(self) -> Norms | None:
        """The norms of the words' rows."""
        ...


@value(static=("recall",))
class TopK:
    """The best rows for each query, best first.

    Attributes:
        scores: float32 `[*batch, k]`; minus infinity where there were fewer than `k` candidates.
        rows: int32 `[*batch, k]`; -1 there.
        recall: the share of the best rows that the search is expected to find, 1 if it is exact.
    """

    scores: Float32[AnyArray, "*batch k"]
    rows: Int32[AnyArray, "*batch k"]
    recall: float = 1.0


def checked_k(k: Any) -> int:
    """`k` as an `int`."""
    hint = "It is part of the answer's shape, so inside `jit` it must be a static argument."
    return whole_number("k", k, 0, hint)
