"""What the parts of a finalfusion file have in common."""

from os import PathLike
from typing import Any


class Chunk:
    """A part that a finalfusion file may hold by itself: metadata, a vocabulary, a storage or norms."""

    def write(self, file: str | bytes | int | PathLike[Any]) -> None:
        """Writes this part by itself as a finalfusion file; the old file stays whole until the new one is complete.

        `load_metadata`, `load_vocab`, `load_storage` and `load_norms` read such files.

        Args:
            file: a path, or a descriptor, which is closed afterwards as `open` does.

        Raises:
            FinalfusionFormatError: the format cannot hold it.

        Examples:
            >>> import ffjax, tempfile, pathlib
            >>> path = pathlib.Path(tempfile.mkdtemp()) / "vocab.fifu"
            >>> ffjax.SimpleVocab(["tea", "coffee"]).write(path)
            >>> ffjax.load_vocab(path).words
            ['tea', 'coffee']
        """
        # Formats know the parts, not the other way round; this method and that of `Embeddings` are the exceptions.
        from ffjax.formats.finalfusion import write_chunks

        write_chunks(file, [self])  # type: ignore[list-item]
