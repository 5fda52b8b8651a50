"""The imports behind the public names, which `ffjax/__init__.py` lists."""

# ruff: noqa: F401

from ffjax import evaluate
from ffjax.analogies import analogy
from ffjax.embeddings import Embeddings
from ffjax.errors import FinalfusionFormatError, FormatError
from ffjax.formats.convert import convert
from ffjax.formats.demo import demo
from ffjax.formats.fasttext import load_fasttext, write_fasttext
from ffjax.formats.finalfusion import (
    load_finalfusion,
    load_metadata,
    load_norms,
    load_storage,
    load_vocab,
    write_chunks,
    write_finalfusion,
)
from ffjax.formats.floret import load_floret, write_floret
from ffjax.formats.load import load
from ffjax.formats.save import save
from ffjax.formats.snapshot import from_bytes, to_bytes
from ffjax.formats.text import load_text, load_text_dims
from ffjax.formats.text_vectors import embed_file
from ffjax.formats.text_write import write_text, write_text_dims
from ffjax.formats.word2vec import load_word2vec, write_word2vec
from ffjax.functional import SimilarityResult, embed, encode, lookup
from ffjax.metadata import Metadata
from ffjax.norms import Norms
from ffjax.ops.normalize import normalize
from ffjax.ops.pool import pool
from ffjax.packing import Part, pack, pack_parts, unpack
from ffjax.quantization import Quality, Quantized, quantize, reconstruct
from ffjax.search import TopK, top_k
from ffjax.storage import PQ, ComposedArray, Int8Array, NdArray, QuantizedArray, ShardedArray, Storage
from ffjax.strings import Strings, StringTable
from ffjax.subword import (
    ExplicitIndexer,
    FastTextIndexer,
    FinalfusionHashIndexer,
    FloretIndexer,
    PrunedIndexer,
    ngrams,
)
from ffjax.text import embed_text
from ffjax.training import Training
from ffjax.vocab import (
    ExplicitVocab,
    FastTextVocab,
    FinalfusionBucketVocab,
    FloretVocab,
    Rows,
    SimpleVocab,
    SubwordVocab,
    Vocab,
)
from ffjax.warmup import warmup
from ffjax.whole import Pruned, add, prune, reduce, repeat_rows, select
