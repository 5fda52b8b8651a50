"""`ffjax explore` and `ffjax neighbours`: a page with a map of the words; neighbours of all."""

import os
from typing import Any, Literal

from typer import Option

import ffjax
from ffjax.cli.files import check_distinct, check_output, load, shown, task
from ffjax.cli.messages import BadInput, say
from ffjax.cli.options import MetricOption, Source

METHODS = ("umap", "pca", "tsne", "umap-learn")  # written out, so that --help needs no JAX
Target = Literal["html", "atlas", "projector"]
IGNORED = {
    "html": [],
    "atlas": ["--title"],
    "projector": ["--projection", "-k", "--title", "--seed"],
}
ENDINGS = {"html": ".html", "atlas": ".parquet"}


def explore(
    source: Source,
    output: str = Option(..., "-o", metavar="FILE", help="Page, file or folder to write."),
    words: int = Option(100_000, "-n", min=1, help="Words to show."),
    projection: str | None = Option(
        None, metavar="METHOD", help="umap (default), pca, tsne, umap-learn or FILE.npy."
    ),
    k: int | None = Option(
        None, "-k", min=1, max=100, help="Neighbours of each word (default 20)."
    ),
    title: str | None = Option(None, help="Heading of the page (by default the file's name)."),
    to: Target = Option("html", "-t", metavar="PROGRAM", help="Where to show the map."),
    seed: int | None = Option(None, min=0, max=(1 << 32) - 1, help="Random seed (default 0)."),
) -> None:
    """Write a page to explore words on a map, with search, neighbours and analogies.

    The page is one file that opens in any browser, without a network.
    Neighbours in it are exact; analogies are approximate. The first words of
    the file are shown, which are usually the most frequent ones.

    FILE.npy has a position for each word, in two columns.

    --to atlas writes a Parquet file for embedding-atlas, and --to projector a
    folder for TensorFlow's Embedding Projector.

    Examples:
      ffjax explore demo -o words.html
      ffjax explore glove.txt -o glove.html --words 40000
      ffjax explore words.fifu -o words.html --projection pca
      ffjax explore words.fifu -o words.parquet --to atlas
    """
    chosen = {"--projection": projection, "-k": k, "--title": title, "--seed": seed}
    for name in IGNORED[to]:
        if chosen[name] is not None:
            raise BadInput(f"`--to {to}` doesn't take `{name}`.")
    if to == "atlas" and seed is not None and projection not in {None, *METHODS} - {"pca"}:
        # A page may need it for its groups of words.
        raise BadInput(f"`--to atlas` doesn't take `--seed` with `--projection {projection}`.")
    if to == "html" and output.endswith(".parquet"):
        raise BadInput(f"{output}: expected a page (.html). `--to atlas` writes Parquet.")
    if to == "projector":
        check_distinct(output, source.file)  # a folder may exist
    else:
        check_output(output, source.file, ending=ENDINGS[to])
    positions = _positions(projection or "umap")
    emb = load(source, mmap=True)
    options = {"limit": words, "projection": positions, "neighbors": k or 20}
    with task("Reading", source.file, "explore") as bar:
        import jax

        options |= {"key": jax.random.key(seed or 0), "progress": bar.show}
        if to == "projector":
            ffjax.write_projector(output, emb, limit=words)
        elif to == "atlas":
            ffjax.write_atlas(output, emb, **options)
        else:
            name = title or os.path.basename(shown(source.file))
            ffjax.explore(emb, output, title=name, **options)
    n_shown = min(words, emb.n_words)
    size = f", {os.path.getsize(output) / 1e6:.1f} MB" if os.path.isfile(output) else ""
    hint = " Open it in a browser." if to == "html" else ""
    say(f"{output}: {n_shown:,} of {emb.n_words:,} words{size}.{hint}")


def neighbours(
    source: Source,
    output: str = Option(..., "-o", metavar="FILE", help="Parquet file to write."),
    k: int = Option(10, "-k", min=1, help="Number of neighbours of each word."),
    metric: MetricOption = "cosine",
) -> None:
    """Write the exact nearest neighbours of all words to a Parquet file.

    The columns are word, and lists, best first: neighbours, their ids (line
    numbers in the file, from 0) and scores. The embeddings may be larger than
    memory.

    Complete blocks are kept in FILE.partial until the file is complete. If the
    command is interrupted, the same command continues from there.

    Examples:
      ffjax neighbours demo -o neighbours.parquet
      ffjax neighbours words.fifu -k 100 -o neighbours.parquet
    """
    check_output(output, source.file, ending=".parquet")
    emb = load(source, mmap=True)
    with task("Finding neighbours in", source.file, "neighbours", unit="rows") as bar:
        ffjax.neighbours(emb, output, k, metric=metric, progress=bar.update)
    say(f"{output}: neighbours of {emb.n_words:,} words.")


def _positions(projection: str) -> Any:
    """A method's name, or the positions in a file."""
    if projection in METHODS:
        return projection
    if not os.path.isfile(projection):
        expected = f"expected {', '.join(METHODS)} or a file of positions"
        raise BadInput(f"`--projection`: {expected}, got {projection}.")
    import numpy as np

    try:
        return np.load(projection, allow_pickle=False)
    except ValueError as error:
        expected = "expected an array of numbers as NumPy saves it"
        raise BadInput(f"{projection}: {expected}: {error}") from error
