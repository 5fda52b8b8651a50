"""Reading static models."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ffjax._internal.arguments import whole_number
from ffjax._internal.arrays import release_pages
from ffjax.embeddings.static_encode import TokenRows, checked_arrays
from ffjax.embeddings.static_model import StaticModel
from ffjax.errors import FormatError
from ffjax.formats.foreign import other_format
from ffjax.formats.hub import local_path
from ffjax.formats.io.binary import File
from ffjax.formats.io.folders import Folder
from ffjax.formats.io.streams import Stream, open_source, open_stream
from ffjax.formats.model2vec import layout as layouts
from ffjax.formats.model2vec.layout import Layout
from ffjax.formats.rows.row_blocks import Block, Blocks, to_block
from ffjax.formats.safetensors_file import is_safetensors, read_header
from ffjax.strings.string_table import StringTable
from ffjax.strings.tokenizer import Tokenizer
from ffjax.strings.tokenizer_file import TokenizerFile, read_tokenizer

_HEAD_BYTES = 1 << 12  # enough to recognize another format
_BLOCK_ROWS = 1 << 12
_FROM_MODEL: Any = object()


def load_static_model(
    path: File | Stream,
    *,
    tokenizer: File | None = None,
    dims: int | None = None,
    normalize: bool | None = None,
    max_length: int | None = _FROM_MODEL,
    unknown: str | None = None,
    mmap: bool = False,
    member: str | None = None,
) -> StaticModel:
    """Reads a static model of model2vec or sentence-transformers.

    A model is a folder with `model.safetensors` and `tokenizer.json`. With a `config.json` it is
    one of model2vec, and the answers are those of model2vec 0.10. Otherwise they are those of
    sentence-transformers: unknown tokens count, texts are cut only if the tokenizer says so, and
    the default prompt, if there is one, is put before every text.
    Rows may be F16, BF16, F32, F64 or I8; a `mapping` and `weights` are taken into account.

    Args:
        path: a folder, or an archive of one, such as a wheel; or a file of safetensors, whose
            tokenizer is another file.
        tokenizer: the path of the tokenizer, if `path` is a file.
        dims: how many of the first dimensions to keep, for models that were trained for it.
        normalize: whether vectors are scaled to unit length. By default `config.json` says it, or
            whether `modules.json` lists `Normalize`.
        max_length: how many tokens of a text count, `None` for all. By default `config.json` says
            it, or else it is 512; for sentence-transformers what the tokenizer says.
        unknown: `"drop"` or `"keep"` the token for unknown text; by default as the layout has it.
        mmap: whether to map the rows instead of reading them. The file must not be changed in place
            while the model is used.
        member: the name of the model's folder, or of the file of safetensors, if `path` is an
            archive of others.

    Returns:
        The model.

    Raises:
        FormatError: if a file is missing, truncated or corrupt, or not a static model's; the error
            has the file and the field.
        TypeError: if an argument is of another type.
        ValueError: if `dims` exceeds the dimensions, or an option has another value.
        OSError: if a file cannot be read.

    Examples:
        >>> import ffjax, tempfile
        >>> words = ffjax.from_vectors(["tea", "time"], [[2.0, 0.0], [0.0, 1.0]])
        >>> folder = tempfile.mkdtemp()
        >>> ffjax.write_model2vec(folder, words)
        >>> ffjax.load_static_model(folder).encode("Tea time").tolist()
        [1.0, 0.5]
    """
    path = local_path(path, layouts.is_static_model)
    with open_stream(path, member, layouts.is_static_model) as stream:
        folder, layout = _folder(stream, tokenizer)
        settings = layouts.read_settings(folder, layout)
        raw = folder.read(layout.tokenizer)
        parsed = read_tokenizer(raw, folder.path_of(layout.tokenizer))
        arrays = _read_arrays(folder, layout, parsed, mmap)
    from_st, most = layout.name == "sentence-transformers", arrays.rows.shape[1]
    if dims is not None and not 1 <= whole_number("dims", dims) <= most:
        raise ValueError(f"`dims`: expected 1 to {most}, the dimensions of the model, got {dims}.")
    if max_length is _FROM_MODEL:
        max_length = parsed.truncation if from_st else settings.max_length
    return StaticModel(
        arrays.rows[:, :dims],
        Tokenizer(parsed, raw),
        arrays.mapping,
        arrays.weights,
        normalize=settings.normalize if normalize is None else normalize,
        max_length=max_length,
        unknown=("keep" if from_st else "drop") if unknown is None else unknown,
        layout=layout.name,
        prompt=settings.prompt,
        config=settings.config,
    )


def _folder(stream: Stream, tokenizer: File | None) -> tuple[Folder, Layout]:
    """The files of a model: those of a folder, or two that need not be in one."""
    if stream.folder is not None:
        return stream.folder, layouts.layout_in(stream.folder)
    if tokenizer is None:
        head = stream.head(_HEAD_BYTES)
        got, hint = "a single file", "For a file of safetensors, also pass `tokenizer=PATH`."
        if not is_safetensors(head):
            kind = other_format(head)
            got = "a file of another format" if kind is None else kind.name
            hint = f"`ffjax.load` reads word vectors. {hint}" if kind is None else kind.advice
        expected = "the folder of a static model, or an archive of it"
        raise stream.error(None, expected, got, hint=hint)
    files: dict[str, Any] = {layouts.TENSORS: stream, layouts.TOKENIZER: tokenizer}
    folder = Folder(stream.file, list(files), lambda name: open_stream(files[name]))
    names = layouts.TENSORS, layouts.TOKENIZER
    return folder, Layout("sentence-transformers", None, *names, None)


def _read_arrays(
    folder: Folder, layout: Layout, tokenizer: TokenizerFile, mmap: bool
) -> TokenRows:
    """Reads the arrays of a model, which must fit its tokenizer."""
    with folder.open(layout.tensors) as stream, open_source(stream) as source:
        tensors = read_header(source)
        rows = layouts.rows_tensor(folder, layout, tensors)
        optional = [tensors.get(name) for name in ("mapping", "weights")]
        mapping, weights = (None if tensor is None else tensor.read() for tensor in optional)
        can_map = mmap and rows.nbytes
        matrix = source.map(rows.start, rows.shape, rows.dtype) if can_map else rows.read()
    for array in (matrix, mapping, weights):
        if array is not None and not isinstance(array, np.memmap):
            array.flags.writeable = False  # so that it is not copied
    try:
        return checked_arrays(matrix, mapping, weights, tokenizer)
    except (TypeError, ValueError) as error:
        file = folder.path_of(layout.tensors)
        raise FormatError(file, got=str(error).rstrip(".")) from error


@contextmanager
def read_word_blocks(
    stream: Stream, *, limit: int | None = None, unit: bool = False
) -> Iterator[Blocks]:
    """The words of a static model and their vectors; an error if its tokens are not words."""
    model = load_static_model(stream, mmap=True)
    kind, added, vocab = model.settings.kind, model.settings.added, model.settings.vocab
    if kind != "WordLevel":
        got = f"a static model with {kind} tokens"
        hint = (
            "It embeds texts: use `ffjax.load_static_model(path)`. In Python, "
            "`ffjax.load_static_model(path).embeddings` has its tokens as words."
        )
        raise stream.error(None, "word vectors", got, hint=hint)
    words = [word for word in model.tokens if word not in added][:limit]
    rows, ids = model.token_rows, np.array([vocab[word] for word in words], np.int64)

    def blocks() -> Iterator[Block]:
        for start in range(0, len(words), _BLOCK_ROWS):
            block = slice(start, start + _BLOCK_ROWS)
            vectors = np.array(rows.read(ids[block]), np.float32)
            yield to_block(StringTable.from_strings(words[block]), vectors, unit=unit)
            release_pages(rows.rows)

    yield Blocks(rows.rows.shape[1], len(words), blocks(), unit=unit)
