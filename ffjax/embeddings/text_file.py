r"""A vector for each line of a text file, into a `.npy` file, for texts and results larger than memory.

    header   128 bytes                  NumPy's, version 1.0, padded with spaces; written again once lines are counted
    vectors  float[lines, dims]         float32 or float16, little endian, in the order of the lines

See https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html. The file appears under its name when it is
complete.
"""

import os
from collections.abc import Callable, Iterator
from io import BufferedIOBase
from typing import Any

import numpy as np

from ffjax._internal.atomic_write import atomic_write
from ffjax.embeddings.text import embed_text
from ffjax.embeddings.value import Embeddings

DTYPES = ("float32", "float16")
_HEADER = 128
_BLOCK = 1 << 24


def embed_file(
    embeddings: Embeddings,
    source: str | os.PathLike[str] | BufferedIOBase,
    target: str | os.PathLike[str],
    *,
    pooling: str = "mean",
    weights: Any = None,
    unnormalize: bool = False,
    dtype: str = "float32",
    progress: Callable[[int, int], None] | None = None,
) -> int:
    r"""Writes one vector for each line of a text file into a `.npy` file, block by block, in constant memory.

    `np.load(target, mmap_mode="r")` opens the result. An old file stays whole until the new one is complete.

    Args:
        embeddings: the embeddings.
        source: the path of the text, UTF-8; or a binary file, which is read to its end.
        target: the path of the result.
        pooling: as in `embed_text`.
        weights: as in `embed_text`.
        unnormalize: as in `embed_text`.
        dtype: `"float32"` or `"float16"`.
        progress: called after each block with the bytes read and the lines written in it.

    Returns:
        How many lines there were.

    Raises:
        TypeError: an argument is of another type.
        ValueError: an unknown pooling or dtype, `weights` that do not fit, or one file for text and result.
        OSError: a file cannot be read or written.

    Examples:
        >>> import ffjax, tempfile, pathlib, numpy as np
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "text").write_text("a cup of tea\nberlin\n")
        >>> ffjax.embed_file(ffjax.demo(), folder / "text", folder / "vectors.npy")
        2
        >>> np.load(folder / "vectors.npy").shape
        (2, 100)
    """
    if dtype not in DTYPES:
        raise ValueError(f"`dtype`: expected one of {', '.join(DTYPES)}, got {dtype!r}.")
    settings: dict[str, Any] = {"pooling": pooling, "weights": weights, "unnormalize": unnormalize}
    kind = np.dtype(dtype).newbyteorder("<")
    embed_text(embeddings, b"", **settings)  # refuses wrong settings before anything is opened
    if not isinstance(source, str | os.PathLike) and not hasattr(source, "read"):
        raise TypeError(f"`source`: expected a path or a binary file, got {type(source).__name__} {source!r}.")
    if isinstance(source, str | os.PathLike):
        if os.path.exists(target) and os.path.samefile(source, target):
            raise ValueError(f"`target`: expected another file than the text, got {os.fspath(target)!r} for both.")
        with open(source, "rb") as file:
            return _write(embeddings, file, target, kind, settings, progress)
    return _write(embeddings, source, target, kind, settings, progress)


def _write(
    embeddings: Embeddings, source: Any, target: Any, dtype: np.dtype, settings: dict[str, Any], progress: Any
) -> int:
    n_lines = 0
    with atomic_write(target) as out:
        out.write(bytes(_HEADER))
        for block in blocks(source):
            vectors, _ = embed_text(embeddings, block, **settings)
            out.write(np.ascontiguousarray(vectors, dtype).data)
            n_lines += len(vectors)
            if progress is not None:
                progress(len(block), len(vectors))
        out.seek(0)
        out.write(header(n_lines, embeddings.dims, dtype))
    return n_lines


def blocks(source: Any, size: int = _BLOCK) -> Iterator[bytes]:
    r"""The bytes of a file in blocks of whole lines.

    Args:
        source: a binary file.
        size: how much is read at a time; a longer line makes a longer block.

    Examples:
        >>> import io
        >>> list(blocks(io.BytesIO(b"ab\ncdefg\nh"), 4))
        [b'ab\n', b'cdefg\n', b'h']
    """
    parts: list[bytes] = []
    while data := source.read(size):
        end = data.rfind(b"\n") + 1
        if end:
            yield b"".join([*parts, data[:end]])
            parts = []
        parts.append(data[end:])
    if rest := b"".join(parts):
        yield rest


def header(rows: int, dims: int, dtype: np.dtype) -> bytes:
    """NumPy's header for a matrix, always of 128 bytes.

    Examples:
        >>> len(header(10**15, 300, np.dtype("<f4")))
        128
    """
    text = f"{{'descr': {dtype.str!r}, 'fortran_order': False, 'shape': ({rows}, {dims}), }}"
    return b"\x93NUMPY\x01\x00" + (_HEADER - 10).to_bytes(2, "little") + text.ljust(_HEADER - 11).encode() + b"\n"
