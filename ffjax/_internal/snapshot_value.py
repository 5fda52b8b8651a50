"""What values that a snapshot keeps, and finds again by their kind, have in common."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

T = TypeVar("T", bound="SnapshotValue")


@runtime_checkable
class TreeReader(Protocol):
    """A map of a snapshot, whose entries are checked when they are read."""

    entries: dict[str, Any]

    def array(self, name: str, ndim: int, *dtypes: str) -> Any:
        """An entry that is an array of `ndim` dimensions and one of these dtypes."""

    def whole(self, name: str) -> int:
        """An entry that is a whole number."""
        ...

    def text(self, name: str) -> str:
        """An entry that is text."""
        ...

    def maybe(self, name: str, read: Callable[[str], Any]) -> Any:
        """What `read` makes of an entry, or `None` if that is nil."""

    def error(self, field: str | None, expected: str, got: str) -> Exception:
        """An error about an entry, for the caller to raise."""
        ...

    def made(self, make: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """What a constructor makes of entries, its errors as errors about the snapshot."""

    def storage(self, name: str) -> Any:
        """An entry that is a storage."""

    def strings(self, name: str) -> Any:
        """An entry that is a table of strings."""

    def indexer(self, name: str) -> Any:
        """An entry that is an n-gram indexer."""


class SnapshotValue(ABC):
    """A value with a tree, registered by its kind, as in `class Rows(Storage, kind="Rows")`.

    Attributes:
        kind: how snapshots call values of the class; `None` if they cannot hold them.
    """

    kind: ClassVar[str | None] = None

    def __init_subclass__(cls, *, kind: str | None = None, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.kind = kind

    @abstractmethod
    def to_tree(self) -> dict[str, Any]:
        """What a snapshot keeps: `kind`, numbers, text, arrays, and values with their own trees."""

    @classmethod
    @abstractmethod
    def from_tree(cls, tree: TreeReader) -> Any:
        """The value of a tree."""


def classes_by_kind(base: type[T]) -> dict[str, type[T]]:
    """The classes that snapshots can hold, of those derived from `base`."""
    return {cls.kind: cls for cls in _subclasses(base) if cls.kind is not None}


def _subclasses(cls: type[T]) -> Iterator[type[T]]:
    for subclass in cls.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)
