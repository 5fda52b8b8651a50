"""Layers of spaCy's models as pure functions, with thin modules of Equinox and Flax NNX over them.

May import everything but the command. `ffjax.layers.equinox` and `ffjax.layers.nnx` have the
modules and need the extra `train`; nothing else does.
"""

from ffjax.layers.features import TokenBatch, pack_documents, word_features
from ffjax.layers.functions import (
    hash_embed,
    hash_rows,
    layer_norm,
    maxout,
    maxout_window_encoder,
    multi_hash_embed,
    static_vectors,
    tok2vec,
)
from ffjax.layers.pipeline import LoadedTok2Vec, load_tok2vec
from ffjax.layers.weights import (
    MaxoutWeights,
    Tok2VecWeights,
    init_maxout,
    init_table,
    init_tok2vec,
)

__all__ = [
    "LoadedTok2Vec", "MaxoutWeights", "Tok2VecWeights", "TokenBatch",
    "hash_embed", "hash_rows", "init_maxout", "init_table", "init_tok2vec", "layer_norm",
    "load_tok2vec", "maxout", "maxout_window_encoder", "multi_hash_embed", "pack_documents",
    "static_vectors", "tok2vec", "word_features",
]
