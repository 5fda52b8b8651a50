"""What values that can be chunks of a finalfusion file have in common."""

from os import PathLike
from typing import Any


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
