"""`ffjax select`: keep a part of the words."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ffjax.cli.files import load, save
from ffjax.cli.inputs import lines
from ffjax.cli.options import FromFormat, InputFile, Lossy, OutputFile, ToFormat
from ffjax.cli.progress import working
from ffjax.cli.status import BadInput, say

if TYPE_CHECKING:
    from ffjax import Embeddings, Storage, Vocab

_NAMED = 5


def select(
    embeddings: InputFile,
    output: OutputFile,
    words: Annotated[
        str | None, typer.Option("--words", "-w", metavar="FILE", help="Words to keep, one a line; - for stdin.")
    ] = None,
    first: Annotated[int | None, typer.Option("--first", "-n", min=1, help="Keep only so many words.")] = None,
    from_: FromFormat = None,
    to: ToFormat = None,
    lossy: Lossy = False,
) -> None:
    """Keep only the words in a list, or the first so many.

    Most files hold the most frequent words first. Words keep their order;
    those in the list that the embeddings lack are counted on standard error.
    N-grams stay, so a word that was left out gets a vector as any unknown
    word does. With both options only listed words among the first are kept.

    Examples:
      ffjax select words.fifu small.fifu --first 10000
      ffjax select words.fifu mine.fifu --words vocabulary.txt
      cut -f 1 lexicon.tsv | ffjax select words.fifu mine.fifu -w -
    """
    if words is None and first is None:
        raise BadInput("expected --words FILE or --first N, got neither.")
    if embeddings == words == "-":
        raise BadInput("expected one of INPUT and --words on standard input, got both.")
    wanted = None if words is None else {text for _, text in lines(words)}
    emb = load(embeddings, from_, mmap=True, lossy=lossy, limit=first)
    if wanted is not None:
        with working("Selecting"):
            emb = selected(emb, _places(emb, wanted))
    save(emb, output, to)


def _places(emb: "Embeddings", wanted: set[str]) -> Any:
    import numpy as np

    known = emb.vocab.words
    places = [place for place, word in enumerate(known) if word in wanted]
    if missing := sorted(wanted - {known[place] for place in places}):
        names = ", ".join(missing[:_NAMED]) + (", ..." if len(missing) > _NAMED else "")
        say(f"{len(missing):,} of {len(wanted):,} listed words are not there: {names}")
    if not places:
        raise BadInput("expected embeddings with some of the listed words, got none of them.")
    return np.array(places, np.int64)


def selected(embeddings: "Embeddings", places: Any) -> "Embeddings":
    """Embeddings with the words at `places`, in that order, and all n-grams; metadata stays.

    Args:
        embeddings: embeddings of any kind.
        places: numbers of words, each once.
    """
    import numpy as np

    from ffjax import Embeddings, Norms

    vocab = embeddings.vocab
    rows, own = np.unique(vocab.host_rows[places], return_inverse=True)
    # In the order of the words, where each has a row of its own.
    if len(rows) == len(places):
        rows, own = vocab.host_rows[places], np.arange(len(places))
    norms = None if embeddings.norms is None else Norms(np.asarray(embeddings.norms)[rows])
    storage = _storage(embeddings.storage, rows, vocab.n_word_rows)
    return Embeddings(storage, _vocab(vocab, places, own), norms, embeddings.metadata)


def _vocab(vocab: "Vocab", places: Any, rows: Any) -> "Vocab":
    from ffjax import FloretVocab, SimpleVocab

    table = vocab.table.take(places)
    if isinstance(vocab, SimpleVocab):
        return SimpleVocab(table, rows=rows)
    if isinstance(vocab, FloretVocab):
        raise BadInput("expected embeddings with a list of words, got floret embeddings, which have none.")
    return type(vocab)(table, vocab.subword_indexer, rows=rows)  # type: ignore[attr-defined,call-arg]


def _storage(storage: "Storage", rows: Any, n_word_rows: int) -> "Storage":
    import jax
    import numpy as np

    from ffjax import NdArray, QuantizedArray

    if isinstance(storage, QuantizedArray):
        norms = None if storage.norms is None else _taken(storage.norms, rows, n_word_rows)
        return QuantizedArray(storage.quantizer, _taken(storage.codes, rows, n_word_rows), norms)
    if isinstance(storage, NdArray):
        return NdArray(_taken(storage.matrix, rows, n_word_rows))
    ngrams = np.arange(n_word_rows, len(storage))
    return NdArray(jax.device_put(storage.embedding(np.concatenate([rows, ngrams]))))


def _taken(array: Any, rows: Any, n_word_rows: int) -> Any:
    """The words' rows that are kept, then all rows of n-grams, with no more than one copy."""
    import jax
    import numpy as np

    from ffjax.formats.aligned import aligned_empty

    source = np.asarray(array)
    out = aligned_empty((len(rows) + len(source) - n_word_rows, *source.shape[1:]), source.dtype)
    np.take(source, rows, axis=0, out=out[: len(rows)], mode="clip")  # "raise" would buffer
    out[len(rows) :] = source[n_word_rows:]
    return jax.device_put(out)
