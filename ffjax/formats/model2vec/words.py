"""Static models of complete words as embeddings."""

from ffjax.embeddings.from_vectors import from_vectors
from ffjax.embeddings.value import Embeddings
from ffjax.formats.io.streams import Stream
from ffjax.formats.model2vec.reader import load_static_model


def read_words(stream: Stream, *, limit: int | None = None) -> Embeddings:
    """The words of a static model and their vectors; an error if its tokens are not words."""
    model = load_static_model(stream)
    settings = model.settings
    if settings.kind != "WordLevel":
        raise stream.error(
            None,
            "word vectors",
            f"a static model with {settings.kind} tokens",
            hint="It embeds texts: use `ffjax.load_static_model(path)`. In Python, "
            "`ffjax.load_static_model(path).embeddings` has its tokens as words.",
        )
    words = model.embeddings
    chosen = [i for i, word in enumerate(words.vocab.words) if word not in settings.added][:limit]
    return from_vectors([words.vocab.words[i] for i in chosen], words.storage.read(chosen))
