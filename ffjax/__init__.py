"""Static word embeddings as JAX values: words in as bytes, vectors out, everything between inside `jax.jit`."""

# ruff: noqa: F403, F405

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0.dev0"

if TYPE_CHECKING:
    from ffjax._public import *

# The public names. The line that imports a name stands in `_public.py`, not here: see `__getattr__`.
__all__ = [
    "PQ",
    "ComposedArray",
    "Embeddings",
    "ExplicitIndexer",
    "ExplicitVocab",
    "FastTextIndexer",
    "FastTextVocab",
    "FinalfusionBucketVocab",
    "FinalfusionFormatError",
    "FinalfusionHashIndexer",
    "FloretIndexer",
    "FloretVocab",
    "FormatError",
    "Int8Array",
    "Metadata",
    "NdArray",
    "Norms",
    "PruneResult",
    "PrunedIndexer",
    "QuantizationQuality",
    "QuantizeResult",
    "QuantizedArray",
    "RaggedBatch",
    "Rows",
    "ShardedArray",
    "SimilarityResult",
    "SimpleVocab",
    "Storage",
    "StringTable",
    "Strings",
    "SubwordVocab",
    "TopK",
    "TrainingState",
    "Vocab",
    "add_words",
    "analogy",
    "convert",
    "demo",
    "embed",
    "embed_file",
    "embed_text",
    "encode",
    "evaluate",
    "from_bytes",
    "load",
    "load_fasttext",
    "load_finalfusion",
    "load_floret",
    "load_metadata",
    "load_norms",
    "load_storage",
    "load_text",
    "load_text_dims",
    "load_vocab",
    "load_word2vec",
    "lookup",
    "ngrams",
    "normalize",
    "pack",
    "pack_ragged",
    "pool",
    "prune",
    "quantize",
    "reconstruct",
    "reduce_dims",
    "save",
    "select_words",
    "to_bytes",
    "top_k",
    "unpack",
    "unshare_rows",
    "warmup",
    "write_chunks",
    "write_fasttext",
    "write_finalfusion",
    "write_floret",
    "write_text",
    "write_text_dims",
    "write_word2vec",
]

if not TYPE_CHECKING:  # or a type checker would take any name for one of ours

    def __getattr__(name: str) -> Any:
        """Imports the public names, all of them when one is first asked for.

        Importing JAX takes a second, and the command `ffjax` must not take that to show its help or complete a word.
        """
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        public = import_module("ffjax._public")
        globals().update({each: getattr(public, each) for each in __all__})
        return globals()[name]

    def __dir__() -> list[str]:
        return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
