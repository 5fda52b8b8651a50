"""Words that share rows, for formats in which each word has a row of its own."""

from ffjax.embeddings.value import Embeddings
from ffjax.transforms.select import take_rows


def unshare_rows(embeddings: Embeddings) -> Embeddings:
    """The same words and vectors with a row for each word: rows that words share are repeated.

    Finalfusion files cannot hold shared rows. Embeddings whose words share no rows are returned
    unchanged.

    Args:
        embeddings: the embeddings.

    Examples:
        >>> import ffjax
        >>> pruned = ffjax.prune(ffjax.demo(), 5000).embeddings
        >>> pruned.storage.shape, ffjax.unshare_rows(pruned).storage.shape
        ((8500, 100), (43500, 100))
    """
    vocab = embeddings.vocab
    if vocab.shared_rows is None:
        return embeddings
    result = take_rows(embeddings, vocab.host_rows, vocab.with_words(vocab.table))
    return result.replace(training=embeddings.training)
