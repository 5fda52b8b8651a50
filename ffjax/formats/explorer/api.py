"""`explore`: words on a map, in one HTML file."""

import base64
import html
import json
import warnings
import zlib
from functools import partial
from importlib.resources import files
from os import PathLike, fspath
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy.cluster import vq

from ffjax._internal.arguments import check_embeddings, key_of, whole_number
from ffjax._internal.atomic_write import open_output
from ffjax._internal.progress import Progress, Report, ignore
from ffjax.embeddings.value import Embeddings
from ffjax.kernels.normalize import to_unit
from ffjax.storage import NdArray
from ffjax.storage.base import check_finite
from ffjax.transforms.pq_training import PQSettings, encode_rows, sample_rows, train_pq
from ffjax.transforms.projection import METHODS, Neighbors, nearest_words, plane

FRAME_HEIGHT = 640  # pixels, in a notebook
MAX_CODES = 60  # bytes that a word's approximate vector takes
PQ_STEPS = 12
PQ_SAMPLE = 20_000
WORDS_PER_CLUSTER, MAX_CLUSTERS = 150, 32
CLUSTER_SAMPLE = 20_000
NAMING_SHARE = 0.03  # of a cluster's words: the most frequent ones can name it
OUTSIDE, MARGIN = 0.01, 0.07  # shares of the words, and of the map
SAME_NORMS = 1e-3
SIDE = 65535  # positions are whole numbers up to this one


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
        ValueError: if there are no words, an option is out of range, the positions do not fit, or
            words to be placed have NaN or infinity.
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
    cluster_names, clusters = _named_clusters(word_map, int(jax.random.bits(cluster_key)))
    codes, codebooks = _quantized(word_map.vectors, code_key, partial(report, "Quantizing"))
    quantizers, centroids, width = codebooks.shape
    about = {
        "title": title or "Embeddings",
        "total": embeddings.n_words,
        "dims": embeddings.dims,
        "projection": METHODS[projection] if isinstance(projection, str) else "",
        "k": word_map.neighbors.rows.shape[1],
        "clusters": cluster_names,
        "quantizers": quantizers,
        "centroids": centroids,
        "width": width,
    }
    blocks = {
        "about": json.dumps(about).encode(),
        **_map_blocks(word_map),
        "clusters": clusters.tobytes(),
        "codes": codes.tobytes(),
        "codebooks": codebooks.astype("<f4").tobytes(),
    }
    page = ExplorerPage(_filled(about["title"], blocks))
    if path is not None:
        page.save(fspath(path))
    return page


class WordMap(NamedTuple):
    """Words in two dimensions, with their exact neighbours."""

    words: list[str]
    vectors: np.ndarray  # of unit length, float32 [words, dims]
    norms: np.ndarray  # float32 [words]
    neighbors: Neighbors
    positions: np.ndarray  # float32 [words, 2]


def placed_words(
    emb: Embeddings,
    limit: int,
    projection: Any,
    neighbors: int,
    key: jax.Array,
    report: Report,
) -> WordMap:
    """The first words of embeddings, placed by a method or at positions that the caller gives."""
    names, rows = first_words(emb, limit)
    neighbors, vectors = whole_number("neighbors", neighbors, 1), to_unit(rows)
    positions = _checked_positions(projection, len(names))
    if positions is None:
        check_finite(rows, 0, lambda row: f"the vector of {names[row]!r}")
    nearest = nearest_words(vectors, neighbors, partial(report, "Finding neighbours"))
    nearest.rows[~vectors.any(1)] = -1  # a zero vector has no direction
    if positions is None:
        drawing = partial(report, "Drawing the map")
        positions = plane(vectors, nearest, projection, key, drawing)
    norms = np.linalg.norm(rows, axis=1)
    if emb.norms is not None:
        norms = np.asarray(emb.norms)[emb.vocab.rows_of(names)]
    return WordMap(names, vectors, norms, nearest, positions)


def first_words(emb: Embeddings, limit: int) -> tuple[list[str], np.ndarray]:
    """The first words of embeddings and their vectors, float32 `[words, dims]`."""
    check_embeddings(emb)
    names = list(emb.vocab.words[: whole_number("limit", limit, 1)])
    if not names:
        raise ValueError("`embeddings`: expected some words, got none.")
    return names, np.asarray(emb.embedding_batch(names)[0], np.float32)


def _checked_positions(projection: Any, n_words: int) -> np.ndarray | None:
    """Positions that the caller gives, or `None` for a method."""
    if isinstance(projection, str):
        if projection not in METHODS:
            expected = ", ".join(map(repr, METHODS))
            raise ValueError(
                f"`projection`: expected one of {expected} or positions, got {projection!r}."
            )
        return None
    positions = np.asarray(projection)
    got = f"{positions.dtype} {list(positions.shape)}"
    is_valid = positions.shape == (n_words, 2) and positions.dtype.kind in "fiu"
    if is_valid and not np.isfinite(positions).all():
        row = int(np.isfinite(positions).all(1).argmin())
        got, is_valid = f"{positions[row]} in row {row}", False
    if not is_valid:
        raise ValueError(
            f"`projection`: expected finite numbers of shape [{n_words}, 2], one row for each "
            f"word, got {got}."
        )
    return positions.astype(np.float32)


def _named_clusters(word_map: WordMap, seed: int) -> tuple[list[str], np.ndarray]:
    """Regions of the map by k-means: names after two frequent words, and each word's region."""
    words, vectors, positions = word_map.words, word_map.vectors, word_map.positions
    n = len(words)
    n_clusters = max(1, min(MAX_CLUSTERS, n // WORDS_PER_CLUSTER))
    rng = np.random.default_rng(seed)
    sample = positions[np.sort(rng.permutation(n)[:CLUSTER_SAMPLE])]
    with warnings.catch_warnings(action="ignore"):  # an empty cluster is dropped below
        centers, _ = vq.kmeans2(sample, n_clusters, iter=25, minit="++", rng=rng)
    _, numbers = np.unique(vq.vq(positions, centers)[0], return_inverse=True)
    mean = vectors.mean(0)
    regions = [np.flatnonzero(numbers == number) for number in range(numbers.max() + 1)]
    names = [_name(words, vectors, region, mean) for region in regions]
    return names, numbers.astype(np.uint8)


def _name(words: list[str], vectors: np.ndarray, members: np.ndarray, mean: np.ndarray) -> str:
    """The two frequent words that are most typical of a cluster, as opposed to all words."""
    direction = vectors[members].mean(0) - mean
    n_frequent = max(12, int(NAMING_SHARE * len(members)))
    frequent = [row for row in members if words[row].isalpha() and len(words[row]) > 2]
    frequent = frequent[:n_frequent] or list(members[:n_frequent])
    order = np.argsort(-(vectors[frequent] @ direction), kind="stable")
    return " · ".join(words[frequent[i]] for i in order[:2])


def _quantized(
    vectors: np.ndarray, key: jax.Array, progress: Progress
) -> tuple[np.ndarray, np.ndarray]:
    """Codes of unit vectors, of at most `MAX_CODES` bytes each, and the codebooks."""
    n, dims = vectors.shape
    width = max(2 if dims > 1 else 1, -(-dims // MAX_CODES))
    quantizers = -(-dims // width)
    padded = NdArray(np.pad(vectors, ((0, 0), (0, quantizers * width - dims))))
    centroids = 1 << min(8, n.bit_length() - 1)
    settings = PQSettings(quantizers, centroids, PQ_STEPS, 1, min(n, PQ_SAMPLE))
    pq = train_pq(sample_rows(padded, settings.sample, None, key), settings, key, progress)
    codes = encode_rows(padded, pq, None, ignore)
    return np.asarray(codes), np.asarray(pq.codebooks)


def _filled(title: str, blocks: dict[str, bytes]) -> bytes:
    """The page, which is built from `explorer/`, with deflated blocks in base64 for `data.js`."""
    page = files("ffjax").joinpath("data/explorer.html").read_text("utf-8")
    page = page.replace("<!-- ffjax:title -->", html.escape(f"{title} · ffjax"), 1)
    scripts = []
    for name, block in blocks.items():
        text = base64.b64encode(zlib.compress(block, 9)).decode()
        scripts.append(
            f'<script type="application/octet-stream" id="data-{name}">{text}</script>'
        )
    return page.replace("<!-- ffjax:data -->", "\n".join(scripts), 1).encode()


def _map_blocks(word_map: WordMap) -> dict[str, bytes]:
    """Words, their positions, neighbours and norms as the page has them."""
    neighbors, norms = word_map.neighbors, word_map.norms
    if np.ptp(norms) < SAME_NORMS:
        norms = norms[:0]  # nothing to color by
    # By how many thousandths each score is below the one before it, the first below 1.
    thousandths = np.rint(1000 * (np.clip(neighbors.scores, -1, 1) + 1)).astype(np.int32)
    first = np.full((len(thousandths), 1), 2000, np.int32)
    steps = np.maximum(-np.diff(thousandths, axis=1, prepend=first), 0)
    return {
        "words": json.dumps(word_map.words, separators=(",", ":")).encode(),
        "positions": _grid(word_map.positions).tobytes(),
        "neighbors": _planes(neighbors.rows & 0xFFFFFF, 3),
        "scores": _planes(steps, 2),
        "norms": norms.astype("<f4").tobytes(),
    }


def _grid(positions: np.ndarray) -> np.ndarray:
    """Positions as uint16 `[words, 2]`, y pointing down; both axes have one scale."""
    low, high = np.quantile(positions, [OUTSIDE, 1 - OUTSIDE], axis=0)
    extent = float((high - low).max()) or 1.0
    scaled = (1 - 2 * MARGIN) * (positions - (low + high) / 2) / extent
    # A few words far from all others would make the rest small: the margin takes them all.
    border = 0.5 - MARGIN
    excess = np.maximum(abs(scaled) - border, 0)
    inside = np.minimum(abs(scaled), border) + MARGIN * -np.expm1(-excess / MARGIN)
    scaled = 0.5 + np.sign(scaled) * inside
    scaled[:, 1] = 1 - scaled[:, 1]
    return np.rint(SIDE * scaled).astype("<u2")


def _planes(numbers: np.ndarray, n_bytes: int) -> bytes:
    """The low bytes of all numbers, then the next ones: bytes of one kind deflate better."""
    flat = numbers.astype("<u4").reshape(-1)
    return flat.view(np.uint8).reshape(-1, 4)[:, :n_bytes].T.tobytes()
