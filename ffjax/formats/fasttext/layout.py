"""The head of a fastText file: magic number, version, and the settings that the model was trained with.

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

Then come the dictionary (`dictionary`), a flag and the input matrix, a flag and the output matrix (`reader`,
`quantized`). A supervised model in a file of version 11 has no n-grams of characters, whatever its `max_n` says. The
names of the settings are finalfusion's.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ffjax.embeddings.metadata import Metadata
from ffjax.formats.io.binary import Cursor, Output
from ffjax.vocab.ngrams import FastTextIndexer

MAGIC = (793_712_314).to_bytes(4, "little")
VERSIONS = (11, 12)

LOSSES = ("HierarchicalSoftmax", "NegativeSampling", "Softmax", "OneVsAll")
MODELS = ("CBOW", "SkipGram", "Supervised")
SUPERVISED = "Supervised"

_I32 = range(-(2**31), 2**31)


class Config(NamedTuple):
    """The settings in a file, in its order; `loss` and `model` by name. The defaults stand for "unknown".

    The threshold's is fastText's own: programs take its root.
    """

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
        """Reads the settings.

        Raises:
            FormatError: the file ends, or a setting is out of its range.
        """
        cursor.chunk = "settings"
        values: dict[str, Any] = {}
        for name in cls._fields:
            at = cursor.position
            value = cursor.number("d" if name == "sampling_threshold" else "i", name)
            if name in _NAMED:
                names = _NAMED[name]
                if not 1 <= value <= len(names):
                    raise cursor.error(name, f"1 to {len(names)}", str(value), offset=at)
                value = names[value - 1]
            elif name == "dims" and value < 1:
                raise cursor.error(name, "1 or more", str(value), offset=at)
            elif name == "buckets" and value < 0:
                raise cursor.error(name, "0 or more", str(value), offset=at)
            values[name] = value
        return cls(**values)

    def write(self, output: Output) -> None:
        """Writes the settings."""
        for name, value in self._asdict().items():
            number = _NAMED[name].index(value) + 1 if name in _NAMED else value
            output.pack("d" if name == "sampling_threshold" else "i", number)

    @classmethod
    def of(cls, metadata: Mapping[str, Any] | None, dims: int) -> "Config":
        """The settings in metadata; what is missing, or is nothing that the format can hold, gets its default."""
        kept = {name: value for name, value in (metadata or {}).items() if name in cls._fields and _fits(name, value)}
        return cls(**{**kept, "dims": dims})

    def metadata(self) -> Metadata:
        """The settings as metadata, under finalfusion's names."""
        return Metadata(self._asdict())

    def indexer(self, version: int) -> FastTextIndexer | None:
        """How words are cut into n-grams, or `None` for a model without n-grams of characters."""
        min_n = max(self.min_n, 1)  # fastText counts characters from 1
        if self.buckets == 0 or self.max_n < min_n or (version == 11 and self.model == SUPERVISED):
            return None
        return FastTextIndexer(self.buckets, min_n, self.max_n, skip_edge_unigrams=True, bare_eos=True)


_NAMED = {"loss": LOSSES, "model": MODELS}


def read_version(cursor: Cursor) -> int:
    """Reads magic number and version.

    Raises:
        FormatError: another magic number, or a version that is not known.
    """
    cursor.chunk = "header"
    at = cursor.position
    magic = bytes(cursor.take("magic", len(MAGIC)))
    if magic != MAGIC:
        raise cursor.error("magic", repr(MAGIC), repr(magic), offset=at, hint="The file is not a fastText model.")
    at = cursor.position
    version = cursor.number("i", "version")
    if version not in VERSIONS:
        raise cursor.error("version", " or ".join(map(str, VERSIONS)), str(version), offset=at)
    return version


def write_version(output: Output, version: int) -> None:
    """Writes magic number and version."""
    output.write(MAGIC)
    output.pack("i", version)


def lost_settings(metadata: Mapping[str, Any] | None) -> list[str]:
    """The names in metadata that a file has no place for."""
    return [name for name, value in (metadata or {}).items() if name not in Config._fields or not _fits(name, value)]


def _fits(name: str, value: Any) -> bool:
    if name in _NAMED:
        return value in _NAMED[name]
    if name == "sampling_threshold":
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, int) and not isinstance(value, bool) and value in _I32
