"""The warning about texts that get no vectors."""


import numpy as np

from ffjax._internal.warn import warn_user
from ffjax.functional.search import EmbeddingsLike
from ffjax.strings.codec import decode_word, encode_word
from ffjax.strings.text import simplify

# How much of a text is looked at to say why its words are unknown.
_SAMPLE_BYTES, _SAMPLE_WORDS = 1 << 16, 200


def warn_of_zeros(embeddings: EmbeddingsLike, text: np.ndarray, counts: np.ndarray) -> None:
    """Warns, with the reason, if most lines that have words have none with a vector."""
    if 2 * np.count_nonzero(counts) >= len(counts):
        return
    lines = decode_word(text[:_SAMPLE_BYTES].tobytes()).split("\n")
    pairs = [(line, n) for line, n in zip(lines, counts.tolist(), strict=False) if line.split()]
    unknown = [line for line, n in pairs if n == 0]
    if 2 * len(unknown) > len(pairs):
        reason = _reason(embeddings, "\n".join(unknown).split()[:_SAMPLE_WORDS])
        message = "most lines have no word with a vector, so their vectors are zeros"
        warn_user(f"{message}. {reason}")


def _reason(embeddings: EmbeddingsLike, words: list[str]) -> str:
    """Why words are unknown, and what to do."""
    text = np.frombuffer(encode_word("\n".join(words)), np.uint8)
    for names in (["lowercase"], ["strip_punctuation"], ["lowercase", "strip_punctuation"]):
        changes = {name: name in names for name in ("lowercase", "strip_punctuation")}
        simple = decode_word(simplify(text, **changes).tobytes()).split("\n")
        if 2 * sum(word in embeddings.vocab for word in simple) > len(words):
            options = " and ".join(f"`{name}=True`" for name in names)
            return f"The vocabulary has their words in another form: pass {options}."
    return (
        "Their words are not in the vocabulary and have no n-grams with rows: the text may be in "
        "another language or encoding."
    )
