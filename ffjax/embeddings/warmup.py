"""Compiling ahead of time."""

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import product
from typing import Any

import jax
import numpy as np

from ffjax._internal.arguments import check_embeddings, whole_number
from ffjax._internal.cpus import map_blocks
from ffjax._internal.file_arguments import wrong_type
from ffjax.embeddings.batch_lookup import find_words, read_rows
from ffjax.embeddings.pooling_rule import PoolingRule
from ffjax.embeddings.text import embed_batch
from ffjax.functional.lookup import embed
from ffjax.functional.oov import OOV_BATCHES, oov_vectors
from ffjax.functional.search import EmbeddingsLike, nearest_rows, top_k
from ffjax.functional.tier import FOUND_WORDS, LOOKUP_NUMBERS, TEXT_BYTES
from ffjax.strings.byte_views import ByteViews
from ffjax.strings.string_table import Strings

_QUERIES = 256


def warmup(
    embeddings: EmbeddingsLike,
    *,
    counts: Iterable[int] = (4, 16, 64, 256, 1024),
    widths: Iterable[int] = (16, 64),
    unnormalize: bool = False,
) -> float:
    """Compiles programs before they are needed, in parallel, so that no later call has to wait.

    These are the programs of `embed` for all batches that `pack` makes of up to 1024 words of up to
    64 bytes; of `embedding_batch`, `embed_text` and `embed_file` for any number of words; and of
    `top_k` and `most_similar_batch` for 256 queries and 10 answers. They belong to embeddings of
    these shapes and settings, so other embeddings of the same kind and size share them.

    Args:
        embeddings: the embeddings.
        counts: numbers of rows of the batches of `embed`; for larger batches powers of two from
            2048, and widths of 16, 32 and 64.
        widths: bytes a row of these batches.
        unnormalize: as in `embed`.

    Returns:
        How many seconds it took.

    Raises:
        TypeError: if `embeddings` is something else, or sizes are not lists of whole numbers.
        ValueError: if a count is negative, or a width less than 1.

    Examples:
        >>> import ffjax, numpy as np
        >>> emb = ffjax.from_vectors(["tea", "pot"], np.eye(2, dtype=np.float32))
        >>> ffjax.warmup(emb, counts=[4], widths=[16]) < 600
        True
    """
    check_embeddings(embeddings)
    sizes = list(product(_sizes("counts", counts, 0), _sizes("widths", widths, 1)))
    start = time.perf_counter()
    calls = list(_host_calls(embeddings, unnormalize))
    for size in sizes:
        calls.append(partial(embed, embeddings, _fillers(*size), unnormalize=unnormalize))
    map_blocks(lambda call: jax.block_until_ready(call()), calls)
    return time.perf_counter() - start


def _host_calls(emb: EmbeddingsLike, unnormalize: bool) -> Iterator[Callable[[], Any]]:
    """Calls of host functions, each with a little more work than is left to NumPy."""
    storage, vocab = emb.storage, emb.vocab
    queries = np.zeros((_QUERIES, storage.shape[1]), np.float32)
    exclude = np.full((_QUERIES, 1), -1, np.int32)
    yield partial(nearest_rows, emb, queries, 10, metric="cosine", exclude=exclude)
    yield partial(top_k, emb, queries, 10)
    if vocab.subword_indexer is not None and not storage.is_mapped:
        for width, size in list(OOV_BATCHES.items())[:2]:
            yield partial(oov_vectors, storage, vocab, _fillers(size, width), unnormalize)
    text = np.full(TEXT_BYTES + 1, ord("a"), np.uint8)
    text[15::16] = ord(" ")
    rule = PoolingRule.of(emb, "mean", None, unnormalize)
    line = np.empty((1, storage.shape[1]), np.float32), np.empty(1, np.int32)
    yield partial(embed_batch, emb, text, rule, line)
    lengths = np.resize(np.array([1, 17], np.int32), FOUND_WORDS + 2)
    words = ByteViews(np.zeros(32, np.uint8), np.zeros(len(lengths), np.int64), lengths)
    yield partial(find_words, vocab, words)
    rows = np.full(LOOKUP_NUMBERS // max(1, storage.shape[1]) + 1, -1, np.int32)
    yield partial(read_rows, emb, rows, unnormalize=unnormalize)


def _fillers(count: int, width: int) -> Strings:
    return Strings(np.zeros((count, width), np.uint8), np.full(count, -1, np.int32))


def _sizes(name: str, values: Iterable[int], least: int) -> list[int]:
    if not isinstance(values, Iterable) or isinstance(values, str):
        raise wrong_type(name, "a list of sizes", values)
    return [whole_number(name, value, least) for value in values]
