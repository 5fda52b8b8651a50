"""Every row of the tables in docs/migrating, run beside the library that it is about."""

import functools
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ffjax
from tests.formats.fasttext import files as fasttext_files
from tests.formats.model2vec import models as static_models

PAGES = Path(__file__).parents[2] / "docs" / "migrating"
LIBRARIES = ("gensim", "fasttext", "finalfusion", "spacy", "model2vec", "floret")
WORDS = """tea time milk with coffee iron steel king queen man woman berlin paris london rome and
water gold silver car""".split()
RNG = np.random.default_rng(0)
MATRIX = (RNG.standard_normal((len(WORDS), 8)) * RNG.uniform(0.5, 3, (len(WORDS), 1))).astype("f4")


def rows_of(library: str) -> list[tuple[str, str, str]]:
    """The cells of a page's table, without its two lines of head."""
    lines = [line for line in page(library).splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [(theirs, ours, answers) for theirs, ours, answers in cells[2:]]


def page(library: str) -> str:
    return (PAGES / f"{library}.md").read_text(encoding="utf8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The files that all pages open."""
    folder = tmp_path_factory.mktemp("migrating")
    emb = ffjax.from_vectors(WORDS, MATRIX)
    ffjax.write_word2vec(folder / "words.bin", emb)
    ffjax.write_text_dims(folder / "words.vec", emb)
    (folder / "pairs.tsv").write_text("tea\tmilk\t9\ntea\tiron\t2\nking\tqueen\t8\ncar\tand\t1\n")
    (folder / "analogies.txt").write_text(": family\nking man queen woman\ntea milk iron steel\n")
    indexer = ffjax.FinalfusionHashIndexer(5)
    rows = RNG.standard_normal((len(WORDS) + indexer.n_buckets, 8))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    vocab = ffjax.FinalfusionBucketVocab(WORDS, indexer)
    storage, metadata = ffjax.NdArray(rows.astype(np.float32)), ffjax.Metadata({"source": "test"})
    buckets = ffjax.Embeddings(storage, vocab, norms=emb.norms, metadata=metadata)
    ffjax.write_finalfusion(folder / "words.fifu", buckets)
    words = ["</s>", *WORDS]
    model = fasttext_files.model(words, dims=8)
    (folder / "model.bin").write_bytes(model)
    labels = {"labels": ["__label__drink", "__label__metal"], "kind": fasttext_files.SUPERVISED}
    (folder / "classifier.bin").write_bytes(fasttext_files.model(words, dims=8, loss=3, **labels))
    (folder / "labelled.txt").write_text("__label__drink tea\n__label__metal iron and tea\n")
    static_models.write_folder(folder / "static", static_models.arrays(), config={})
    return folder


def write_gensim(folder: Path) -> None:
    models = pytest.importorskip("gensim.models")
    wv = models.KeyedVectors.load_word2vec_format(str(folder / "words.bin"), binary=True)
    wv.save(str(folder / "words.kv"))


def write_spacy(folder: Path) -> None:
    nlp = pytest.importorskip("spacy").blank("en")
    for word, vector in zip(WORDS, MATRIX, strict=True):
        nlp.vocab.set_vector(word, vector)
    nlp.to_disk(folder / "en_vectors")


def write_floret(folder: Path) -> None:
    floret = pytest.importorskip("floret")
    text = folder / "text"
    # floret's own vector of its most frequent word, here "and", differs from that of its n-grams.
    text.write_text("\n".join(" ".join(["and", *RNG.permutation(WORDS)]) for _ in range(20)))
    settings = {"hashCount": 2, "bucket": 52, "minn": 3, "maxn": 4, "dim": 8, "minCount": 1}
    # Each thread draws the first values of a tenth of the rows; fewer than ten leave zeros. Threads
    # that then learn make different rows each time, some too small for five digits.
    train = functools.partial(floret.train_unsupervised, mode="floret", thread=10, verbose=0)
    model = train(str(text), epoch=1, lr=0, **settings)
    model.save_model(str(folder / "floret.bin"))


@pytest.fixture(scope="module")
def both(request, folder) -> tuple[dict[str, Any], dict[str, Any]]:
    """The names that the two blocks of code on a page define, of the other library and of ours."""
    library = request.param
    pytest.importorskip(library)
    write = {"gensim": write_gensim, "spacy": write_spacy, "floret": write_floret}
    theirs, ours = re.findall(r"```python\n(.*?)```", page(library), re.DOTALL)
    spaces: tuple[dict, dict] = ({}, {})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write.get(library, lambda folder: None)(folder)
        exec(theirs, spaces[0])
        exec(ours, spaces[1])
    return spaces


def run(cell: str, names: dict[str, Any]) -> Any:
    """Runs the spans of code in a cell; the value of the last."""
    *statements, expression = re.findall("`([^`]*)`", cell)
    for statement in statements:
        exec(statement, names)
    return eval(expression, names)


def same(theirs: Any, ours: Any, atol: float) -> None:
    """Numbers are equal within `atol`; strings and structures are equal."""
    if isinstance(theirs, str | bool | None):
        assert ours == theirs
    elif isinstance(theirs, dict):
        assert dict(ours) == theirs
    elif hasattr(theirs, "similarity"):
        same((theirs.word, theirs.similarity), ours, atol)
    elif isinstance(theirs, Iterable) and not isinstance(theirs, np.ndarray):
        for one, other in zip(theirs, ours, strict=True):
            same(one, other, atol)
    else:
        np.testing.assert_allclose(ours, theirs, atol=atol)


def unit(vector: Any) -> np.ndarray:
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)


def vector(model: Any, word: str) -> np.ndarray:
    """The vector of a word in a model of any library."""
    if hasattr(model, "encode"):
        return model.encode(word)
    return model.vocab[word].vector if hasattr(model, "lang") else model[word]


def same_vectors(theirs: Any, ours: Any) -> None:
    for word in ("tea", "time"):
        np.testing.assert_allclose(unit(vector(ours, word)), unit(vector(theirs, word)), atol=1e-6)


def read_and_remove(path: Path) -> ffjax.Embeddings:
    emb = ffjax.load(path)
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    return emb


def same_files(theirs: str, ours: str, names: tuple[dict, dict]) -> None:
    """Both calls write the file that the second one names; ffjax reads the same of both."""
    path = Path(re.search(r'"(\w+[.\w]*)"', ours)[1])  # type: ignore[index]
    run(theirs, names[0])
    expected = read_and_remove(path)
    run(ours, names[1])
    emb = read_and_remove(path)
    assert emb.vocab == expected.vocab
    np.testing.assert_allclose(emb.vectors, expected.vectors, atol=1e-6)
    assert (emb.norms is None) == (expected.norms is None)
    if emb.norms is not None:
        np.testing.assert_allclose(emb.norms, expected.norms, rtol=1e-5)


ROWS = [(library, *row) for library in LIBRARIES for row in rows_of(library)]


# gensim's `most_similar_cosmul` itself calls a deprecated function.
@pytest.mark.filterwarnings("ignore:Call to deprecated `init_sims`")
@pytest.mark.parametrize(("both", "theirs", "ours", "answers"), ROWS, indirect=["both"])
def test_row(both, folder, monkeypatch, request, theirs: str, ours: str, answers: str) -> None:
    monkeypatch.chdir(folder)
    atol = 1e-5 if "floret" in both[0] else 1e-6
    if answers == "the same file":
        return same_files(theirs, ours, both)
    if answers == "`KeyError`":
        for cell, names in zip((theirs, ours), both, strict=True):
            with pytest.raises(KeyError, match="cup"):
                run(cell, names)
        return
    expected, value = run(theirs, both[0]), run(ours, both[1])
    if answers == "the same vectors":
        same_vectors(expected, value)
    elif answers == "at unit length":
        same(unit(expected), value, atol)
    elif answers == "in another order":
        same(sorted(expected), sorted(value), atol)
    elif answers == "zeros there, `None` here":
        assert not expected.any() and value is None
    elif answers == "rounded to 4 digits there":
        same(expected, value, 1e-4)
    else:
        assert answers == ""
        same(expected, value, atol)
