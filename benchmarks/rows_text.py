"""Words and text to rows and vectors."""

from itertools import islice
from typing import Any

import numpy as np

import ffjax
from benchmarks.files import peer, real
from benchmarks.harness import Pair, row

N_TOKENS, N_LINES = 1_000_000, 100_000


def _glove() -> tuple[ffjax.Embeddings, list[str]]:
    """GloVe, and tokens by Zipf's law over its words, which are in order of frequency."""
    emb = ffjax.load(real("glove.100d.txt"))
    frequencies = 1 / np.arange(1, emb.n_words + 1)
    chosen = np.random.default_rng(0).choice(
        emb.n_words, N_TOKENS, p=frequencies / frequencies.sum()
    )
    # Each token is a string of its own, as those of a text are.
    tokens = str("\n".join([emb.vocab.words[i] for i in chosen])).split("\n")
    return emb, tokens


@row(
    issue=4,
    work="rows of 1,000,000 packed tokens (Zipf) among 341,479 words",
    beside="a dict in a list comprehension",
    at_least=10,
)
def packed_tokens() -> Pair:
    emb, tokens = _glove()
    index = dict(emb.vocab.host_index)
    batches = ffjax.pack_ragged(tokens)
    # The bytes of the batch, and for each word a factor, a slot, two offsets and its bytes.
    moved = sum(batch.strings.bytes.nbytes for batch in batches) + N_TOKENS * (4 * 4 + 16)

    def check(ours: list[Any], theirs: list[int]) -> None:
        rows = np.asarray(ours[0].words)[:N_TOKENS].copy()
        for batch, ids in zip(batches[1:], ours[1:], strict=True):
            rows[batch.positions] = np.asarray(ids.words)[: len(batch.positions)]
        assert rows.tolist() == theirs

    return Pair(
        lambda: [ffjax.encode(emb.vocab, batch.strings) for batch in batches],
        lambda: [index[token] for token in tokens],
        check,
        moved,
    )


@row(
    issue=4,
    work="vectors of 1,000,000 tokens given as a list[str], 100 dims",
    beside="gensim kv[tokens]",
    at_least=8,
)
def listed_tokens() -> Pair:
    models = peer("gensim.models")
    emb, tokens = _glove()
    keyed = models.KeyedVectors(emb.dims)
    keyed.add_vectors(emb.vocab.words, np.asarray(emb.storage))

    def check(ours: tuple[np.ndarray, np.ndarray], theirs: np.ndarray) -> None:
        assert ours[1].all() and (ours[0] == theirs).all()

    return Pair(
        lambda: emb.embedding_batch(tokens),
        lambda: keyed[tokens],
        check,
        2 * 4 * emb.dims * N_TOKENS,
    )


@row(
    issue=4,
    work="100,000 lines of real text to sentence vectors, 300 dims, from raw bytes",
    beside="a loop over fasttext.get_sentence_vector",
    at_least=10,
    repeat=5,
)
def sentence_vectors() -> Pair:
    fasttext = peer("fasttext")
    fasttext.FastText.eprint = lambda *_: None  # it greets every model
    path = str(real("ft300.bin"))
    with open(real("corpus.txt"), "rb") as file:
        text = b"".join(islice(file, N_LINES))
    emb, theirs = ffjax.load_fasttext(path), fasttext.load_model(path)
    lines = text.decode().split("\n")[:N_LINES]

    def check(ours: tuple[np.ndarray, np.ndarray], expected: np.ndarray) -> None:
        worst = np.abs(ours[0] - expected).max()
        assert worst < 1e-5, worst

    return Pair(
        lambda: ffjax.embed_text(emb, text, pooling="fasttext"),
        lambda: np.stack([theirs.get_sentence_vector(line) for line in lines]),
        check,
        len(text) + 4 * emb.dims * (len(text.split()) + N_LINES),
        note="words' vectors were computed when the model was opened",
    )
