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

import math
from contextlib import ExitStack
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from ml_dtypes import bfloat16

from ffjax.formats.io.binary import ByteSource, Cursor
from ffjax.formats.io.streams import Stream, open_source
from ffjax.formats.pickles.machine import Machine
from ffjax.formats.pickles.objects import text_of
from ffjax.formats.pickles.opcodes import Entries, Raw, Record, TextRun, in_pairs
from ffjax.formats.tables.columns import NamedArrays, choose_arrays
from ffjax.formats.tables.npy import Array

MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
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


def is_pytorch(names: list[str]) -> bool:
    """Whether these files of an archive are from PyTorch's `torch.save`."""
    return any(name.endswith(_DATA) and name.count("/") == 1 for name in names)


def open_pytorch(
    stack: ExitStack, stream: Stream, words: Any, vectors: str | None
) -> NamedArrays:
    """The matrix and, if the file has a list of them, the words."""
    reader = _Zip(stack, stream) if stream.folder is not None else _Legacy(stack, stream)
    machine = reader.machine
    tensors, lists = _collect(machine, reader.value)
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
    name = next(name for name, array in arrays.items() if array is chosen.vectors)
    chosen = chosen._replace(vectors=_placed(reader, tensors[name], chosen.vectors))
    if chosen.words is None:
        return chosen
    raw = [bytes(machine.raw(text)) for text in texts]
    offsets = np.cumsum([0, *map(len, raw)], dtype=np.int64)
    joined = (np.frombuffer(b"".join(raw), np.uint8), offsets)
    file = stream.file
    data, starts = (Array(ByteSource(file, x.tobytes()), 0, x.dtype, x.shape) for x in joined)
    return chosen._replace(words=data, offsets=starts)


def _placed(reader: "_Zip | _Legacy", tensor: _Tensor, array: Array) -> Array:
    """The array of a tensor in the file."""
    source, start, stop, is_big = reader.storage(tensor)
    dtype = tensor.dtype.newbyteorder(">" if is_big else "<")
    start += tensor.offset * dtype.itemsize
    size = math.prod(tensor.shape) * dtype.itemsize
    if start + size > stop:
        expected = f"{size} bytes of a storage"
        got = f"{max(stop - start, 0)} before its end"
        raise reader.machine.error(expected, got, field="tensor", offset=tensor.record.offset)
    return array._replace(source=source, start=start, dtype=dtype)


class _Zip:
    """A zip archive, or a folder with the same files."""

    def __init__(self, stack: ExitStack, stream: Stream) -> None:
        self._stack, self._folder = stack, stream.expected_folder()
        self._names = self._folder.names
        data = next(name for name in self._names if name.endswith(_DATA))
        self._prefix = data.removesuffix("data.pkl")
        self.machine = Machine(self._open(data), _PACKAGES, hint=_HINT, has_storages=True)
        self.value, _ = self.machine.run()

    def storage(self, tensor: _Tensor) -> tuple[ByteSource, int, int, bool]:
        """Where the numbers of a storage lie, and whether they are big endian."""
        name, order = f"{self._prefix}data/{tensor.key}", f"{self._prefix}byteorder"
        if name not in self._names:
            offset = tensor.record.offset
            raise self.machine.error("a member of the archive", name, field="key", offset=offset)
        is_big = order in self._names and bytes(self._open(order).data) == b"big"
        source = self._open(name)
        return source, 0, len(source), is_big

    def _open(self, name: str) -> ByteSource:
        member = self._stack.enter_context(self._folder.open(name))
        return self._stack.enter_context(open_source(member))


class _Legacy:
    """One file, in which the storages follow the pickles."""

    def __init__(self, stack: ExitStack, stream: Stream) -> None:
        source = stack.enter_context(open_source(stream, magic=MAGIC))
        self.machine = Machine(source, _PACKAGES, hint=_HINT, has_storages=True)
        position, values = 0, []
        for _ in range(5):
            value, position = self.machine.run(position)
            values.append(value)
        _, _, system, self.value, keys = values
        entries = system.items if isinstance(system, Entries) else []
        settings = {text_of(self.machine, key): value for key, value in in_pairs(entries)}
        self._is_big = settings.get("little_endian") is False
        self._keys = keys if isinstance(keys, list) else []
        self._position = position

    def storage(self, tensor: _Tensor) -> tuple[ByteSource, int, int, bool]:
        """Where the numbers of a storage lie, and whether they are big endian."""
        sizes = {}
        for reference in self.machine.storages:
            key, dtype = _key_and_dtype(self.machine, reference)
            sizes[key] = dtype.itemsize
        cursor = Cursor(self.machine.source, self._position, chunk="storages")
        for key in _spans(self._keys):
            text = text_of(self.machine, key)
            n_values = cursor.number("q", "numel", 0)
            size = cursor.claim("numel", n_values, sizes.get(text, 1))
            start = cursor.skip("numbers", size)
            if text == tensor.key:
                return self.machine.source, start, start + size, self._is_big
        offset = tensor.record.offset
        raise self.machine.error("the key of a storage", tensor.key, field="key", offset=offset)


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
            pairs = _pairs(value)
            if pairs and all(isinstance(key, Raw) and type(x) is int for key, x in pairs):
                if sorted(x for _, x in pairs) == list(range(len(pairs))):
                    numbered[name or "words"] = [key for key, _ in sorted(pairs, key=itemgetter(1))]
            else:
                named = [(_joined(name, text_of(machine, key)), item) for key, item in pairs]
                pending += named[::-1]
    return tensors, lists | numbered


def _pairs(value: Any) -> list[tuple[Any, Any]]:
    """The entries of a dictionary, of an object that is one, and of an object's attributes."""
    if isinstance(value, Entries):
        return list(in_pairs(value.items))
    if not isinstance(value, Record):
        return []
    state = value.state.items if isinstance(value.state, Entries) else []
    return [*in_pairs(value.items), *in_pairs(state)]


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
            texts += (Raw(start, stop, True) for start, stop in spans)
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
