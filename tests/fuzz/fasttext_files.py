"""Models for the fuzz targets of fastText files, and the folder that targets write to."""

import atexit
import os
import shutil
import struct
import tempfile
from pathlib import Path

import numpy as np

from tests.formats.fasttext import files

_MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
FOLDER = Path(tempfile.mkdtemp(prefix="ffjax-fuzz-", dir=_MEMORY))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
_FILE = FOLDER / "model"


def write(data: bytes) -> str:
    """Writes an input to the one file of this process and returns its path."""
    _FILE.write_bytes(data)
    return str(_FILE)


def quantized(dims: int, *, norms: bool, pruned: bool) -> bytes:
    """A quantized model of two words with random codes, small enough for the fuzzer."""
    rng = np.random.default_rng(0)
    dense = files.model(
        ["a", "tea"], labels=["__label__x"], kind=files.SUPERVISED, dims=dims, buckets=3
    )
    head = dense[: dense.index(b"__label__x") + 20]
    rows, out = (3, [struct.pack("<ii", 1, 0)]) if pruned else (5, [])
    if pruned:
        head = head[:84] + struct.pack("<q", 1) + head[92:]

    def quantizer(dims: int, width: int) -> bytes:
        n_codes = -(-dims // width)
        sizes = struct.pack("<iiii", dims, n_codes, width, dims - (n_codes - 1) * width)
        return sizes + rng.standard_normal(dims * 256).astype("<f4").tobytes()

    size = rows * -(-dims // 2)
    out.append(
        struct.pack("<??qqi", True, norms, rows, dims, size) + rng.bytes(size) + quantizer(dims, 2)
    )
    if norms:
        out.append(rng.bytes(rows) + quantizer(1, 1))
    out.append(struct.pack("<?qq", False, 1, dims) + bytes(4 * dims))
    return b"".join([head, *out])
