"""Words that share rows, for formats in which each word has a row of its own."""

import numpy as np

from ffjax.embeddings.value import Embeddings
from ffjax.storage.norms import Norms
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
    vocab, norms = embeddings.vocab, embeddings.norms
    if vocab.shared_rows is None:
        return embeddings
    rows = vocab.host_rows
    return Embeddings(
        take_rows(embeddings.storage, rows, vocab.n_word_rows),
        vocab.with_words(vocab.table),
        None if norms is None else Norms(np.asarray(norms)[rows]),
        embeddings.metadata,
        embeddings.training,
    )
