"""Files of gensim and PyTorch: read as embeddings or refused, and opcode by opcode as in runs."""

import numpy as np

import ffjax
from ffjax.formats.io.binary import ByteSource
from ffjax.formats.pickles import runs
from ffjax.formats.pickles.machine import Machine
from ffjax.formats.pickles.values import Raw, TextRun
from tests.formats.pickles import pickle_files as files
from tests.formats.pickles.pickle_files import old_file
from tests.fuzz.fasttext_files import FOLDER

_ROWS = np.arange(12, dtype=np.float32).reshape(6, 2)
_NUMBERS = b"}(" + b"".join(b"h" + bytes([i, 75, i]) for i in range(1, 7)) + b"u"
_RUN = b"\x80\x04" + files.memoized_texts([*"abcd", "\u350c", ""], frame_after=2)
_PUT = [files.text(x) + b"q" + bytes([i]) for i, x in enumerate("abcde")]
_OLD = b"\x80\x02](" + b"".join(_PUT) + b"e"
SEEDS = [
    files.keyed_vectors(["tea", "pot"], _ROWS[:2]),
    files.fasttext(["tea", "pot"], _ROWS[:2], _ROWS[2:]),
    old_file(files.tensor("0", "Float", (2, 2), (2, 1)), {"0": _ROWS[:2]}),
    _RUN + b".",
    _RUN + b"0" + files.memoized_texts([*"efghi"]) + _NUMBERS + b"\x86h\x03\x86.",
    _OLD + b"0](h\1h\0h\4e.",
]
_PATH = FOLDER / "pickled.kv"
_WORDS = FOLDER / "pickled.txt"
_WORDS.write_text("tea\npot\n")


def target(data: bytes) -> None:
    """Reads a file as a model; then with runs read at once, and without."""
    _PATH.write_bytes(data)
    try:
        emb = ffjax.load_gensim(_PATH)
    except ffjax.FormatError:
        pass
    else:
        assert len(emb.vocab) <= len(emb.storage)
    try:
        emb = ffjax.load(_PATH, format="pytorch", words=_WORDS)
    except (ffjax.FormatError, ValueError):
        pass
    else:
        assert len(emb.vocab) == 2
    outcomes = [_outcome(data, shortest) for shortest in (1, len(data) + 1)]
    if isinstance(outcomes[1], list):
        assert outcomes[0] == outcomes[1], outcomes


def _outcome(data: bytes, shortest: int) -> list | str:
    """The texts of a list with which a pickle ends, or an error."""
    runs._LEAST_TEXTS = shortest
    runs._LEAST_NUMBERED_BYTES = shortest
    try:
        value, _ = Machine(ByteSource(None, data), ("gensim", "torch")).run()
    except ffjax.FormatError as error:
        return str(error)
    texts: list[tuple[int, int]] = []
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, TextRun):
            texts += zip(item.starts.tolist(), item.stops.tolist(), strict=True)
        elif isinstance(item, Raw):
            texts.append((item.start, item.stop))
    return texts
