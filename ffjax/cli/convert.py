"""`ffjax convert`: from one format to another."""

from ffjax.cli.files import convert as convert_file
from ffjax.cli.options import FromFormat, InputFile, Lossy, OutputFile, ToFormat


def convert(
    embeddings: InputFile, output: OutputFile, from_: FromFormat = None, to: ToFormat = None, lossy: Lossy = False
) -> None:
    """Convert embeddings from one format to another.

    A finalfusion file keeps everything. Text and word2vec files hold words
    and vectors alone: vectors get back the lengths that the norms remember,
    and n-grams are left out. fastText and floret files need embeddings with
    n-grams of their own kind. The output replaces an old file only when it
    is complete. Memory is needed for the words and some rows, not for all.

    Examples:
      ffjax convert glove.6B.100d.txt glove.fifu
      ffjax convert cc.de.300.bin cc.de.300.fifu --from fasttext
      ffjax convert words.fifu - --to text | head -n 3
    """
    convert_file(embeddings, output, from_, to, lossy=lossy)
