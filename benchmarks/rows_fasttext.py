"""Opening fastText's own format beside fastText."""

import numpy as np

import ffjax
from benchmarks.files import peer, real
from benchmarks.harness import Memory, Pair, row

FILE = "ft300.bin"
WORK = "fastText .bin, 2,383,538 rows x 300, 3.1 GB"
N_CHECKED = 200


def _fasttext():
    fasttext = peer("fasttext")
    fasttext.FastText.eprint = lambda *_: None  # it greets every model
    return fasttext


def _check(emb: ffjax.Embeddings, theirs) -> None:
    rng = np.random.default_rng(0)
    words = [emb.vocab.words[i] for i in rng.integers(0, emb.n_words, N_CHECKED)] + [
        "berlinifications",
        "лисицами",
    ]
    vectors, _ = ffjax.embed(emb, ffjax.pack(words, count=len(words)), unnormalize=True)
    expected = np.stack([theirs.get_word_vector(word) for word in words])
    worst = np.abs(np.asarray(vectors) - expected).max()
    assert worst < 1e-6, worst


def _words(emb: ffjax.Embeddings, n: int) -> list[str]:
    """Every so manyth word, so frequent and rare ones."""
    return emb.vocab.words[:: emb.n_words // n][:n]


@row(
    issue=3,
    work=f"open {WORK}, words' vectors computed",
    beside="fasttext.load_model",
    at_least=10,
    repeat=5,
)
def fasttext_open() -> Pair:
    path = str(real(FILE))
    fasttext = _fasttext()
    return Pair(
        lambda: ffjax.load_fasttext(path), lambda: fasttext.load_model(path), _check, memory=1 << 32
    )


@row(issue=3, work=f"open {WORK}, mapped", beside="fasttext.load_model", at_least=20, repeat=5)
def fasttext_open_mapped() -> Pair:
    path = str(real(FILE))
    fasttext = _fasttext()
    return Pair(
        lambda: ffjax.load_fasttext(path, mmap=True),
        lambda: fasttext.load_model(path),
        _check,
        memory=1 << 32,
    )


@row(issue=3, work=f"open {WORK}: peak memory", beside="fasttext.load_model", at_most=1.25)
def fasttext_open_memory() -> Memory:
    path = real(FILE)
    return Memory(
        lambda: ffjax.load_fasttext(path),
        path.stat().st_size,
        "the file",
        lambda: _fasttext().load_model(str(path)),
    )


@row(
    issue=3,
    work=f"open {WORK}, mapped, and look up 100 words: resident",
    beside="fasttext.load_model",
    at_most=0.25,
)
def fasttext_open_mapped_memory() -> Memory:
    path = real(FILE)

    def ours() -> ffjax.Embeddings:
        emb = ffjax.load_fasttext(path, mmap=True)
        for word in _words(emb, 100):
            emb[word]
        return emb

    return Memory(
        ours, path.stat().st_size, "the file", lambda: _fasttext().load_model(str(path)), "resident"
    )


@row(
    issue=3,
    work="1,000 known words by string, mapped .bin, composed one by one",
    beside="fasttext.get_word_vector",
)
def fasttext_mapped_words() -> Pair:
    path = str(real(FILE))
    emb, theirs = ffjax.load_fasttext(path, mmap=True), _fasttext().load_model(path)
    words = _words(emb, 1000)
    return Pair(
        lambda: [emb[word] for word in words],
        lambda: [theirs.get_word_vector(word) for word in words],
    )


@row(
    issue=3,
    work="4,096 known words in a batch, mapped .bin, composed",
    beside="fasttext.get_word_vector",
)
def fasttext_mapped_batch() -> Pair:
    path = str(real(FILE))
    emb, theirs = ffjax.load_fasttext(path, mmap=True), _fasttext().load_model(path)
    words = _words(emb, 4096)

    def peer_batch() -> np.ndarray:
        return np.stack([theirs.get_word_vector(word) for word in words])

    return Pair(lambda: ffjax.embed(emb, ffjax.pack(words), unnormalize=True)[0], peer_batch)
