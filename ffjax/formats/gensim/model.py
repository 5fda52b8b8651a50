"""What a model of gensim holds: the words, and where its arrays lie.

A file of `save` is the pickle of one object. The word vectors are the object itself
(`KeyedVectors`), its attribute `wv`, or before 0.13.4 attributes of the model:

    index_to_key    the words, a list of texts; `index2word` before 4.0
    vectors         float [n, dims]; `syn0` before 3.3
    vectors_vocab   of FastText: a row for each word; `vectors` follow from them
    vectors_ngrams  of FastText: float [bucket, dims]; if there is `hash2index`, which maps buckets
                    to rows, only the rows of n-grams that words have
    bucket, min_n, max_n, compatible_hash
    __numpys        the names of attributes that lie in files of their own

Those are arrays of 10 * 2**20 numbers or more. The file of `vectors` is `words.kv.vectors.npy` next
to `words.kv`, and `words.model.wv.vectors.npy` next to `words.model`. Next to a file whose name
ends in `.gz` or `.bz2` it is an `.npz` archive with the array `val`. A directory or an archive may
hold the files of one model.
"""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from ffjax.errors import FormatError
from ffjax.formats.io.binary import Array, File
from ffjax.formats.io.streams import Stream, open_source, open_stream
from ffjax.formats.pickles.machine import Machine
from ffjax.formats.pickles.objects import array_of, attributes, text_of
from ffjax.formats.pickles.values import Entries, Raw, Record, TextRun, in_pairs
from ffjax.formats.tables.npy import read_npy

_PACKAGES = ("gensim", "scipy")
_HINT = (
    "Pickles are read as data, and nothing in them is run. If you trust the file, load it with "
    "gensim and save the word vectors alone, as in `model.wv.save(path)`."
)
_APART = re.compile(r"(.+?)\.(?:wv\.)?(?:vectors|syn0|vectors_vocab|vectors_ngrams)\.npy")
_WORDS, _VECTORS = ("index_to_key", "index2word"), ("vectors", "syn0")
# Homemade pickles: what Python calls their values, and how to make embeddings of these.
_KINDS: dict[type, str] = {Entries: "dict", Raw: "str or bytes"}
_MAKE = {
    "dict": "ffjax.from_vectors(list(d), list(d.values()))",
    **dict.fromkeys(("tuple", "list"), "ffjax.from_vectors(words, matrix)"),
}


def is_folder(names: list[str]) -> bool:
    """Whether files of these names are those of one model, whose arrays lie apart."""
    return len(_models(names)) == 1


def _models(names: list[str]) -> list[str]:
    """The files that have an array next to them."""
    return sorted({match[1] for match in map(_APART.fullmatch, names) if match} & set(names))


class Ngrams(NamedTuple):
    """How the n-grams of a FastText model are hashed, and their rows."""

    min_n: int
    max_n: int
    n_buckets: int
    rows: Array
    row_of_bucket: list[tuple[Any, Any]] | None  # if only some buckets have rows


class Model:
    """The word vectors of a model; their rows are not read yet."""

    def __init__(self, stack: ExitStack, stream: Stream) -> None:
        self._stack, self._folder = stack, stream.folder
        self._path = None if {"zip", "tar"} & set(stream.wrapping) else stream.file
        if self._folder is not None:
            models = _models(self._folder.names)
            if len(models) != 1:
                expected, got = "one model with its arrays next to it", ", ".join(models) or "none"
                raise stream.error(None, expected, got)
            self._path = models[0]
            stream = stack.enter_context(self._folder.open(self._path))
        source = stack.enter_context(open_source(stream, magic=b"\x80"))
        self.machine = Machine(source, _PACKAGES, hint=_HINT, skips_numbers=True)
        model, end = self.machine.run()
        if end != len(source):
            raise self.machine.error("the end of the file", f"{len(source) - end} more bytes")
        outer = attributes(self.machine, model)
        vectors, self._prefix = (outer["wv"], "wv.") if "wv" in outer else (model, "")
        self._attributes = outer | attributes(self.machine, vectors)
        self.record = self._check_class(vectors)
        self._is_fasttext = "FastText" in self.record.callee.name
        name = next(name for name in _WORDS if name in self._attributes)
        self.words = self._attributes[name]
        if not isinstance(self.words, list):
            raise self.error(name, "a list of words", type(self.words).__name__)
        self.n_words = sum(len(w.starts) if isinstance(w, TextRun) else 1 for w in self.words)

    def vectors(self) -> Array:
        """The rows of the words; those of a FastText model are not composed yet."""
        names = ("vectors_vocab",) if self._is_fasttext else _VECTORS
        array = self._array(*names)
        if array.shape[0] < self.n_words:
            expected = f"{self.n_words} rows, one for each word"
            raise self.error(names[0], expected, str(array.shape[0]))
        return array

    def ngrams(self) -> Ngrams | None:
        """The n-grams; `None` if words have none."""
        min_n, max_n = max(self._setting("min_n"), 1), self._setting("max_n")
        n_buckets = self._setting("bucket")
        if not self._is_fasttext or not n_buckets or max_n < min_n:
            return None
        rows, packed = self._array("vectors_ngrams"), self._attributes.get("hash2index")
        if rows.shape[0] == n_buckets:
            return Ngrams(min_n, max_n, n_buckets, rows, None)
        if not isinstance(packed, Entries):
            expected = f"{n_buckets} rows, one for each bucket"
            raise self.error("vectors_ngrams", expected, str(rows.shape[0]))
        return Ngrams(min_n, max_n, n_buckets, rows, list(in_pairs(packed.items)))

    def _check_class(self, value: Any) -> Record:
        """The object with the word vectors, whose class is gensim's."""
        kind = _KINDS.get(type(value), type(value).__name__)
        name = value.callee.name if isinstance(value, Record) else kind
        if not name.startswith("gensim."):
            expected, got, hint = "a gensim model with word vectors", f"`{name}`", None
            if kind in _MAKE:
                hint = f"If you trust the file, unpickle it, make `emb = {_MAKE[kind]}` of it"
                hint += ", and write that with `ffjax.save`."
            raise self.machine.error(expected, got, field="object", offset=0, hint=hint)
        if not any(word in self._attributes for word in _WORDS):
            expected, got = f"a model with word vectors (`{_WORDS[0]}`)", f"`{name}`"
            raise self.machine.error(expected, got, field="object", offset=value.offset)
        if "FastText" in name and self._attributes.get("compatible_hash") is not True:
            expected, got = "True, as from gensim 3.8 on", "n-grams hashed as no other program does"
            hint = "Train it again, or write its words with `save_word2vec_format` of gensim 3."
            where = {"field": "compatible_hash", "offset": value.offset, "hint": hint}
            raise self.machine.error(expected, got, **where)
        return value

    def _setting(self, name: str) -> int:
        value = self._attributes.get(name, 0)
        if type(value) is not int or not 0 <= value < 1 << 31:
            raise self.error(name, "a whole number below 2**31", type(value).__name__)
        return value

    def _array(self, *names: str) -> Array:
        """A matrix in the file, or in one of its own, under one of some names."""
        numpys = self._attributes.get("__numpys")
        apart = [text_of(self.machine, x) for x in numpys] if isinstance(numpys, list) else []
        for name in names:
            if name in apart:
                return self._array_apart(name)
            if self._attributes.get(name) is not None:
                return array_of(self.machine, name, self._attributes[name])
        raise self.error(names[0], "an array", "none")

    def _array_apart(self, name: str) -> Array:
        """A matrix in a file of its own."""
        if isinstance(self._path, int | None):
            hint = "Leave out `member`, or give the path of a file with the array next to it."
            raise self.error(name, "a file next to this one", "no path", hint=hint)
        path = os.fsdecode(self._path)
        ending, member = "npy", None
        if path.endswith((".gz", ".bz2")):
            ending, member = "npz", "val.npy"
        path = f"{path}.{self._prefix}{name}.{ending}"
        try:
            if self._folder is None:
                opened = open_stream(path, member)
            elif path in self._folder:
                opened = self._folder.open(path)
            else:
                raise FileNotFoundError(errno.ENOENT, "expected in the same folder", path)
            stream = self._stack.enter_context(opened)
        except FileNotFoundError as error:
            hint = "gensim saves large arrays in files of their own. Move it there as well."
            raise self.error(name, f"the file {path}", "no such file", hint=hint) from error
        array = read_npy(self._stack.enter_context(open_source(stream)))
        if array.dtype.kind != "f" or len(array.shape) != 2:
            raise FormatError(path, expected="floats of 2 dimensions", got=str(array))
        return array

    def error(self, field: str, expected: str, got: str, **hint: str) -> FormatError:
        """An error about an attribute."""
        return self.machine.error(expected, got, field=field, offset=self.record.offset, **hint)


@contextmanager
def open_model(file: File | Stream) -> Iterator[Model]:
    """Opens a file and reads it but for the rows."""
    with ExitStack() as stack:
        yield Model(stack, stack.enter_context(open_stream(file, is_folder=is_folder)))


def describe(stream: Stream) -> dict[str, Any]:
    """The number of words, the shape of the rows, and how n-grams are hashed."""
    with open_model(stream) as model:
        vectors, ngrams = model.vectors(), model.ngrams()
        rows, dims = vectors.shape
        dtype = "float16" if vectors.dtype.itemsize == 2 else "float32"
        facts: dict[str, Any] = {"vocabulary": "SimpleVocab", "words": model.n_words}
        if ngrams is not None:
            lengths = f"{ngrams.min_n} to {ngrams.max_n}"
            facts |= {"vocabulary": "FastTextVocab", "ngram_lengths": lengths}
            facts |= {"buckets": ngrams.n_buckets, "norms": model.n_words}
            rows, dtype = model.n_words + ngrams.rows.shape[0], "float32"
        return facts | {"dims": dims, "storage": "NdArray", "rows": rows, "dtype": dtype}
