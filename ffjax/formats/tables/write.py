"""Writing tables: NumPy's files, safetensors, Parquet and Arrow, in blocks of rows."""

import os
import sys
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any, Unpack

import numpy as np

from ffjax._internal.atomic_write import open_output, output_folder
from ffjax._internal.extras import require_arrow
from ffjax._internal.memmap import FileRows
from ffjax.embeddings.text_file import write_npy_header
from ffjax.embeddings.value import Embeddings
from ffjax.formats.io.binary import File, Output
from ffjax.formats.rows import export
from ffjax.formats.rows.export import ColumnOptions
from ffjax.formats.safetensors_file import write_header
from ffjax.formats.tables.arrow import METADATA_KEY, VERSION_KEY
from ffjax.formats.tables.layout import WORDS_BESIDE
from ffjax.strings.string_table import StringTable

_GROUP_BYTES = 1 << 24  # of a row group of Parquet
_ALIGNMENT = 64
_LOCAL_HEADER_BYTES = 50  # of a zip member, with its 64-bit sizes and without its name
# Strings of NumPy take four bytes for each character of the longest: more than this is left out.
_MOST_STRING_BYTES = 1 << 26


def write_npy(
    path: File,
    embeddings: Embeddings,
    *,
    words_path: File | None = None,
    unnormalize: bool = True,
    **options: Unpack[export.ExportOptions],
) -> None:
    """Writes the vectors as a matrix of NumPy, and the words into a file beside it, one a line."""
    table = export.check_plain(embeddings, "`.npy` files", options).vocab.table
    export.check_without("\n", table, "files of words")
    if words_path is None:
        if isinstance(path, int):
            raise ValueError("`words_path`: expected the path of a file for the words, got None.")
        words_path = WORDS_BESIDE.format(os.fsdecode(path).removesuffix(".npy"))
    with open_output(path) as out:
        write_npy_header(out, "<f4", (len(table), embeddings.dims))
        for _, rows, _ in export.row_blocks(embeddings, unnormalize):
            out.write(np.ascontiguousarray(rows, "<f4").data)
        with open_output(words_path) as lines:  # complete before the vectors are
            raw_words = export.raw_words(table, slice(0, len(table)))
            lines.write(b"".join(word + b"\n" for word in raw_words))


def write_npz(path: File, embeddings: Embeddings, **options: Unpack[ColumnOptions]) -> None:
    """Writes named arrays into an uncompressed zip archive, as `numpy.savez` does."""
    arrays = _named_arrays(embeddings, "`.npz` files", options)
    table = embeddings.vocab.table
    with open_output(path) as out, zipfile.ZipFile(out, "w") as archive:
        for name, (dtype, shape, blocks) in arrays.items():
            with _npz_member(archive, name, out) as member:
                write_npy_header(member, dtype, shape)
                for block in blocks:
                    member.write(block)
        longest = int(np.diff(table.host_offsets).max(initial=1))
        if 4 * longest * len(table) <= _MOST_STRING_BYTES:
            strings = np.array(table.strings, f"<U{longest}")
            with _npz_member(archive, "words", out) as member:
                np.lib.format.write_array(member, strings)


def write_safetensors(path: File, embeddings: Embeddings, **options: Unpack[ColumnOptions]) -> None:
    """Writes named arrays as a safetensors file."""
    arrays = _named_arrays(embeddings, "safetensors files", options)
    with open_output(path) as raw:
        out = Output(raw)
        shapes = {name: (dtype, shape) for name, (dtype, shape, _) in arrays.items()}
        write_header(out, shapes, {"format": "ffjax"})
        for _, _, blocks in arrays.values():
            for block in blocks:
                out.write(block)


def write_parquet(path: File, embeddings: Embeddings, **options: Unpack[ColumnOptions]) -> None:
    """Writes a Parquet file: columns of words, vectors and norms."""
    _, pq = require_arrow("writing Parquet files")
    # Bytes of the same weight in all numbers of a column come together, and compress.
    layout: Any = {"use_dictionary": False, "use_byte_stream_split": ["vector.list.element"]}
    layout |= {"compression": "zstd", "compression_level": 1}
    schema = _schema(embeddings, "Parquet files", options)
    with open_output(path) as out, pq.ParquetWriter(out, schema, **layout) as writer:
        _write_batches(writer, embeddings, schema, options)


def write_arrow(path: File, embeddings: Embeddings, **options: Unpack[ColumnOptions]) -> None:
    """Writes an Arrow file with one batch of rows, so that they can be mapped."""
    pa, _ = require_arrow("writing Arrow files")
    schema = _schema(embeddings, "Arrow files", options)
    storage, vocab, unnormalize = embeddings.storage, embeddings.vocab, _unnormalizes(options)
    is_plain = storage.host_matrix() is not None and vocab.shared_rows is None
    with open_output(path) as out, pa.ipc.new_file(out, schema) as writer:
        if is_plain and not unnormalize:
            _write_batches(writer, embeddings, schema, options, sys.maxsize)
            return
        norms = np.ones(len(vocab), np.float32)
        with FileRows(embeddings.dims, output_folder(path)) as spool:
            for block, rows, scale in export.row_blocks(embeddings, unnormalize):
                spool.append(rows)
                norms[block] = 1 if scale is None else scale
            writer.write_batch(_batch(embeddings, schema, 0, spool.finish(), norms))


def write_arrow_stream(
    path: File, embeddings: Embeddings, **options: Unpack[ColumnOptions]
) -> None:
    """Writes an Arrow stream of batches of rows."""
    pa, _ = require_arrow("writing Arrow streams")
    schema = _schema(embeddings, "Arrow streams", options)
    with open_output(path) as out, pa.ipc.new_stream(out, schema) as writer:
        _write_batches(writer, embeddings, schema, options)


def _unnormalizes(options: Mapping[str, Any]) -> bool:
    """Whether vectors are multiplied by their norms, since these are not written."""
    return not options.get("norms", True)


def _named_arrays(
    emb: Embeddings, what: str, options: Mapping[str, Any]
) -> dict[str, tuple[str, tuple[int, ...], Iterator[Any]]]:
    """The arrays of `columns`: the type, the shape and the bytes of each."""
    emb = export.check_plain(emb, what, options, ColumnOptions)
    unnormalize = _unnormalizes(options)
    table, n = emb.vocab.table, len(emb.vocab)
    norms: list[np.ndarray] = []

    def vectors() -> Iterator[Any]:
        for _, rows, scale in export.row_blocks(emb, unnormalize):
            norms.append(np.empty(0) if scale is None else scale)
            yield np.ascontiguousarray(rows, "<f4").data

    data, offsets = table.host_data[: table.host_offsets[-1]], table.host_offsets.astype("<i8")
    arrays = {
        "embeddings": ("<f4", (n, emb.dims), vectors()),
        "words.offsets": ("<i8", offsets.shape, iter([offsets.data])),
    }
    if emb.norms is not None and not unnormalize:
        arrays["norms"] = ("<f4", (n,), (norm.astype("<f4").data for norm in norms))
    if emb.metadata is not None:
        toml = emb.metadata.toml.encode()
        arrays["metadata"] = ("|u1", (len(toml),), iter([toml]))
    arrays["words.bytes"] = ("|u1", data.shape, iter([data.data]))
    return arrays


def _npz_member(archive: zipfile.ZipFile, name: str, out: Any) -> Any:
    """A stored member whose array begins at a multiple of 64 bytes, so that it can be mapped."""
    info = zipfile.ZipInfo(name + ".npy")  # with a constant date
    start = out.tell() + _LOCAL_HEADER_BYTES + len(info.filename)
    padding = -(start + 4) % _ALIGNMENT
    info.extra = b"\xff\xff" + padding.to_bytes(2, "little") + bytes(padding)
    return archive.open(info, "w", force_zip64=True)


def _schema(emb: Embeddings, what: str, options: Mapping[str, Any]) -> Any:
    """The columns of a table, after a check of what they can hold."""
    import pyarrow as pa

    emb = export.check_plain(emb, what, options, ColumnOptions)
    number = pa.field("element", pa.float32(), nullable=False)
    columns = {"word": pa.string(), "vector": pa.list_(number, emb.dims)}
    if emb.norms is not None and not _unnormalizes(options):
        columns["norm"] = pa.float32()
    tags = {VERSION_KEY: b"1"}
    if emb.metadata is not None:
        tags[METADATA_KEY] = emb.metadata.toml.encode()
    fields = [pa.field(name, kind, nullable=False) for name, kind in columns.items()]
    return pa.schema(fields, tags)


def _write_batches(
    writer: Any,
    emb: Embeddings,
    schema: Any,
    options: Mapping[str, Any],
    n_bytes: int = _GROUP_BYTES,
) -> None:
    """Writes the rows in batches of `n_bytes`, at least one."""
    for block, rows, norms in export.row_blocks(emb, _unnormalizes(options), n_bytes=n_bytes):
        writer.write_batch(_batch(emb, schema, block.start, rows, norms))
    if not len(emb.vocab):
        rows = np.empty((0, emb.dims), np.float32)
        writer.write_batch(_batch(emb, schema, 0, rows, rows[:, 0]))


def _batch(emb: Embeddings, schema: Any, first: int, rows: np.ndarray, norms: Any) -> Any:
    import pyarrow as pa

    columns = {
        "word": word_array(emb.vocab.table, first, len(rows)),
        "vector": pa.FixedSizeListArray.from_arrays(rows.ravel(), emb.dims),
        "norm": norms,
    }
    return pa.record_batch({name: columns[name] for name in schema.names}, schema)


def word_array(table: StringTable, first: int, n: int) -> Any:
    """Some words of a table, without a copy."""
    import pyarrow as pa

    buffers = [None, pa.py_buffer(table.host_offsets), pa.py_buffer(table.host_data)]
    return pa.Array.from_buffers(pa.string(), n, buffers, offset=first)
