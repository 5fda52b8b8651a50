"""Filling the explorer's page, which is built from `explorer/`, with the data of embeddings."""

import base64
import html
import json
import zlib
from importlib.resources import files
from typing import Any

import numpy as np

from ffjax.formats.explorer.content import Clusters, Codes, WordMap

OUTSIDE, MARGIN = 0.01, 0.07  # shares of the words, and of the map
SAME_NORMS = 1e-3
SIDE = 65535  # positions are whole numbers up to this one


def filled_page(
    about: dict[str, Any], word_map: WordMap, clusters: Clusters, codes: Codes
) -> bytes:
    """The page with its data, as deflated blocks in base64; `src/data.js` reads them."""
    neighbors, norms = word_map.neighbors, word_map.norms
    if np.ptp(norms) < SAME_NORMS:
        norms = norms[:0]  # nothing to color by
    quantizers, centroids, width = codes.codebooks.shape
    about = about | {
        "k": neighbors.rows.shape[1],
        "clusters": clusters.names,
        "quantizers": quantizers,
        "centroids": centroids,
        "width": width,
    }
    blocks = {
        "about": json.dumps(about).encode(),
        "words": json.dumps(word_map.words, separators=(",", ":")).encode(),
        "positions": _grid(word_map.positions).tobytes(),
        "neighbors": _planes(neighbors.rows & 0xFFFFFF, 3),
        "scores": _planes(_score_steps(neighbors.scores), 2),
        "clusters": clusters.numbers.tobytes(),
        "codes": codes.codes.tobytes(),
        "codebooks": codes.codebooks.astype("<f4").tobytes(),
        "norms": norms.astype("<f4").tobytes(),
    }
    page = files("ffjax").joinpath("data/explorer.html").read_text("utf-8")
    page = page.replace("<!-- ffjax:title -->", html.escape(f"{about['title']} · ffjax"), 1)
    data = "\n".join(_script(name, block) for name, block in blocks.items())
    return page.replace("<!-- ffjax:data -->", data, 1).encode()


def _script(name: str, block: bytes) -> str:
    text = base64.b64encode(zlib.compress(block, 9)).decode()
    return f'<script type="application/octet-stream" id="data-{name}">{text}</script>'


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


def _score_steps(scores: np.ndarray) -> np.ndarray:
    """By how many thousandths each score is below the one before it, the first below 1."""
    thousandths = np.rint(1000 * (np.clip(scores, -1, 1) + 1)).astype(np.int32)
    first = np.full((len(scores), 1), 2000, np.int32)
    return np.maximum(-np.diff(thousandths, axis=1, prepend=first), 0)
