"""Draws docs/images/quantization.png: `python tools/plot_quantization.py glove.6B.100d.txt`."""

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import ffjax

TARGET = Path(__file__).parents[1] / "docs" / "images" / "quantization.png"
N_WORDS = 40_000
SUBQUANTIZERS = (10, 20, 25, 50)


def measure(emb: ffjax.Embeddings, method: str, **options: int) -> tuple[float, float]:
    """Bytes of a row, and the recall of its ten nearest neighbours."""
    result = ffjax.quantize(emb, method, **options)
    storage = result.embeddings.storage
    row = storage.codes[0] if method.endswith("pq") else np.asarray(storage[:1])
    n_bytes = {"pq": row.nbytes, "opq": row.nbytes, "int8": emb.dims + 4, "bfloat16": 2 * emb.dims}
    print(method, options, n_bytes[method], result.quality, flush=True)
    return n_bytes[method], result.quality.recall


def draw(emb: ffjax.Embeddings) -> None:
    """One line for each method with subquantizers, one point for each other."""
    figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
    for method, color in (("pq", "#2b44a8"), ("opq", "#c2410c")):
        points = [measure(emb, method, subquantizers=n) for n in SUBQUANTIZERS]
        axes.plot(*zip(*points, strict=True), "o-", color=color, label=f'"{method}"')
    for method, marker in (("int8", "s"), ("bfloat16", "D")):
        axes.plot(*measure(emb, method), marker, color="#374151", label=f'"{method}"')
    axes.plot(4 * emb.dims, 1, "*", color="#374151", markersize=9, label="plain")
    axes.set(xscale="log", xlabel="bytes per row", ylabel="recall of 10 neighbours", ylim=(0, 1.05))
    ticks = [*SUBQUANTIZERS, 100, 200, 400]
    axes.set_xticks(ticks, map(str, ticks))
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(TARGET, dpi=120)


if __name__ == "__main__":
    draw(ffjax.load(sys.argv[1], limit=N_WORDS))
