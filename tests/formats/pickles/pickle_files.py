"""Pickles put together opcode by opcode, so that tests need no module that unpickles."""

import struct

import numpy as np

from ffjax.formats.tables.pytorch import MAGIC


def text(value: str) -> bytes:
    raw = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(raw)) + raw


def whole(number: int) -> bytes:
    return b"J" + struct.pack("<i", number)


def name(path: str) -> bytes:
    module, _, attribute = path.rpartition(".")
    return f"c{module}\n{attribute}\n".encode()


def texts(values: list[str]) -> bytes:
    return b"](" + b"".join(map(text, values)) + b"e"


def memoized_texts(values: list[str], frame_after: int = -1) -> bytes:
    """A list as Python writes it from protocol 4 on."""
    data = b"]\x94("
    for i, value in enumerate(values):
        raw = value.encode()
        data += b"\x8c" + bytes([len(raw)]) + raw + b"\x94"
        if i == frame_after:
            data += b"\x95" + struct.pack("<Q", 1)
    return data + b"e"


def entries(values: dict[str, bytes]) -> bytes:
    return b"}(" + b"".join(text(key) + value for key, value in values.items()) + b"u"


def record(path: str, state: bytes) -> bytes:
    return name(path) + b")\x81" + state + b"b"


def array(rows: np.ndarray, module: str = "numpy._core.multiarray") -> bytes:
    order = "F" if rows.flags.f_contiguous and not rows.flags.c_contiguous else "C"
    raw = rows.tobytes(order)
    shape = b"(" + b"".join(map(whole, rows.shape)) + b"t"
    dtype = name("numpy.dtype") + text(rows.dtype.str[1:]) + b"\x89\x88\x87R"
    dtype += b"(K\x03" + text(rows.dtype.str[0]) + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    data = b"B" + struct.pack("<I", len(raw)) + raw
    empty = name(f"{module}._reconstruct") + name("numpy.ndarray") + b"K\x00\x85C\x01b\x87R"
    fortran = b"\x88" if order == "F" else b"\x89"
    return empty + b"(K\x01" + shape + dtype + fortran + data + b"tb"


def tensor(key: str, kind: str, shape: tuple, strides: tuple, offset: int = 0) -> bytes:
    """A PyTorch tensor whose numbers are in a storage with this key."""
    reference = b"(" + text("storage") + name(f"torch.{kind}Storage") + text(key) + text("cpu")
    sizes = b"".join(b"(" + b"".join(map(whole, numbers)) + b"t" for numbers in (shape, strides))
    flags = b"\x89" + name("collections.OrderedDict") + b")R"
    reference += whole(99) + b"tQ"
    rebuild = name("torch._utils._rebuild_tensor_v2") + b"(" + reference + whole(offset)
    return rebuild + sizes + flags + b"tR"


def old_file(value: bytes, storages: dict[str, np.ndarray]) -> bytes:
    """A PyTorch file from before version 1.6."""
    settings = entries({"protocol_version": whole(1001), "little_endian": b"\x88"})
    pickles = [whole(1001), settings, value, texts(list(storages))]
    data = MAGIC + b"".join(b"\x80\x02" + pickle + b"." for pickle in pickles)
    for rows in storages.values():
        data += struct.pack("<q", rows.size) + rows.tobytes()
    return data


def pickled(value: bytes) -> bytes:
    return b"\x80\x04" + value + b"."


def keyed_vectors(words: list[str], rows: np.ndarray, **more: bytes) -> bytes:
    """A file from gensim's `KeyedVectors.save`."""
    state = {"index_to_key": texts(words), "vectors": array(rows), "__numpys": b"]", **more}
    return pickled(record("gensim.models.keyedvectors.KeyedVectors", entries(state)))


def fasttext(words: list[str], rows: np.ndarray, ngrams: np.ndarray, **more: bytes) -> bytes:
    """A file from gensim's `FastTextKeyedVectors.save`."""
    state = {
        "index_to_key": texts(words),
        "vectors_vocab": array(rows),
        "vectors_ngrams": array(ngrams),
        "bucket": whole(len(ngrams)),
        "min_n": whole(2),
        "max_n": whole(3),
        "compatible_hash": b"\x88",
        **more,
    }
    return pickled(record("gensim.models.fasttext.FastTextKeyedVectors", entries(state)))
