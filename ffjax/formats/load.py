"""Reading embeddings in any format."""

import dataclasses
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from importlib.resources import as_file, files
from importlib.util import find_spec
from typing import Any

from jax.sharding import NamedSharding

from ffjax._internal.file_arguments import check_same_dims
from ffjax._internal.progress import ignore
from ffjax._internal.pytree import replace
from ffjax.embeddings.value import Embeddings
from ffjax.formats import registry
from ffjax.formats.detect import open_file
from ffjax.formats.io.binary import File
from ffjax.formats.io.streams import Stream
from ffjax.formats.registry import Format
from ffjax.formats.rows.row_blocks import Block, Blocks, collect
from ffjax.storage.composed import divide
from ffjax.storage.norms import Norms
from ffjax.transforms.words import first_words

# Gets the stage (`"Reading"` or `"Writing"`), how much of it is finished, and its total if known.
Progress = Callable[[str, int, int | None], None]


def load(
    path: File,
    *,
    format: str | None = None,
    mmap: bool | str | None = False,
    lossy: bool = False,
    limit: int | None = None,
    dims: int | None = None,
    member: str | None = None,
    words: File | None = None,
    vectors: str | None = None,
    sharding: NamedSharding | None = None,
    progress: Progress | None = None,
) -> Embeddings:
    r"""Reads embeddings: finalfusion, fastText, word2vec, GloVe, gensim's files, tables, others.

    The format is recognized by the content of the file, not by its name. The file may be compressed
    (gzip, bzip2, xz, zstd) or in a zip or tar archive; compressed finalfusion and fastText files
    and snapshots are first decompressed into a temporary file. spaCy's vectors are a folder, also
    in an archive.

    Args:
        path: a path; a descriptor, read from its position on and closed afterwards; or
            `hf://ORG/NAME[@REVISION][/FILE]`, a file on Hugging Face's hub. That is read from the
            hub's local cache, or downloaded if the extra `hub` is installed.
        format: `"finalfusion"`, `"fasttext"`, `"word2vec"`, `"text"`, `"textdims"` (text with a
            first line `rows dims`), `"floret"`, `"msgpack"` (a snapshot), `"gensim"` (what its
            `save` writes), `"npy"`, `"npz"`, `"safetensors"`, `"parquet"`, `"arrow"` (a file, as
            Feather), `"arrow-stream"`, `"pytorch"` or `"spacy"` (a folder); `None` to recognize it.
        mmap: whether to map the matrices of finalfusion, fastText, gensim's and spaCy's files, and
            of tables that have floats row by row, instead of reading them. The file must not be
            changed in place while the embeddings are used. What cannot be mapped is read. gensim's
            `"r"` counts as true, `None` as false.
        lossy: whether to replace bytes of words that are not UTF-8 by U+FFFD.
        limit: how many words to read at most; n-grams are all read.
        dims: how many dimensions the vectors have. In text this settles lines like
            `python 2.7 0.5 0.25`; other formats say it themselves.
        member: the name of the file or folder to read in an archive. By default it is the only file
            that may hold vectors, as its name says (a README, a license or `meta.json` does not).
            Of files that differ in the ending alone (`model.bin`, `model.txt`) the binary one is
            read; of a tar archive, which is read in order, the first. Other archives of several
            files, such as `glove.6B.zip`, raise an error that lists them.
        words: the column or array of a table that has the words, if its type and its name do not
            tell; or a file with a word in each line. For `NAME.npy` that file is by default
            `NAME.words.txt`, `NAME.words`, `NAME.vocab`, `NAME.vocab.txt`, `NAME.words.npy`,
            `words.txt` or `vocab.txt` in the same folder, the first that exists.
        vectors: the column or array of a table that has the vectors; or a pattern, such as
            `"dim_*"`, of the names of columns with one number each.
        sharding: how to divide the rows over devices, which gives a `ShardedArray`;
            `PartitionSpec()` puts all rows on every device. Each process reads only the rows of its
            devices from finalfusion files and, with `mmap`, from what can be mapped; vectors that
            are composed when they are read become rows of floats. What cannot be mapped is read
            completely first.
        progress: called now and then with the stage, `"Reading"`, how much of it is finished (bytes
            or rows), and the total or `None`.

    Returns:
        The embeddings.

    Raises:
        FormatError: if the file is in none of the formats; the error says what was tried and what
            was seen. Or if it is truncated or corrupt; the error has the byte and the field.
        TypeError: if `path` is not a path or a descriptor, `limit` or `dims` is not an integer, or
            `member` is not a name.
        ValueError: if `format` is another; `path` is the address of a page; `limit` is negative, or
            given for a floret table, which has no words; the file has other `dims`; `member` is
            not in the archive; or `words` or `vectors` is not in the table.
        ImportError: for Parquet and Arrow files, if the extra `arrow` is not installed; for files
            to download, if the extra `hub` is not.
        OSError: if the file cannot be read.

    Examples:
        >>> import ffjax, tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "vectors"
        >>> _ = path.write_text("one 3.0 4.0\ntwo 0.5 0.0\n")
        >>> ffjax.load(path)
        Embeddings(NdArray(2 x 2), SimpleVocab(2 words), Norms(2))
        >>> ffjax.load(path, limit=1).vocab.words
        ['one']
    """
    is_name = isinstance(path, str) and path.isidentifier() and not os.path.exists(path)
    if is_name and find_spec(str(path)):
        expected = "expected a path, got an installed package; `ffjax.load_spacy` reads pipelines"
        raise FileNotFoundError(errno.ENOENT, expected, path)
    options = {"mmap": bool(mmap), "lossy": lossy, "limit": limit, "dims": dims, "unit": True}
    options |= {"words": words, "vectors": vectors}
    with open_file(path, format, member, options) as (stream, entry):
        options["mmap"] |= (sharding is not None and entry.maps_rows)
        embeddings = load_stream(stream, entry, options=options, progress=progress or ignore)
    return embeddings if sharding is None else _divided(embeddings, sharding)


def demo() -> Embeddings:
    """Opens the embedded embeddings: GloVe's 40,000 most frequent English words, 100 dimensions.

    Rows of unit length were quantized to 50 bytes (`quantize` with `"opq"`); `quality` in the
    metadata says how much they lost, and `reconstruct` makes plain rows. Norms are those of GloVe's
    vectors. Unknown words are sums of n-grams, whose rows were fitted to the words' vectors; words
    without a known n-gram, such as numbers, have no vector.

    The file is read anew on each call, which takes some tens of milliseconds.
    `ffjax/data/LICENSE-GloVe.md` says where the vectors come from: they are in the public domain.

    Examples:
        >>> import ffjax
        >>> emb = ffjax.demo()
        >>> emb.n_words, emb.dims, emb.vocab.words[:3]
        (40000, 100, ['the', ',', '.'])
        >>> emb.metadata["quality"]["recall_at_10"] > 0.9
        True
        >>> "neuropharmacology" in emb
        False
        >>> emb.word_similarity("neuropharmacology", k=1)[0].word
        'neuroscience'
    """
    with as_file(files("ffjax") / "data" / "demo.fifu") as path:
        return load(path, format="finalfusion")


def _divided(embeddings: Embeddings, sharding: NamedSharding) -> Embeddings:
    storage, norms = divide(embeddings.storage, sharding)
    changes: dict[str, Any] = {"storage": storage}
    if norms is not None:
        changes["norms"] = Norms(norms[: embeddings.vocab.n_word_rows])
    training = embeddings.training
    if training is not None and not training.labels:
        # A map of rows that only training needs, which would go to the devices whole.
        changes["training"] = replace(training, output=None)
    return embeddings.replace(**changes)


def load_stream(
    stream: Stream,
    format: Format,
    *,
    options: dict[str, Any],
    progress: Progress,
    rows: Callable[[int], AbstractContextManager[Any]] | None = None,
) -> Embeddings:
    """Reads embeddings from a stream at its start, as `load` does.

    With `rows`, which makes a sink for rows of so many dimensions, files are read in order where
    the format allows it, and the matrices of snapshots are mapped.
    """
    reader = format.load
    if format.blocks and (rows is not None or not format.load):
        reader = format.blocks
        progress("Reading", 0, stream.size)
        with registry.call(reader, stream, format=format.name, **options) as blocks:
            check_same_dims(blocks.dims, options["dims"])
            with nullcontext() if rows is None else rows(blocks.dims) as sink:
                embeddings = collect(_reported(blocks, stream, progress), sink)
    else:
        progress("Reading", 0, None)  # in one step
        embeddings = registry.call(reader, stream, format=format.name, rows=rows, **options)
    if "limit" not in registry.options_of(reader):
        embeddings = first_words(embeddings, options["limit"])
    check_same_dims(embeddings.dims, options["dims"])
    return embeddings


def _reported(blocks: Blocks, stream: Stream, progress: Progress) -> Blocks:
    """The same blocks, with a call of `progress` after each."""

    def reported() -> Iterator[Block]:
        n_rows = 0
        for block in blocks:
            yield block
            n_rows += len(block)
            if stream.position:
                progress("Reading", stream.position, stream.size)
            else:  # a file that is read in place
                progress("Reading", n_rows, blocks.n_rows)

    return dataclasses.replace(blocks, blocks=reported())
