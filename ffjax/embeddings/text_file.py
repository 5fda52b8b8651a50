r"""A vector for each line of a text file, into a `.npy` file, for texts larger than memory.

    header   128 bytes            NumPy's, version 1.0; written again once lines are counted
    vectors  float[lines, dims]   float32 or float16, little endian, in the order of the lines

See https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
"""

import os
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from io import BufferedIOBase
from select import select
from stat import S_ISREG
from time import monotonic
from typing import Any

import numpy as np
from numpy.lib.format import write_array_header_1_0

from ffjax._internal.atomic_write import atomic_write
from ffjax._internal.file_arguments import check_choice, check_source
from ffjax._internal.progress import BlockProgress
from ffjax._internal.text_check import check_text
from ffjax.embeddings.static_model import StaticModel
from ffjax.embeddings.text import embed_text
from ffjax.embeddings.value import Embeddings

DTYPES = ("float32", "float16")
_READ_BYTES = 1 << 24
# Bytes that a pipe holds; seconds without any after which complete lines are answered, and seconds
# after which they are answered anyway.
_PIPE_BYTES, _PAUSE, _LONGEST = 1 << 16, 0.01, 0.5


def embed_file(
    embeddings: Embeddings | StaticModel,
    source: str | os.PathLike[str] | BufferedIOBase,
    target: str | os.PathLike[str],
    *,
    pooling: str = "mean",
    weights: Any = None,
    unnormalize: bool = False,
    lowercase: bool = False,
    strip_punctuation: bool = False,
    dtype: str = "float32",
    progress: BlockProgress | None = None,
) -> int:
    r"""Writes one vector for each line of a text file into a `.npy` file, in constant memory.

    `np.load(target, mmap_mode="r")` opens the result. An existing file is replaced when the new one
    is complete.

    Args:
        embeddings: the embeddings, or a static model, which takes no other options of `embed_text`.
        source: the path of the text, UTF-8; or a binary file, which is read to its end.
        target: the path of the result.
        pooling: as in `embed_text`.
        weights: as in `embed_text`.
        unnormalize: as in `embed_text`.
        lowercase: as in `embed_text`.
        strip_punctuation: as in `embed_text`.
        dtype: `"float32"` or `"float16"`.
        progress: called after each block with the bytes read and the lines written in it.

    Returns:
        The number of lines.

    Raises:
        TypeError: if an argument is of another type.
        ValueError: for an unknown pooling or dtype, `weights` that do not fit, or the same file for
            text and result.
        FormatError: if the source is compressed, or a model or a table.
        OSError: if a file cannot be read or written.

    Examples:
        >>> import ffjax, tempfile, pathlib, numpy as np
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "text").write_text("a cup of tea\nberlin\n")
        >>> ffjax.embed_file(ffjax.demo(), folder / "text", folder / "vectors.npy")
        2
        >>> np.load(folder / "vectors.npy").shape
        (2, 100)
    """
    check_choice("dtype", dtype, DTYPES)
    options = {"lowercase": lowercase, "strip_punctuation": strip_punctuation}
    options |= {"pooling": pooling, "weights": weights, "unnormalize": unnormalize}
    embed: Any = partial(embed_text, embeddings, **options)
    embed(b"")  # raises the errors of wrong settings before anything is opened
    is_path = check_source(source, target)
    descr = np.dtype(dtype).newbyteorder("<").str
    n_lines = 0
    opened: Any = open(source, "rb") if is_path else nullcontext(source)  # type: ignore[arg-type]
    with opened as file, atomic_write(target) as out:
        write_npy_header(out, descr, (0, embeddings.dims))
        for block in blocks(file, path=source if is_path else None):
            vectors, _ = embed(block)
            out.write(np.ascontiguousarray(vectors, descr).data)
            n_lines += len(vectors)
            if progress is not None:
                progress(len(block), len(vectors))
        out.seek(0)
        write_npy_header(out, descr, (n_lines, embeddings.dims))
    return n_lines


def write_npy_header(out: Any, dtype: str, shape: tuple[int, ...]) -> None:
    """NumPy's header, whose size does not depend on the number of rows: NumPy pads it for that."""
    write_array_header_1_0(out, {"descr": dtype, "fortran_order": False, "shape": shape})


def blocks(file: Any, size: int = _READ_BYTES, path: Any = None) -> Iterator[bytes]:
    r"""The bytes of a text in blocks of complete lines, of about `size` bytes; errors name `path`.

    From a pipe or a terminal that pauses, complete lines come at once.

    Examples:
        >>> import io
        >>> list(blocks(io.BytesIO(b"ab\ncdefg\nh"), 4))
        [b'ab\n', b'cdefg\nh']
    """
    chunks: list[bytes] = []  # of a line that is not complete
    data = b""
    for number, (following, pauses) in enumerate(_arrivals(file, size)):
        if not number:
            check_text(following, path)
        # A last line without a line feed belongs to the last block, unless it comes after a pause.
        for text in (data, following) if pauses else (data,):
            end = text.rfind(b"\n") + 1
            if end:
                yield b"".join([*chunks, text[:end]])
                chunks = []
            chunks.append(text[end:])
        data = b"" if pauses else following
    if last := b"".join([*chunks, data]):
        yield last


def _arrivals(file: Any, size: int) -> Iterator[tuple[bytes, bool]]:
    """The bytes of a file, up to `size` at a time, and whether a pause follows, as in a pipe."""
    if not _is_pipe(file):
        while data := file.read(size):
            yield data, False
        return
    data, start = bytearray(), monotonic()
    while chunk := file.read1(min(size - len(data), _PIPE_BYTES)):
        data += chunk
        pauses = monotonic() - start > _LONGEST or _pauses(file)
        if pauses or len(data) == size:
            yield bytes(data), pauses
            data.clear()
            start = monotonic()
    if data:
        yield bytes(data), False


def _pauses(file: Any) -> bool:
    """Whether a pipe or a terminal has no more bytes for a while."""
    try:
        return not select([file], [], [], _PAUSE)[0]
    except (OSError, ValueError):  # Windows, and descriptors of 1024 and more
        return False


def _is_pipe(file: Any) -> bool:
    try:
        mode = os.fstat(file.fileno()).st_mode
    except (AttributeError, OSError):  # not a file of the system
        return False
    return hasattr(file, "read1") and not S_ISREG(mode)
