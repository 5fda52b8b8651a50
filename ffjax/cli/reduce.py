"""`ffjax reduce`: fewer dimensions."""

from typing import Annotated

import typer

from ffjax.cli.exit_status import BadInput, say
from ffjax.cli.files import check_target, in_terms, load, save, say_training_is_left
from ffjax.cli.options import FromFormat, InputFile, Lossy, OutputFile, ToFormat
from ffjax.cli.progress import working


def reduce(
    embeddings: InputFile,
    output: OutputFile,
    dims: Annotated[int, typer.Option("--dims", "-d", min=1, help="How many dimensions to keep.")],
    center: Annotated[bool, typer.Option("--center", help="Subtract the mean of the words' vectors first.")] = False,
    from_: FromFormat = None,
    to: ToFormat = None,
    lossy: Lossy = False,
) -> None:
    """Keep the first principal components of the vectors.

    All rows are projected, those of n-grams too. It says which share of the
    variance is kept: without --center, of the squared lengths.

    Examples:
      ffjax reduce words.fifu small.fifu --dims 100
      ffjax reduce cc.de.300.bin cc.de.100.fifu --dims 100 --center
    """
    check_target(output, to)
    emb = load(embeddings, from_, mmap=True, lossy=lossy)
    with working("Reducing", unit="rows") as bar:
        from ffjax.transforms.pca import principal_components, project

        learnt = emb.vocab.n_word_rows or len(emb.storage)
        bar.total = learnt + len(emb.storage)
        try:
            found = principal_components(emb, dims, center=center, progress=lambda done: bar.advance(done - bar.done))
            reduced = project(emb, found, progress=lambda done: bar.advance(learnt + done - bar.done))
        except ValueError as error:
            raise BadInput(in_terms(str(error), {"`dims`": "`--dims`", "`embeddings`: ": ""})) from error
        if emb.training is not None:
            say_training_is_left()
    save(reduced, output, to)
    share = f"{100 * found.kept:.1f} % of the {'variance' if center else 'squared lengths'}"
    say(f"{reduced.dims} of {emb.dims} dimensions keep {share}.")
