"""A format that the library does not know: an entry in the registry is all that it needs."""

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import ffjax
from ffjax.formats.describe import describe
from ffjax.formats.detect import detect
from ffjax.formats.io.streams import Stream, open_stream
from ffjax.formats.registry import FORMATS, Format, imported

MAGIC = b"TOY!\0"


def read(stream: Stream, *, lossy: bool = False) -> ffjax.Embeddings:
    lines = stream.read(1 << 20)[len(MAGIC) :].decode(errors="replace" if lossy else "strict")
    words, numbers = zip(*(line.split("=") for line in lines.splitlines()), strict=True)
    return ffjax.from_vectors(words, np.array(numbers, np.float32)[:, None])


def facts(stream: Stream) -> dict[str, int]:
    return {"marks": 4, "words": stream.read(1 << 20).count(b"="), "dims": 1}


def write(path: Path, embeddings: ffjax.Embeddings, *, drop_subwords: bool = False) -> None:
    words = embeddings.vocab.words
    rows = np.asarray(embeddings.storage)[: len(words), 0]
    lines = "\n".join(f"{word}={number}" for word, number in zip(words, rows, strict=True))
    Path(path).write_bytes(MAGIC + lines.encode())


TOY = Format(
    "toy",
    "a toy",
    magics=(MAGIC,),
    load="tests.formats.test_registry:read",
    describe="tests.formats.test_registry:facts",
    write="tests.formats.test_registry:write",
    endings=(".toy",),
)


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(FORMATS, "toy", TOY)
    path = tmp_path / "words.toy"
    ffjax.save(ffjax.from_vectors(["tea", "pot"], [[1], [-1]]), path)
    return path


def test_an_entry_is_enough(toy: Path) -> None:
    with open_stream(toy) as stream:
        assert detect(stream) == "toy"
    for options in ({}, {"format": "toy"}, {"lossy": True, "dims": 1}):
        assert ffjax.load(toy, **options)["pot"].tolist() == [-1]
    assert ffjax.load(toy, limit=1).vocab.words == ["tea"]
    # A fact that only this format has comes last.
    facts = {"format": "toy", "words": 2, "dims": 1, "marks": 4}
    assert list(describe(toy).items()) == list(facts.items())
    text, again = toy.with_name("words.txt"), toy.with_name("again.toy")
    ffjax.convert(toy, text)
    assert text.read_text().splitlines() == ["tea 1.0", "pot -1.0"]
    ffjax.convert(text, again)
    assert ffjax.load(again).vocab.words == ["tea", "pot"]


def test_errors_know_it(toy: Path) -> None:
    with pytest.raises(ffjax.FormatError, match="got a toy. `ffjax.load` reads it"):
        ffjax.load_text(toy)
    with pytest.raises(ValueError, match="'model2vec', 'toy', or None, got 'other'"):
        ffjax.load(toy, format="other")
    with pytest.raises(ValueError, match="`words`: expected None for toy files"):
        ffjax.load(toy, words="word")
    with pytest.raises(TypeError, match=r"expected an option of toy files \(`drop_subwords`\)"):
        ffjax.save(ffjax.load(toy), toy, sep="\t")
    with zipfile.ZipFile(toy.with_name("a.zip"), "w") as archive:
        for name in ("a.one", "b.toy", "c.toy.gz"):
            archive.write(toy, name)
    with pytest.raises(ffjax.FormatError, match=r"got several: 'b.toy', 'c.toy.gz', 'a.one'\."):
        ffjax.load(toy.with_name("a.zip"))
    with pytest.raises(ValueError, match=r"Endings are .*\.toy \(toy\)"):
        ffjax.save(ffjax.load(toy), toy.with_suffix(".other"))


def test_what_a_format_cannot_hold_is_dropped_by_the_option_of_its_writer(toy: Path) -> None:
    assert ffjax.convert(toy, toy.with_name("again.toy"), leave_out=True) == ()
    vocab = ffjax.FastTextVocab(["tea"], ffjax.FastTextIndexer(2, 3, 3))
    emb = ffjax.Embeddings(ffjax.NdArray(np.ones((3, 1), np.float32)), vocab)
    ffjax.save(emb, toy.with_suffix(".fifu"))
    assert ffjax.convert(toy.with_suffix(".fifu"), toy, leave_out=True) == ("n-grams",)


def test_the_command_knows_it(toy: Path) -> None:
    code = (
        "from ffjax.formats.registry import FORMATS\n"
        "from tests.formats.test_registry import TOY\n"
        "FORMATS['toy'] = TOY\n"
        "from ffjax.cli import main\n"
        f"assert main(['info', {str(toy)!r}, '-f', 'toy']) == 0\n"
        f"assert main(['convert', {str(toy)!r}, {str(toy)!r} + '2', '--to', 'toy']) == 0\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert "words\t2" in run.stdout and Path(f"{toy}2").read_bytes() == toy.read_bytes()


def test_all_functions_exist() -> None:
    for format in FORMATS.values():
        for name in (format.load, format.blocks, format.describe, format.write, format.files):
            assert not name or imported(name)
