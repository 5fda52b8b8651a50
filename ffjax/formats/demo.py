"""The embeddings that come with the package."""

from importlib.resources import as_file, files

from ffjax.embeddings.value import Embeddings
from ffjax.formats.finalfusion.reader import load_finalfusion


def demo() -> Embeddings:
    """Opens the embedded embeddings: GloVe's 40,000 most frequent English words, 100 dimensions.

    Rows of unit length were quantized to 50 bytes (`quantize` with `"opq"`); `quality` in the
    metadata says how much they lost, and `reconstruct` makes plain rows. Norms are those of GloVe's
    vectors. Unknown words are sums of n-grams, whose rows were fitted to the words' vectors; words
    without a known n-gram, such as numbers, have no vector.

    The file is read anew on each call, which takes some tens of milliseconds.
    `ffjax/data/LICENSE-GloVe.md` says where the vectors come from: they are in the public domain.

    Examples:
        >>> import ffjax
        >>> emb = ffjax.demo()
        >>> emb.n_words, emb.dims, emb.vocab.words[:3]
        (40000, 100, ['the', ',', '.'])
        >>> emb.metadata["quality"]["recall_at_10"] > 0.9
        True
        >>> "neuropharmacology" in emb
        False
        >>> emb.word_similarity("neuropharmacology", k=1)[0].word
        'neuroscience'
    """
    with as_file(files("ffjax") / "data" / "demo.fifu") as path:
        return load_finalfusion(path)
