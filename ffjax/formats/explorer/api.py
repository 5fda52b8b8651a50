"""`explore`: words on a map, in one HTML file."""

import html
from functools import partial
from os import PathLike, fspath
from typing import Any

import jax

from ffjax._internal.arguments import key_of
from ffjax._internal.atomic_write import open_output
from ffjax._internal.progress import Report, ignore
from ffjax.embeddings.value import Embeddings
from ffjax.formats.explorer.content import named_clusters, placed_words, quantized
from ffjax.formats.explorer.page import filled_page
from ffjax.transforms.projection import METHODS

FRAME_HEIGHT = 640  # pixels, in a notebook


class ExplorerPage:
    """A self-contained HTML page: shown in a notebook, or saved as a file.

    Attributes:
        content: the page, as UTF-8.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content

    def save(self, path: str | PathLike[str]) -> None:
        """Writes the page; an existing file is replaced when the new one is complete.

        Args:
            path: the file, usually with the ending `.html`.
        """
        with open_output(path) as stream:
            stream.write(self.content)

    def _repr_html_(self) -> str:
        """The page in a frame, as notebooks show it."""
        source = html.escape(self.content.decode())
        style = f"width: 100%; height: {FRAME_HEIGHT}px; border: 1px solid #ccc"
        return f'<iframe srcdoc="{source}" style="{style}" allow="clipboard-write"></iframe>'

    def __repr__(self) -> str:
        return f"ExplorerPage({len(self.content) / 1e6:.1f} MB)"


def explore(
    embeddings: Embeddings,
    path: str | PathLike[str] | None = None,
    *,
    limit: int = 100_000,
    projection: Any = "umap",
    neighbors: int = 20,
    title: str | None = None,
    key: jax.Array | None = None,
    progress: Report | None = None,
) -> ExplorerPage:
    """An HTML page to explore words: a map with search, neighbours and analogies.

    The page needs no server, no network and no other file. Neighbours are exact, by the cosine, and
    computed beforehand. Analogies are answered in the page from product-quantized rows, so they
    are approximate, and the page says so. Zero vectors have no neighbours.

    Args:
        embeddings: the embeddings.
        path: where to write the page, if it is to be written.
        limit: how many words to show; the first ones of the vocabulary, usually the most frequent.
        projection: `"umap"` (in compiled JAX, from the exact neighbours), `"pca"`, `"tsne"`
            (openTSNE) or `"umap-learn"`, or an array of positions, `[words, 2]`.
        neighbors: how many neighbours of each word the page holds.
        title: the heading of the page, `"Embeddings"` by default.
        key: draws random numbers; the same key gives the same page on the same machine.
            `jax.random.key(0)` by default.
        progress: called with what is being done, how much of it is done and how much there is.

    Returns:
        The page, which notebooks show.

    Raises:
        TypeError: if an argument has another type.
        ValueError: if there are no words, an option is out of range, or the positions do not fit.
        ImportError: if the projection needs a package that is not installed.

    Examples:
        >>> import ffjax
        >>> emb = ffjax.select_words(ffjax.demo(), ffjax.demo().vocab.words[:500])
        >>> ffjax.explore(emb, projection="pca")
        ExplorerPage(0.3 MB)
    """
    report = progress or ignore
    map_key, cluster_key, code_key = jax.random.split(key_of(key), 3)
    word_map = placed_words(embeddings, limit, projection, neighbors, map_key, report)
    seed = int(jax.random.bits(cluster_key))
    clusters = named_clusters(word_map, seed)
    codes = quantized(word_map.vectors, code_key, partial(report, "Quantizing"))
    about = {
        "title": title or "Embeddings",
        "total": embeddings.n_words,
        "dims": embeddings.dims,
        "projection": METHODS[projection] if isinstance(projection, str) else "",
    }
    page = ExplorerPage(filled_page(about, word_map, clusters, codes))
    if path is not None:
        page.save(fspath(path))
    return page
