"""What a static model holds, without its rows; importing this does not import JAX."""

from typing import Any

from ffjax.formats.io.streams import Stream, open_source
from ffjax.formats.model2vec import layout as layouts
from ffjax.formats.safetensors_file import read_header
from ffjax.strings.tokenizer_file import read_tokenizer


def describe(stream: Stream) -> dict[str, Any]:
    """The layout, the tokenizer, the number of tokens, and the shape of the rows."""
    folder = stream.expected_folder()
    layout = layouts.layout_in(folder)
    settings = layouts.read_settings(folder, layout)
    raw = folder.read(layout.tokenizer)
    tokenizer = read_tokenizer(raw, folder.path_of(layout.tokenizer))
    with folder.open(layout.tensors) as stream, open_source(stream) as source:
        rows, dims = (tensor := layouts.rows_tensor(folder, layout, read_header(source))).shape
    return {
        "layout": layout.name,
        "tokenizer": tokenizer.kind,
        "tokens": len(tokenizer.vocab),
        "storage": "NdArray",
        "rows": rows,
        "dims": dims,
        "dtype": tensor.dtype.name,
        "normalized": settings.normalize,
    }
