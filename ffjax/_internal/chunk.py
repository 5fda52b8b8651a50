"""What values that files hold have in common: chunks of finalfusion files, trees of snapshots."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator
from os import PathLike
from typing import Any, ClassVar, TypeVar

T = TypeVar("T", bound="SnapshotValue")


class Chunk:
    """What a finalfusion file may hold by itself: metadata, a vocabulary, a storage or norms."""

    def write(self, file: str | bytes | int | PathLike[Any]) -> None:
        """Writes a finalfusion file with only this chunk; an old file is replaced at the end.

        `load_metadata`, `load_vocab`, `load_storage` and `load_norms` read such files.

        Args:
            file: a path, or a descriptor, which is closed afterwards as `open` does.

        Raises:
            FinalfusionFormatError: if the format cannot hold it.

        Examples:
            >>> import ffjax, tempfile, pathlib
            >>> path = pathlib.Path(tempfile.mkdtemp()) / "vocab.fifu"
            >>> ffjax.SimpleVocab(["tea", "coffee"]).write(path)
            >>> ffjax.load_vocab(path).words
            ['tea', 'coffee']
        """
        # Formats import the values; this method reaches up.
        from ffjax.formats.finalfusion.writer import write_chunks

        write_chunks(file, [self])  # type: ignore[list-item]


class SnapshotValue(ABC):
    """A value with a tree, registered by its kind, as in `class Rows(Storage, kind="Rows")`.

    Attributes:
        kind: how snapshots call values of the class; `None` if they cannot hold them.
    """

    kind: ClassVar[str | None] = None

    def __init_subclass__(cls, *, kind: str | None = None, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.kind = kind

    def to_tree(self) -> dict[str, Any]:
        """What a snapshot keeps: `kind`, numbers, text, arrays, and values with their own trees."""
        fields = dataclasses.fields(self) if dataclasses.is_dataclass(self) else ()
        return {"kind": self.kind, **{field.name: getattr(self, field.name) for field in fields}}

    @classmethod
    @abstractmethod
    def from_tree(cls, tree: Any) -> Any:
        """The value of a tree, whose entries `tree` checks: a `TreeNode` of `formats.snapshot`."""


def classes_by_kind(base: type[T]) -> dict[str, type[T]]:
    """The classes that snapshots can hold, of those derived from `base`."""
    return {cls.kind: cls for cls in _subclasses(base) if cls.kind is not None}


def _subclasses(cls: type[T]) -> Iterator[type[T]]:
    for subclass in cls.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)
