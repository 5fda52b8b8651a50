"""`ffjax bucket-to-explicit`: from hashed n-grams to stored ones."""

from ffjax.cli.exit_status import BadInput, say
from ffjax.cli.files import check_finalfusion, load, save, say_training_is_left
from ffjax.cli.options import Format, FromFormat, InputFile, Lossy, OutputFile
from ffjax.cli.progress import working


def bucket_to_explicit(
    embeddings: InputFile, output: OutputFile, from_: FromFormat = None, lossy: Lossy = False
) -> None:
    """Turn hashed n-grams into stored ones.

    Keeps each n-gram of the known words with its row and drops the buckets
    that no known word uses, which makes files of large bucket tables much
    smaller. Known words and unknown words of known n-grams keep their vectors.
    The output is a finalfusion file; metadata is left out.

    Examples:
      ffjax bucket-to-explicit buckets.fifu explicit.fifu
      ffjax bucket-to-explicit cc.de.300.bin explicit.fifu -f fasttext
    """
    check_finalfusion(output, "explicit n-grams")
    emb = load(embeddings, from_, mmap=True, lossy=lossy)
    try:
        with working("Collecting n-grams"):
            explicit = emb.bucket_to_explicit()
    except TypeError as error:
        raise BadInput(f"{embeddings}: {error}") from error
    if emb.training is not None:
        say_training_is_left()
    if emb.metadata is not None:
        say("left out the metadata, which no longer describes the embeddings.")
    save(explicit, output, Format.finalfusion)
