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
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from ml_dtypes import bfloat16

from ffjax.formats.io.binary import Array, ByteSource, Cursor
from ffjax.formats.io.streams import Stream, open_source
from ffjax.formats.pickles.machine import Machine
from ffjax.formats.pickles.objects import attributes, text_of
from ffjax.formats.pickles.values import Entries, Raw, Record, TextRun, in_pairs
from ffjax.formats.registry import FORMATS
from ffjax.formats.tables.columns import Named, NamedArrays, choose_arrays

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
_REBUILD = "torch._utils._rebuild_tensor_v2"


# Where the numbers of a storage begin and end, and whether they are big endian.
_Storage: TypeAlias = tuple[ByteSource, int, int, bool]
# A pickled object, the machine that read it, and what finds the storage with a key; the last
# argument is the offset for errors.
_Object: TypeAlias = tuple[Any, Machine, Callable[[str, int], _Storage]]


class _Tensor(NamedTuple):
    """A matrix, whose `start` counts from the start of its storage."""

    array: Array
    key: str  # of the storage
    offset: int  # of the record in the pickle


def is_pytorch(names: list[str]) -> bool:
    """Whether these files of an archive are from PyTorch's `torch.save`."""
    return any(name.endswith(_DATA) and name.count("/") == 1 for name in names)


def open_pytorch(stack: ExitStack, stream: Stream, named: Named) -> NamedArrays:
    """The matrix and, if the file has a list of them, the words."""
    read = _read_legacy if stream.folder is None else _read_zip
    value, machine, find_storage = read(stack, stream)
    tensors, lists = _collect(machine, value)
    arrays = {name: tensor.array for name, tensor in tensors.items()}
    sizes = {array.shape[0] for array in arrays.values()}
    strings = next((name for name, texts in lists.items() if len(texts) in sizes), "")
    texts = lists.get(strings, [])
    if texts:
        if named.vectors is None:
            arrays = {name: x for name, x in arrays.items() if x.shape[0] == len(texts)}
        arrays[strings] = Array(machine.source, 0, np.dtype("S"), (len(texts),))
    chosen = choose_arrays(arrays, named)
    matrix = chosen.vectors
    tensor = next(tensor for tensor in tensors.values() if tensor.array is matrix)
    source, start, stop, is_big = find_storage(tensor.key, tensor.offset)
    start += matrix.start
    if start + matrix.nbytes > stop:
        expected = f"{matrix.nbytes} bytes of a storage"
        got = f"{max(stop - start, 0)} before its end"
        raise machine.error(expected, got, field="tensor", offset=tensor.offset)
    dtype = matrix.dtype.newbyteorder(">" if is_big else "<")
    chosen = chosen._replace(vectors=matrix._replace(source=source, start=start, dtype=dtype))
    if chosen.words is None:
        return chosen
    raw = [bytes(machine.raw(text)) for text in texts]
    offsets = np.cumsum([0, *map(len, raw)], dtype=np.int64)
    joined = np.frombuffer(b"".join(raw), np.uint8)
    data, starts = (
        Array(ByteSource(stream.file, x.tobytes()), 0, x.dtype, x.shape) for x in (joined, offsets)
    )
    return chosen._replace(words=data, offsets=starts)


def _read_zip(stack: ExitStack, stream: Stream) -> _Object:
    """The object of a zip archive, or of a folder with the same files."""
    folder = stream.expected_folder()

    def opened(name: str) -> ByteSource:
        return stack.enter_context(open_source(stack.enter_context(folder.open(name))))

    data = next(name for name in folder.names if name.endswith(_DATA))
    prefix = data.removesuffix("data.pkl")
    machine = Machine(opened(data), _PACKAGES, hint=_HINT, has_storages=True)

    def find_storage(key: str, offset: int) -> _Storage:
        name, order = f"{prefix}data/{key}", f"{prefix}byteorder"
        if name not in folder:
            raise machine.error("a member of the archive", name, field="key", offset=offset)
        is_big = order in folder and bytes(opened(order).data) == b"big"
        source = opened(name)
        return source, 0, len(source), is_big

    return machine.run()[0], machine, find_storage


def _read_legacy(stack: ExitStack, stream: Stream) -> _Object:
    """The object of one file, in which the storages follow the pickles."""
    source = stack.enter_context(open_source(stream, magic=MAGIC))
    machine = Machine(source, _PACKAGES, hint=_HINT, has_storages=True)
    position, values = 0, []
    for _ in range(5):
        value, position = machine.run(position)
        values.append(value)
    _, _, system, value, keys = values
    is_big = attributes(machine, system).get("little_endian") is False

    def find_storage(key: str, offset: int) -> _Storage:
        dtypes = dict(_key_and_dtype(machine, reference) for reference in machine.storages)
        cursor = Cursor(source, position, chunk="storages")
        for text in _spans(keys if isinstance(keys, list) else []):
            name, n_values = text_of(machine, text), cursor.number("q", "numel", 0)
            itemsize = dtypes[name].itemsize if name in dtypes else 1
            start = cursor.skip("numbers", cursor.claim("numel", n_values, itemsize))
            if name == key:
                return source, start, cursor.position, is_big
        raise machine.error("the key of a storage", key, field="key", offset=offset)

    return value, machine, find_storage


def _collect(machine: Machine, value: Any) -> tuple[dict[str, _Tensor], dict[str, list[Raw]]]:
    """The matrices by their names, and lists of texts: those first that are not dictionaries."""
    tensors: dict[str, _Tensor] = {}
    lists: dict[str, list[Raw]] = {}
    numbered: dict[str, list[Raw]] = {}
    pending, visited = [("", value)], set()
    while pending:
        name, value = pending.pop()
        is_new = id(value) not in visited and len(visited) <= _MAX_VALUES
        if not is_new or not isinstance(value, Record | Entries | list | tuple):
            continue
        visited.add(id(value))
        items: list[tuple[str, Any]] = []
        if (tensor := _tensor(machine, value)) is not None:
            tensors[name or "tensor"] = tensor
        elif isinstance(value, list | tuple):
            if value and all(isinstance(item, Raw | TextRun) for item in value):
                lists[name or "words"] = _spans(value)
            else:
                items = [(str(i), item) for i, item in enumerate(value)]
        else:
            # The entries of a dictionary, of an object that is one, and of an object's attributes.
            pairs = list(in_pairs(value.items))
            if isinstance(value, Record) and isinstance(value.state, Entries):
                pairs += in_pairs(value.state.items)
            numbers = [x for key, x in pairs if isinstance(key, Raw) and type(x) is int]
            if not pairs or len(numbers) < len(pairs):
                items = [(text_of(machine, key), item) for key, item in pairs]
            elif sorted(numbers) == list(range(len(pairs))):
                numbered[name or "words"] = [key for key, _ in sorted(pairs, key=itemgetter(1))]
        pending += [(_joined(name, key), item) for key, item in items[:_MAX_VALUES]][::-1]
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
    is_tensor = isinstance(value, Record) and value.callee.name == _REBUILD
    if not is_tensor or len(value.arguments) < 4:
        return None
    reference, first, shape, strides = value.arguments[:4]
    if not (isinstance(shape, tuple) and isinstance(strides, tuple) and len(shape) == 2):
        return None
    numbers = first, *shape, *strides
    if not all(type(number) is int and 0 <= number < 1 << 48 for number in numbers):
        return None
    is_fortran = strides == (1, shape[0]) and shape[1] > 1
    if not is_fortran and strides != (shape[1], 1):
        return None
    key, dtype = _key_and_dtype(machine, reference)
    array = Array(machine.source, first * dtype.itemsize, dtype, shape, is_fortran)
    return _Tensor(array, key, record.offset)


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
