"""`ffjax reduce`: fewer dimensions."""

from typing import Annotated

from typer import Option

import ffjax
from ffjax.cli.exit_status import say
from ffjax.cli.files import rewrite
from ffjax.cli.options import Source, Target
from ffjax.cli.progress import Bar


def reduce(
    source: Source,
    target: Target,
    dims: Annotated[int, Option("--dims", "-d", min=1, help="Dimensions to keep.")],
    center: Annotated[bool, Option("--center", help="Subtract the mean vector first.")] = False,
) -> None:
    """Project the vectors onto their first principal components.

    All rows are projected, those of n-grams too. Prints the share of the
    variance that is kept; without --center, of the squared lengths.

    Examples:
      ffjax reduce words.fifu small.fifu --dims 100
      ffjax reduce cc.de.300.bin cc.de.100.fifu --dims 100 --center
    """
    share = 0.0

    def change(emb: "ffjax.Embeddings", bar: Bar) -> "ffjax.Embeddings":
        from ffjax.transforms.pca import principal_components, project

        nonlocal share
        components = principal_components(emb, dims, center=center, progress=bar.update)
        share = components.explained
        return project(emb, components, progress=bar.update)

    loaded = rewrite(source, target, change, "Reducing", function="reduce_dims", unit="rows")
    of = "variance" if center else "squared lengths"
    say(f"{dims} of {loaded.dims} dimensions keep {100 * share:.1f} % of the {of}.")
