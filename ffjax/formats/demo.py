"""The embeddings that come with the package."""

from importlib.resources import as_file, files

from ffjax.embeddings import Embeddings
from ffjax.formats.finalfusion import load_finalfusion


def demo() -> Embeddings:
    """Opens the embeddings inside the package: the 10,000 most frequent words of GloVe, 100 dimensions, English.

    They are read anew on each call, which takes a few milliseconds. Rows have unit length, norms are those before.
    `ffjax/data/LICENSE-GloVe.md` says where they come from: the vectors are in the public domain.

    Examples:
        >>> import ffjax
        >>> emb = ffjax.demo()
        >>> emb.n_words, emb.dims, emb.vocab.words[:3]
        (10000, 100, ['the', ',', '.'])
    """
    with as_file(files("ffjax") / "data" / "demo.fifu") as path:
        return load_finalfusion(path)
