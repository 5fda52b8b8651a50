"""ffjax's embeddings inside spaCy: vectors of tokens, training, and pipelines that are saved."""

import copy
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import ffjax
from ffjax.embeddings.batch_lookup import embed_words
from ffjax.formats.spacy import layout, pipeline_vectors
from ffjax.formats.spacy.pipeline_vectors import PipelineVectors, create_vectors
from tests.formats.spacy import folders

spacy = pytest.importorskip("spacy")

TEXT = "tea pot teapots unheard-of caf\u00e9"


@pytest.fixture(autouse=True)
def registered() -> None:
    """What the entry point does where the package is installed."""
    if "ffjax.Vectors.v1" not in spacy.registry.vectors:
        spacy.registry.vectors.register("ffjax.Vectors.v1", func=create_vectors)


@pytest.fixture(scope="module")
def emb() -> ffjax.Embeddings:
    rows = np.random.default_rng(0).standard_normal((53, 4)).astype(np.float32)
    vocab = ffjax.FastTextVocab(["tea", "pot", "cup"], ffjax.FastTextIndexer(50, 3, 4))
    norms = ffjax.Norms(np.array([2, 3, 4], np.float32))
    return ffjax.Embeddings(ffjax.NdArray(rows), vocab, norms)


@pytest.fixture
def path(emb: ffjax.Embeddings, tmp_path: Path) -> Path:
    ffjax.save(emb, tmp_path / "words.msgpack")
    return tmp_path / "words.msgpack"


def pipeline(path: Path | None, **options):
    vectors = {"@vectors": "ffjax.Vectors.v1", "path": path and str(path), **options}
    return spacy.blank("en", config={"nlp": {"vectors": vectors}})


def test_the_entry_point_names_the_function(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    name = f"{create_vectors.__module__}:{create_vectors.__name__}"
    assert project["entry-points"]["spacy_vectors"] == {"ffjax.Vectors.v1": name}


def test_tokens_have_the_vectors_of_the_embeddings(emb: ffjax.Embeddings, path: Path) -> None:
    nlp = pipeline(path)
    doc = nlp(TEXT)
    words = [token.text for token in doc]
    expected, found = embed_words(emb, words, unnormalize=True)
    assert [token.has_vector for token in doc] == found.tolist() and found.all()
    for _ in range(2):  # from the embeddings, then from the cache
        np.testing.assert_array_equal([token.vector for token in doc], expected)
        np.testing.assert_array_equal(nlp.vocab.vectors.get_batch(doc.to_array("ORTH")), expected)
    np.testing.assert_allclose(doc.vector, expected.mean(0), rtol=1e-5)
    assert nlp.meta["vectors"]["width"] == 4 and nlp.vocab["tea"].has_vector
    np.testing.assert_allclose(doc[0].vector, 2 * emb["tea"], rtol=1e-6)


def test_words_without_a_vector(tmp_path: Path) -> None:
    folder = folders.write(tmp_path / "vocab", cfg={"mode": "default", "attr": 66})
    nlp = pipeline(folder)
    doc = nlp("TEA unheard Tea")  # looked up in lower case
    assert [token.has_vector for token in doc] == [True, False, True]
    np.testing.assert_array_equal(doc[0].vector, folders.ROWS[0])
    np.testing.assert_array_equal(doc[1].vector, [0, 0])
    vectors = nlp.vocab.vectors
    np.testing.assert_array_equal(vectors.get_batch(["unheard", "tea"]), [[0, 0], folders.ROWS[0]])
    with pytest.raises(KeyError, match="'unheard' has no vector"):
        vectors["unheard"]
    assert pipeline(folder, attr="ORTH").vocab.vectors.attr == 65
    assert pipeline(folder, attr="").vocab.vectors.attr == 65
    with pytest.raises(ValueError, match="`attr`: expected the name of a token attribute"):
        create_vectors(attr="COLOR")
    with pytest.warns(UserWarning, match="do not change; `ffjax.add_words` makes new ones"):
        nlp.vocab.set_vector("unheard", np.ones(2, np.float32))


def test_the_cache_stays_small(
    emb: ffjax.Embeddings, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_vectors, "_CACHE_BYTES", 4 * 4 * 5)
    vectors = pipeline(path).vocab.vectors
    words = [f"word{i}" for i in range(40)]
    expected, _ = embed_words(emb, words, unnormalize=True)
    for size in (3, 4, 7, 40, 2):
        for start in range(0, 40, size):
            chosen = slice(start, start + size)
            batch = vectors.get_batch([*words[chosen], words[start]])
            np.testing.assert_array_equal(batch[:-1], expected[chosen])
            np.testing.assert_array_equal(batch[-1], expected[start])
    assert len(vectors._slots) <= 40


def test_threads_share_the_cache(
    emb: ffjax.Embeddings, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_vectors, "_CACHE_BYTES", 4 * 4 * 50)
    vectors = pipeline(path).vocab.vectors
    words = [f"word{i}" for i in range(200)]
    expected, _ = embed_words(emb, words, unnormalize=True)

    def look_up(first: int) -> None:
        order = range(first, first + len(words))
        one_by_one = [vectors[words[i % len(words)]] for i in order]
        batches = [vectors.get_batch([words[i % len(words)], "word0"])[0] for i in order]
        np.testing.assert_array_equal(one_by_one, np.roll(expected, -first, axis=0))
        np.testing.assert_array_equal(batches, np.roll(expected, -first, axis=0))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            for answer in [threads.submit(look_up, 13 * i) for i in range(4)]:
                answer.result()
    finally:
        sys.setswitchinterval(interval)


def test_the_file_of_symbols_is_read_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = pipeline(path, attr="LOWER").vocab.vectors
    assert vectors.attr == spacy.attrs.LOWER
    monkeypatch.setattr(layout, "files", None)
    assert vectors.attr == spacy.attrs.LOWER


def test_a_saved_pipeline_has_its_own_copy(path: Path, tmp_path: Path) -> None:
    nlp = pipeline(path)
    expected = nlp(TEXT).vector
    nlp.to_disk(tmp_path / "saved")
    data = nlp.to_bytes()
    path.unlink()
    loaded = spacy.load(tmp_path / "saved")
    np.testing.assert_array_equal(loaded(TEXT).vector, expected)
    assert loaded.vocab.vectors == nlp.vocab.vectors
    empty = pipeline(None)
    assert empty.vocab.vectors.shape == (0, 0) and empty.vocab.vectors.to_bytes() == b""
    np.testing.assert_array_equal(empty.from_bytes(data)(TEXT).vector, expected)
    with pytest.raises(ValueError, match="`path`: expected a file of embeddings in"):
        pipeline(None).vocab.vectors.get_batch(["tea"])


def test_addresses_of_the_hub_and_missing_files(
    emb: ffjax.Embeddings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    snapshot = tmp_path / "models--org--tea" / "snapshots" / "main"
    snapshot.mkdir(parents=True)
    ffjax.save(emb, snapshot / "words.msgpack")
    pipeline("hf://org/tea/words.msgpack").to_disk(tmp_path / "saved")  # before any look-up
    (snapshot / "words.msgpack").unlink()
    saved = spacy.load(tmp_path / "saved")
    assert saved.vocab.vectors.embeddings == emb and saved.vocab.vectors_length == 4
    for missing in ("hf://org/tea/words.msgpack", tmp_path / "typo.fifu"):
        nlp = pipeline(missing)
        questions = [
            lambda nlp=nlp: nlp("tea").vector,
            lambda nlp=nlp: nlp("tea").has_vector,
            lambda nlp=nlp: nlp("tea")[0].has_vector,
            lambda nlp=nlp: nlp.to_disk(tmp_path / "again"),
            nlp.to_bytes,
        ]
        for question in questions:
            with pytest.raises(FileNotFoundError, match=Path(missing).name):
                question()


def test_copies_leave_the_cache_behind(path: Path) -> None:
    nlp = pipeline(path)
    vectors = nlp.vocab.vectors
    expected = vectors.get_batch(["tea", "teapots"])
    again = copy.copy(vectors)
    assert isinstance(again, PipelineVectors) and not again._slots
    np.testing.assert_array_equal(again.get_batch(["tea", "teapots"]), expected)
    vocab = copy.deepcopy(nlp.vocab)  # as for the processes of `nlp.pipe`
    np.testing.assert_array_equal(vocab["teacups"].vector, nlp.vocab["teacups"].vector)


def test_a_tagger_learns_from_vectors_of_unknown_words(path: Path, tmp_path: Path) -> None:
    nlp = pipeline(path)
    embed = {
        "@architectures": "spacy.MultiHashEmbed.v2",
        "width": 16,
        "attrs": ["SHAPE"],
        "rows": [50],
        "include_static_vectors": True,
    }
    encode = {"@architectures": "spacy.MaxoutWindowEncoder.v2", "width": 16, "depth": 1}
    encode |= {"window_size": 1, "maxout_pieces": 2}
    tok2vec = {"@architectures": "spacy.Tok2Vec.v2", "embed": embed, "encode": encode}
    model = {"@architectures": "spacy.Tagger.v2", "tok2vec": tok2vec, "nO": None}
    tagger = nlp.add_pipe("tagger", config={"model": model})
    # All shapes are the same: only vectors tell the words apart, and most have one by n-grams.
    words = {"teapots": "N", "teacups": "N", "pouring": "V", "sipping": "V", "tea": "N"}
    examples = []
    for first in words:
        for second in words:
            doc = nlp.make_doc(f"{first} {second}")
            tags = {"tags": [words[first], words[second]]}
            examples.append(spacy.training.Example.from_dict(doc, tags))
    spacy.util.fix_random_seed(0)
    optimizer = nlp.initialize(lambda: examples)
    for _ in range(40):
        nlp.update(examples, sgd=optimizer)
    assert tagger.model.maybe_get_dim("nO") == 2
    nlp.to_disk(tmp_path / "tagger")
    for trained in (nlp, spacy.load(tmp_path / "tagger")):
        doc = trained("teapots sipping tea pouring")
        assert [token.tag_ for token in doc] == ["N", "V", "N", "V"]


def test_paths_that_are_not_files(tmp_path: Path) -> None:
    vectors = create_vectors("demo")(spacy.blank("en").vocab)
    assert repr(vectors) == "PipelineVectors('demo')"
    assert vectors.shape == (ffjax.demo().storage.shape) and "Embeddings" in repr(vectors)
    missing = create_vectors(str(tmp_path / "x.bin"))(spacy.blank("en").vocab)
    with pytest.raises(FileNotFoundError, match=r"`path` of `\[nlp.vectors\]`: expected"):
        _ = missing.embeddings
    with pytest.raises(FileNotFoundError, match="got an installed package; `ffjax.load_spacy`"):
        ffjax.load("spacy")
