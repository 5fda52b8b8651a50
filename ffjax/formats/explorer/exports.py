"""Words and vectors for other programs that show embeddings."""

import json
import re
from os import PathLike, fspath
from typing import Any

import jax

from ffjax._internal.arguments import key_of
from ffjax._internal.atomic_write import atomic_folder, open_output
from ffjax._internal.extras import require_arrow
from ffjax._internal.progress import Report, ignore
from ffjax.embeddings.value import Embeddings
from ffjax.formats.explorer.api import first_words, placed_words

_LINE_ENDS = re.compile(r"[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]")
PROJECTOR_FILES = ("tensors.bytes", "metadata.tsv", "config.json", "projector_config.pbtxt")


def write_projector(
    path: str | PathLike[str], embeddings: Embeddings, *, limit: int = 100_000
) -> None:
    """Writes a folder for TensorFlow's Embedding Projector, and for TensorBoard's.

    The standalone projector reads `config.json`, TensorBoard `projector_config.pbtxt`. Tabs and
    line ends in words become spaces, and a word of nothing but white space is written as `␣`, since
    the projector skips empty lines.

    Args:
        path: the folder to write; one that this function wrote earlier is replaced.
        embeddings: the embeddings.
        limit: how many words to write; the first ones of the vocabulary.

    Raises:
        FileExistsError: if the folder holds other files.
        ValueError: if there are no words.

    Examples:
        >>> import ffjax, tempfile, os
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     ffjax.write_projector(folder + "/tea", ffjax.demo(), limit=1000)
        ...     sorted(os.listdir(folder + "/tea"))
        ['config.json', 'metadata.tsv', 'projector_config.pbtxt', 'tensors.bytes']
    """
    names, rows = first_words(embeddings, limit)
    tensors, labels, config, board = PROJECTOR_FILES
    tensor = {"tensorName": "words", "tensorShape": list(rows.shape), "tensorPath": tensors}
    fields = [f'tensor_path: "{tensors}"', f'metadata_path: "{labels}"']
    fields += [f"tensor_shape: {size}" for size in rows.shape]
    settings = "embeddings {\n" + "".join(f"  {field}\n" for field in fields) + "}\n"
    words = (_LINE_ENDS.sub(" ", name) if name.strip() else "␣" for name in names)
    contents = {
        tensors: rows.astype("<f4").tobytes(),
        # One column has no heading.
        labels: "".join(f"{word}\n" for word in words).encode("utf-8", "replace"),
        config: json.dumps({"embeddings": [tensor | {"metadataPath": labels}]}, indent=2).encode(),
        board: settings.encode(),
    }
    with atomic_folder(fspath(path), PROJECTOR_FILES) as new:
        for name, content in contents.items():
            (new / name).write_bytes(content)


def write_atlas(
    path: str | PathLike[str],
    embeddings: Embeddings,
    *,
    limit: int = 100_000,
    projection: Any = "umap",
    neighbors: int = 20,
    key: jax.Array | None = None,
    progress: Report | None = None,
) -> None:
    """Writes a Parquet file for embedding-atlas: words, positions, neighbours and vectors.

    The columns are `word`, `x`, `y`, `neighbors` (a struct of row numbers `ids` and cosine
    `distances`) and `vector` (unit length); name them to the program, as in
    `embedding-atlas FILE --text word --x x --y y --neighbors neighbors --vector vector`.

    Args:
        path: the file to write.
        embeddings: the embeddings.
        limit: how many words to write; the first ones of the vocabulary.
        projection: as in `explore`.
        neighbors: how many neighbours of each word to write.
        key: as in `explore`.
        progress: as in `explore`.

    Raises:
        ImportError: if pyarrow is missing.

    Examples:
        >>> import ffjax, tempfile
        >>> with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
        ...     ffjax.write_atlas(file.name, ffjax.demo(), limit=1000, projection="pca")
    """
    pa, pq = require_arrow("`write_atlas`")
    report = progress or ignore
    word_map = placed_words(embeddings, limit, projection, neighbors, key_of(key), report)
    nearest = word_map.neighbors
    ids = [row[row >= 0] for row in nearest.rows]
    distances = [1 - scores[: len(row)] for scores, row in zip(nearest.scores, ids, strict=True)]
    lists = [pa.array(ids, pa.list_(pa.int32())), pa.array(distances, pa.list_(pa.float32()))]
    vectors = word_map.vectors
    columns = {
        "word": [name.encode("utf-8", "replace").decode() for name in word_map.words],
        "x": word_map.positions[:, 0],
        "y": word_map.positions[:, 1],
        "neighbors": pa.StructArray.from_arrays(lists, ["ids", "distances"]),
        "vector": pa.FixedSizeListArray.from_arrays(vectors.ravel(), vectors.shape[1]),
    }
    with open_output(path) as stream:
        pq.write_table(pa.table(columns), stream)
