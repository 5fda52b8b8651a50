"""Tensors that PyTorch's `torch.save` wrote, `.pt` or `pytorch_model.bin`, read as data.

A zip archive whose members are stored as they are, since version 1.6:

    NAME/data.pkl    the pickle of the object, with a reference for each storage
    NAME/data/KEY    the numbers of a storage
    NAME/byteorder   "little" or "big"; little if it is missing

Before, a file of five pickles: 0x1950a86a20f9469cfc6c, 1001, a dictionary, the object, and a list
of the keys of storages; then for each key i64 numel, and the numbers.

    reference   ("storage", torch.FloatStorage, key, device, numel), and before 1.6 one value more
    tensor      torch._utils._rebuild_tensor_v2(storage, offset, size, stride, ...)
    parameter   torch._utils._rebuild_parameter(tensor, ...)

See https://github.com/pytorch/pytorch/blob/main/torch/serialization.py.
"""

from collections.abc import Callable
from contextlib import ExitStack
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from ml_dtypes import bfloat16

from ffjax.formats.io.binary import Array, ByteSource, Cursor
from ffjax.formats.io.streams import Stream, open_source
from ffjax.formats.pickles.machine import Machine
from ffjax.formats.pickles.objects import text_of
from ffjax.formats.pickles.values import Entries, Raw, Record, TextRun, in_pairs
from ffjax.formats.registry import FORMATS
from ffjax.formats.tables.columns import NamedArrays, choose_arrays

(MAGIC,) = FORMATS["pytorch"].magics
_DATA = "/data.pkl"
_DTYPES = {
    **{"Float": np.float32, "Half": np.float16, "Double": np.float64, "BFloat16": bfloat16},
    **{"Long": np.int64, "Int": np.int32, "Short": np.int16, "Char": np.int8, "Byte": np.uint8},
    **{"Bool": np.bool_, "ComplexFloat": np.complex64, "ComplexDouble": np.complex128},
}
_PACKAGES = ("torch", "torchtext", "argparse")
_HINT = (
    "Pickles are read as data, and nothing in them is run. If you trust the file, save the weights "
    "alone with PyTorch, as in `torch.save(model.state_dict(), path)`."
)
_MAX_VALUES = 1 << 20


class _Tensor(NamedTuple):
    """A matrix: its storage, and where in it the matrix begins."""

    key: str
    offset: int
    dtype: np.dtype
    shape: tuple[int, int]
    is_fortran: bool
    record: Record


class _Storage(NamedTuple):
    """Where the numbers of a storage begin and end, and whether they are big endian."""

    source: ByteSource
    start: int
    stop: int
    is_big: bool


class _Object(NamedTuple):
    """A pickled object, the machine that read it, and what finds the storages of its tensors."""

    machine: Machine
    value: Any
    find_storage: Callable[[_Tensor], _Storage]


def is_pytorch(names: list[str]) -> bool:
    """Whether these files of an archive are from PyTorch's `torch.save`."""
    return any(name.endswith(_DATA) and name.count("/") == 1 for name in names)


def open_pytorch(
    stack: ExitStack, stream: Stream, words: Any, vectors: str | None
) -> NamedArrays:
    """The matrix and, if the file has a list of them, the words."""
    is_zip = stream.folder is not None
    machine, value, find_storage = (_read_zip if is_zip else _read_legacy)(stack, stream)
    tensors, lists = _collect(machine, value)
    sizes = {tensor.shape[0] for tensor in tensors.values()}
    strings = next((name for name, texts in lists.items() if len(texts) in sizes), None)
    texts = [] if strings is None else lists[strings]
    if strings is not None and vectors is None:
        tensors = {name: x for name, x in tensors.items() if x.shape[0] == len(texts)}
    arrays = {
        name: Array(machine.source, 0, tensor.dtype, tensor.shape, tensor.is_fortran)
        for name, tensor in tensors.items()
    }
    if strings is not None:
        arrays[strings] = Array(machine.source, 0, np.dtype("S"), (len(texts),))
    chosen = choose_arrays(arrays, words, vectors, stream.file)
    matrix = chosen.vectors
    tensor = next(tensors[name] for name, array in arrays.items() if array is matrix)
    source, start, stop, is_big = find_storage(tensor)
    start += tensor.offset * matrix.dtype.itemsize
    if start + matrix.nbytes > stop:
        expected = f"{matrix.nbytes} bytes of a storage"
        got = f"{max(stop - start, 0)} before its end"
        raise machine.error(expected, got, field="tensor", offset=tensor.record.offset)
    dtype = matrix.dtype.newbyteorder(">" if is_big else "<")
    chosen = chosen._replace(vectors=matrix._replace(source=source, start=start, dtype=dtype))
    if chosen.words is None:
        return chosen
    raw = [bytes(machine.raw(text)) for text in texts]
    offsets = np.cumsum([0, *map(len, raw)], dtype=np.int64)
    joined = (np.frombuffer(b"".join(raw), np.uint8), offsets)
    file = stream.file
    data, starts = (Array(ByteSource(file, x.tobytes()), 0, x.dtype, x.shape) for x in joined)
    return chosen._replace(words=data, offsets=starts)


def _read_zip(stack: ExitStack, stream: Stream) -> _Object:
    """The object of a zip archive, or of a folder with the same files."""
    folder = stream.expected_folder()

    def opened(name: str) -> ByteSource:
        return stack.enter_context(open_source(stack.enter_context(folder.open(name))))

    data = next(name for name in folder.names if name.endswith(_DATA))
    prefix = data.removesuffix("data.pkl")
    machine = Machine(opened(data), _PACKAGES, hint=_HINT, has_storages=True)

    def find_storage(tensor: _Tensor) -> _Storage:
        name, order = f"{prefix}data/{tensor.key}", f"{prefix}byteorder"
        if name not in folder.names:
            offset = tensor.record.offset
            raise machine.error("a member of the archive", name, field="key", offset=offset)
        is_big = order in folder.names and bytes(opened(order).data) == b"big"
        source = opened(name)
        return _Storage(source, 0, len(source), is_big)

    value, _ = machine.run()
    return _Object(machine, value, find_storage)


def _read_legacy(stack: ExitStack, stream: Stream) -> _Object:
    """The object of one file, in which the storages follow the pickles."""
    source = stack.enter_context(open_source(stream, magic=MAGIC))
    machine = Machine(source, _PACKAGES, hint=_HINT, has_storages=True)
    position, values = 0, []
    for _ in range(5):
        value, position = machine.run(position)
        values.append(value)
    _, _, system, value, keys = values
    entries = system.items if isinstance(system, Entries) else []
    settings = {text_of(machine, key): setting for key, setting in in_pairs(entries)}

    def find_storage(tensor: _Tensor) -> _Storage:
        dtypes = dict(_key_and_dtype(machine, reference) for reference in machine.storages)
        cursor = Cursor(source, position, chunk="storages")
        for key in _spans(keys if isinstance(keys, list) else []):
            text = text_of(machine, key)
            n_values = cursor.number("q", "numel", 0)
            itemsize = dtypes[text].itemsize if text in dtypes else 1
            size = cursor.claim("numel", n_values, itemsize)
            start = cursor.skip("numbers", size)
            if text == tensor.key:
                is_big = settings.get("little_endian") is False
                return _Storage(source, start, start + size, is_big)
        offset = tensor.record.offset
        raise machine.error("the key of a storage", tensor.key, field="key", offset=offset)

    return _Object(machine, value, find_storage)


def _collect(machine: Machine, value: Any) -> tuple[dict[str, _Tensor], dict[str, list[Raw]]]:
    """The matrices by their names, and lists of texts: those first that are not dictionaries."""
    tensors: dict[str, _Tensor] = {}
    lists: dict[str, list[Raw]] = {}
    numbered: dict[str, list[Raw]] = {}
    pending, visited = [("", value)], set()
    while pending:
        name, value = pending.pop()
        if id(value) in visited or len(visited) > _MAX_VALUES:
            continue
        if isinstance(value, Record | Entries | list | tuple):
            visited.add(id(value))
        if (tensor := _tensor(machine, value)) is not None:
            tensors[name or "tensor"] = tensor
        elif isinstance(value, list | tuple):
            if value and all(isinstance(item, Raw | TextRun) for item in value):
                lists[name or "words"] = _spans(value)
            else:
                named = [(_joined(name, str(i)), item) for i, item in enumerate(value)]
                pending += named[:_MAX_VALUES][::-1]
        else:
            # The entries of a dictionary, of an object that is one, and of an object's attributes.
            dicts: list[Any] = [value] if isinstance(value, Record | Entries) else []
            if isinstance(value, Record) and isinstance(value.state, Entries):
                dicts.append(value.state)
            pairs = [pair for x in dicts for pair in in_pairs(x.items)]
            if pairs and all(isinstance(key, Raw) and type(x) is int for key, x in pairs):
                if sorted(x for _, x in pairs) == list(range(len(pairs))):
                    numbered[name or "words"] = [key for key, _ in sorted(pairs, key=itemgetter(1))]
            else:
                named = [(_joined(name, text_of(machine, key)), item) for key, item in pairs]
                pending += named[::-1]
    return tensors, lists | numbered


def _joined(name: str, attribute: str) -> str:
    """A dotted name, as in a `state_dict`."""
    if attribute in ("_modules", "_parameters", "_buffers"):
        return name
    return f"{name}.{attribute}" if name else attribute


def _spans(items: Any) -> list[Raw]:
    """The texts of a list."""
    texts: list[Raw] = []
    for item in items:
        if isinstance(item, TextRun):
            spans = zip(item.starts.tolist(), item.stops.tolist(), strict=True)
            texts += (Raw(*span, True) for span in spans)
        elif isinstance(item, Raw):
            texts.append(item)
    return texts


def _tensor(machine: Machine, value: Any) -> _Tensor | None:
    """A matrix that lies row by row or column by column; `None` for anything else."""
    if not isinstance(value, Record):
        return None
    record = value
    if value.callee.name == "torch._utils._rebuild_parameter" and value.arguments:
        value = value.arguments[0]
    if not isinstance(value, Record) or len(value.arguments) < 4:
        return None
    if value.callee.name != "torch._utils._rebuild_tensor_v2":
        return None
    reference, offset, shape, strides = value.arguments[:4]
    is_matrix = isinstance(shape, tuple) and isinstance(strides, tuple) and len(shape) == 2
    numbers = [offset, *shape, *strides] if is_matrix else [None]
    if not all(type(number) is int and 0 <= number < 1 << 48 for number in numbers):
        return None
    is_fortran = strides == (1, shape[0]) and shape[1] > 1
    if not is_fortran and strides != (shape[1], 1):
        return None
    key, dtype = _key_and_dtype(machine, reference)
    return _Tensor(key, offset, dtype, shape, is_fortran, record)


def _key_and_dtype(machine: Machine, reference: Any) -> tuple[str, np.dtype]:
    """The key of a storage, and the type of its numbers."""
    arguments = reference.arguments if isinstance(reference, Record) else ()
    if len(arguments) < 5:
        offset = reference.offset if isinstance(reference, Record) else 0
        raise machine.error("five values", "others", field="storage", offset=offset)
    kind = getattr(arguments[1], "name", "").removeprefix("torch.").removesuffix("Storage")
    if kind not in _DTYPES:
        expected, got = "a storage of numbers", repr(kind)
        raise machine.error(expected, got, field="storage", offset=reference.offset)
    return text_of(machine, arguments[2]), np.dtype(_DTYPES[kind])
