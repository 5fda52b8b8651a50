"""Reading fastText's supervised models as classifiers."""

from ffjax._internal.arguments import check_flag
from ffjax.embeddings.classifier import Classifier
from ffjax.formats.fasttext.layout import open_model
from ffjax.formats.fasttext.reader import read_embeddings
from ffjax.formats.hub import local_path
from ffjax.formats.io.binary import File
from ffjax.formats.io.streams import open_stream


def load_classifier(path: File, *, mmap: bool = False) -> Classifier:
    """Reads a fastText classifier, `.bin` or quantized `.ftz`.

    Models of every loss are read: softmax, hierarchical softmax, one against all and negative
    sampling. They may be dense or quantized, the output matrix too, pruned, and have n-grams of
    characters or words. Words of the file may be any bytes. `load` of the same file gives the
    embeddings alone.

    Args:
        path: a path; a descriptor, which is closed afterwards as `open` does; or
            `hf://ORG/NAME/FILE`, a file on Hugging Face's hub, as for `load`. A compressed file, or
            one in an archive, is first decompressed into a temporary file.
        mmap: whether to map the matrices instead of reading them: then opening takes little time,
            and processes share the file's memory. The file must not be changed in place while the
            classifier is used.

    Returns:
        The classifier.

    Raises:
        FormatError: if the file is truncated, corrupt or of another format.
        ValueError: if the model has no labels, or its output matrix does not fit them or has NaN.
        ImportError: for files to download, if the extra `hub` is not installed.
        OSError: if the file cannot be read.

    Examples:
        >>> import ffjax
        >>> lid = ffjax.load_classifier("lid.176.ftz")  # doctest: +SKIP
        >>> lid.predict("bonjour tout le monde")  # doctest: +SKIP
        (('__label__fr',), array([0.99...]))
    """
    check_flag("mmap", mmap)
    with open_stream(local_path(path)) as stream, open_model(stream) as source:
        embeddings = read_embeddings(source, mmap=mmap, as_trained=True)
        try:
            return Classifier(embeddings)
        except ValueError as error:
            name = "the model" if source.name is None else source.name
            raise ValueError(f"{name}: {error}") from error
