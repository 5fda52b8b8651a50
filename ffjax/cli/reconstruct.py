"""`ffjax reconstruct`: plain vectors of quantized ones."""

from ffjax.cli.files import check_target, load, save
from ffjax.cli.options import FromFormat, InputFile, Lossy, OutputFile, ToFormat
from ffjax.cli.progress import working


def reconstruct(
    embeddings: InputFile, output: OutputFile, from_: FromFormat = None, to: ToFormat = None, lossy: Lossy = False
) -> None:
    """Turn quantized embeddings back into plain ones.

    Each vector is what its codes stand for; what was lost stays lost. Words,
    n-grams and metadata stay.

    Examples:
      ffjax reconstruct small.fifu plain.fifu
    """
    check_target(output, to)
    emb = load(embeddings, from_, mmap=True, lossy=lossy)
    with working("Reconstructing"):
        from ffjax.transforms.quantize import reconstruct as plain

        emb = plain(emb)
    save(emb, output, to)
