"""`ffjax bucket-to-explicit`: from hashed n-grams to stored ones."""

from ffjax.cli.files import check_finalfusion, rewrite
from ffjax.cli.options import Files, FromFormat, InputFile, Lossy, OutputFile


def bucket_to_explicit(
    embeddings: InputFile, output: OutputFile, from_: FromFormat = None, lossy: Lossy = False
) -> None:
    """Replace hashed n-grams by stored ones.

    Stores each n-gram of the vocabulary with its row and drops the buckets
    that no word uses, so files with large bucket tables become much smaller.
    Words keep their vectors, and so do unknown words made of these n-grams.
    The output is a finalfusion file without metadata.

    Examples:
      ffjax bucket-to-explicit buckets.fifu explicit.fifu
      ffjax bucket-to-explicit cc.de.300.bin explicit.fifu -f fasttext
    """
    check_finalfusion(output, "explicit n-grams")
    rewrite(
        Files(embeddings, output, from_, "finalfusion", lossy),
        lambda emb, _: emb.bucket_to_explicit(),
        function="bucket_to_explicit",
        doing="Collecting n-grams",
    )
