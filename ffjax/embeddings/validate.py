"""The parts of embeddings: which fit each other, and parts that are made of others."""

from typing import Any

from ffjax.embeddings.metadata import Metadata
from ffjax.embeddings.training_state import TrainingState
from ffjax.storage import Storage
from ffjax.storage.norms import Norms
from ffjax.vocab import Vocab


def check_parts(storage: Any, vocab: Any, norms: Any, metadata: Any, training: Any) -> None:
    """Refuses parts that don't fit each other.

    Raises:
        TypeError: a part is of another type.
        ValueError: the numbers of rows, norms or counts differ.
    """
    for name, value, kind, optional in (
        ("storage", storage, Storage, False),
        ("vocab", vocab, Vocab, False),
        ("norms", norms, Norms, True),
        ("metadata", metadata, Metadata, True),
        ("training", training, TrainingState, True),
    ):
        if not (isinstance(value, kind) or (optional and value is None)):
            raise TypeError(
                f"`{name}`: expected {kind.__name__}{' or None' if optional else ''}, got {type(value).__name__}."
            )
    if storage.shape[0] != vocab.upper_bound:
        raise ValueError(
            f"`storage`: expected {vocab.upper_bound} rows, one for each that the vocabulary addresses, "
            f"got {storage.shape[0]}."
        )
    if norms is not None and len(norms) != vocab.n_word_rows:
        raise ValueError(f"`norms`: expected {vocab.n_word_rows}, one for each word's row, got {len(norms)}.")
    if training is not None and training.n_words != len(vocab):
        raise ValueError(
            f"`training`: expected counts of {len(vocab)} words, got {training.n_words}. "
            "Leave it out, as in `replace(vocab=..., training=None)`, where the words are others."
        )
