"""The files of spaCy's vectors, each against a reader that knows no shortcuts."""

import json
import shutil
import warnings

import msgpack
import numpy as np

import ffjax
from ffjax.formats.io.binary import ByteSource, Cursor
from ffjax.formats.spacy.key_rows import read_key_rows
from ffjax.formats.spacy.layout import symbols
from ffjax.formats.spacy.words import read_strings
from tests.formats.spacy import folders
from tests.fuzz.fasttext_files import FOLDER

# The first byte says which file it is.
_FILES = {b"k": "key2row", b"s": "strings.json", b"c": "vectors.cfg", b"v": "vectors"}
_folder = FOLDER / "spacy"
_folder.mkdir()
_whole = folders.write(_folder / "whole")
_floret = folders.write_floret(_folder / "floret")

SEEDS = [
    *(letter + (_whole / name).read_bytes() for letter, name in _FILES.items()),
    b"c" + (_floret / "vectors.cfg").read_bytes(),
    b"k" + folders.key_rows([2**63, 7, 0xCF00CF00CF00CF00, 300], [0, 200, 70_000, 2**31]),
    b's[\n  "a",\n  "\\u00e9",\n  "\\"",\n  "c"\n]\n',
]


def target(data: bytes) -> None:
    """Reads a file by itself and in its folder."""
    name = _FILES.get(data[:1], "key2row")
    content = data[1:]
    source = ByteSource(None, content)
    try:
        if name == "key2row":
            entries = read_key_rows(Cursor(source, chunk=name))
            pairs = zip(entries.keys.tolist(), entries.rows.tolist(), strict=True)
            assert dict(pairs) == msgpack.unpackb(content, strict_map_key=False)
        elif name == "strings.json":
            spans = read_strings(source)
            ends = spans.starts + spans.lengths
            bounds = zip(spans.starts.tolist(), ends.tolist(), strict=True)
            raw = [bytes(spans.data[start:end]) for start, end in bounds]
            assert [text.decode() for text in raw] == [*json.loads(content), *symbols()]
    except ffjax.FormatError as error:
        assert error.expected and error.got
    for folder in (_whole, _floret):
        shutil.copytree(folder, _folder / "changed", dirs_exist_ok=True)
        (_folder / "changed" / name).write_bytes(content)
        with warnings.catch_warnings(action="ignore"):
            try:
                emb = ffjax.load(_folder / "changed")
            except ffjax.FormatError as error:
                assert error.expected and error.got
                continue
        assert np.asarray(emb.storage).shape[0] == emb.vocab.upper_bound
