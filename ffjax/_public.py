"""The imports behind the public names, which `ffjax/__init__.py` lists."""

# ruff: noqa: F401

from ffjax import evaluate
from ffjax.embeddings.metadata import Metadata
from ffjax.embeddings.text import embed_text
from ffjax.embeddings.text_file import embed_file
from ffjax.embeddings.training_state import TrainingState
from ffjax.embeddings.value import Embeddings
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
from ffjax.formats.text.read import load_text, load_text_dims
from ffjax.formats.text.write import write_text, write_text_dims
from ffjax.formats.word2vec import load_word2vec, write_word2vec
from ffjax.functional.analogy import analogy
from ffjax.functional.lookup import SimilarityResult, embed, encode, lookup
from ffjax.functional.search import TopK
from ffjax.functional.search.api import top_k
from ffjax.functional.warmup import warmup
from ffjax.kernels.normalize import normalize
from ffjax.kernels.pool import pool
from ffjax.storage import (
    PQ,
    ComposedArray,
    Int8Array,
    NdArray,
    QuantizedArray,
    ShardedArray,
    Storage,
)
from ffjax.storage.norms import Norms
from ffjax.strings.pack import RaggedBatch, pack, pack_ragged, unpack
from ffjax.strings.string_table import StringTable
from ffjax.strings.strings import Strings
from ffjax.transforms import PruneResult, add_words, prune, reduce_dims, select_words, unshare_rows
from ffjax.transforms.quantize import QuantizationQuality, QuantizeResult, quantize, reconstruct
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
from ffjax.vocab.ngrams import (
    ExplicitIndexer,
    FastTextIndexer,
    FinalfusionHashIndexer,
    FloretIndexer,
    PrunedIndexer,
    ngrams,
)
