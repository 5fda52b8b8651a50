"""The head of a fastText file: magic number, version, and the settings of the training.

Everything is little endian, nothing is padded or aligned:

    i32     magic          793712314
    i32     version        11 or 12
    i32     dims           dimensions of the vectors
    i32     window_size    words on either side
    i32     epoch          passes over the corpus
    i32     min_count      words that occur less often are unknown
    i32     ns             negative samples
    i32     word_ngrams    the longest n-grams of words (supervised models)
    i32     loss           1 hierarchical softmax, 2 negative sampling, 3 softmax, 4 one against all
    i32     model          1 CBOW, 2 skip-gram, 3 supervised
    i32     buckets        rows for hashed n-grams
    i32     min_n, max_n   the shortest and longest n-grams of characters; max_n 0 for none
    i32     lr_update_rate
    f64     sampling_threshold

Then come the dictionary (`dictionary`), a flag and the input matrix, a flag and the output matrix
(`reader`, `quantized`). Files from before version 11 begin with `dims`; they have no flags, and the
dictionary has no number of pruned n-grams. Up to version 11 a supervised model has no n-grams of
characters, whatever its `max_n` says. The names of the settings are finalfusion's.
"""

import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

from ffjax.formats.io.binary import Cursor, Output

MAGIC = (793_712_314).to_bytes(4, "little")
VERSIONS = (11, 12)
WITHOUT_MAGIC = 0
"""The version of files from before there was a magic number, in early 2017."""
_OLD_HEAD = struct.Struct("<12id3iq")  # up to the number of tokens
SUPERVISED = "Supervised"
# Settings that are numbers in the file and names in the metadata; the first name is 1.
_NAMES = {
    "loss": ("HierarchicalSoftmax", "NegativeSampling", "Softmax", "OneVsAll"),
    "model": ("CBOW", "SkipGram", SUPERVISED),
}
# Whole numbers in the place of a threshold are smaller.
_LEAST_NORMAL = 2.0**-1022
_I32 = range(-(2**31), 2**31)
_BOUNDS = {
    "dims": (1, _I32[-1]),
    "buckets": (0, _I32[-1]),
    **{name: (1, len(names)) for name, names in _NAMES.items()},
}


class Config(NamedTuple):
    """The settings in a file, in its order; the defaults stand for "unknown"."""

    dims: int
    window_size: int = -1
    epoch: int = -1
    min_count: int = -1
    ns: int = -1
    word_ngrams: int = 1
    loss: str = "Softmax"
    model: str = "SkipGram"
    buckets: int = 0
    min_n: int = 0
    max_n: int = 0
    lr_update_rate: int = -1
    sampling_threshold: float = 1e-4

    @classmethod
    def read(cls, cursor: Cursor) -> "Config":
        """Reads the settings."""
        cursor.chunk = "settings"
        begin = cursor.position
        values: dict[str, Any] = {}
        for name in cls._fields:
            start = cursor.position
            value = cursor.number(_code(name), name)
            least, most = _BOUNDS.get(name, (value, value))
            if not least <= value <= most:
                raise cursor.error(name, f"{least} to {most}", str(value), offset=start)
            values[name] = _NAMES[name][value - 1] if name in _NAMES else value
        config = cls(**values)
        if 0 < config.sampling_threshold < _LEAST_NORMAL:  # they have a mode and hashes instead
            writer = "`save_floret_vectors`" if config.lr_update_rate == 2 else "`save_vectors`"
            hint = f"Load it with the package `floret`, and write its vectors with {writer}."
            expected = "a fastText model"
            raise cursor.error("mode", expected, "a floret model", offset=begin, hint=hint)
        if config.max_n < 0 <= config.min_n:
            hint = (
                "fastText takes n-grams of any length then, which would be very many. Write the "
                "vectors of words with fastText's `print-word-vectors`."
            )
            raise cursor.error("max_n", "0 or more", str(config.max_n), offset=begin, hint=hint)
        return config

    def write(self, output: Output) -> None:
        """Writes the settings."""
        for name, value in self._asdict().items():
            number = _NAMES[name].index(value) + 1 if name in _NAMES else value
            output.pack(_code(name), number)

    @classmethod
    def of(cls, metadata: Mapping[str, Any] | None, dims: int) -> "Config":
        """The settings in metadata, with defaults for what is missing or does not fit."""
        fitting = {
            name: value
            for name, value in (metadata or {}).items()
            if name in cls._fields and _fits(name, value)
        }
        return cls(**{**fitting, "dims": dims})

    def ngram_lengths(self, version: int) -> tuple[int, int] | None:
        """The shortest and longest n-grams; `None` for a model without n-grams of characters."""
        min_n = max(self.min_n, 1)  # fastText counts characters from 1
        # fastText compares without signs: nothing is as long as a negative min_n.
        is_empty = self.buckets == 0 or self.max_n < min_n or self.min_n < 0
        is_old_classifier = version <= 11 and self.model == SUPERVISED
        return None if is_empty or is_old_classifier else (min_n, self.max_n)


def is_without_magic(head: bytes) -> bool:
    """Whether a file begins with settings and sizes that fit each other, as very old ones do."""
    if len(head) < _OLD_HEAD.size:
        return False
    settings = _OLD_HEAD.unpack_from(head)
    dims, window_size, *_, loss, model, buckets, min_n, max_n, _, threshold = settings[:13]
    size, n_words, n_labels, n_tokens = settings[13:]
    return (
        0 < dims < 1 << 16
        and 0 < window_size < 1 << 16
        and loss in (1, 2, 3)
        and model in (1, 2, 3)
        and 0 <= buckets
        and 0 <= min_n < 1 << 10
        and 0 <= max_n < 1 << 10
        and 0 <= threshold <= 1
        and 0 < size == n_words + n_labels
        and min(n_words, n_labels) >= 0 < n_tokens
    )


def read_version(cursor: Cursor) -> int:
    """Steps over the magic number, which opening the file has checked, and reads the version."""
    cursor.chunk = "header"
    if cursor.remaining >= len(MAGIC) and bytes(cursor.source.data[: len(MAGIC)]) != MAGIC:
        return WITHOUT_MAGIC
    cursor.skip("magic", len(MAGIC))
    start = cursor.position
    version = cursor.number("i", "version")
    if version not in VERSIONS:
        expected = " or ".join(map(str, VERSIONS))
        raise cursor.error("version", expected, str(version), offset=start)
    return version


def write_version(output: Output, version: int) -> None:
    """Writes magic number and version."""
    output.write(MAGIC)
    output.pack("i", version)


def read_quantized(cursor: Cursor, version: int) -> bool:
    """Whether the matrix that follows is quantized."""
    return version != WITHOUT_MAGIC and read_flag(cursor, "quantized")


def read_flag(cursor: Cursor, field: str) -> bool:
    """Reads a byte that is 0 or 1."""
    start = cursor.position
    flag = cursor.number("B", field)
    if flag > 1:
        raise cursor.error(field, "0 or 1", str(flag), offset=start)
    return bool(flag)


def skip_dense(cursor: Cursor, dims: int) -> tuple[int, int]:
    """Steps over a dense matrix: its rows, and where their numbers begin."""
    start = cursor.position
    rows, columns = cursor.number("q", "rows"), cursor.number("q", "dims")
    if rows < 0 or (columns != dims and rows):
        expected, got = f"0 or more, and {dims}", f"{rows} and {columns}"
        raise cursor.error("rows, dims", expected, got, offset=start)
    return rows, cursor.skip("rows", cursor.claim("rows", rows, 4 * dims, offset=start))


def lost_settings(metadata: Mapping[str, Any] | None) -> list[str]:
    """The names in metadata for which a file has no place."""
    return [
        name
        for name, value in (metadata or {}).items()
        if name not in Config._fields or not _fits(name, value)
    ]


def _code(name: str) -> str:
    return "d" if name == "sampling_threshold" else "i"


def _fits(name: str, value: Any) -> bool:
    if name in _NAMES:
        return value in _NAMES[name]
    if isinstance(value, bool):
        return False
    if name == "sampling_threshold":
        return isinstance(value, int | float)
    return isinstance(value, int) and value in _I32
