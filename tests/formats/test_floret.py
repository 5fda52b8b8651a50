"""floret's table: its header, its rows, and what floret and spaCy read of it."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ffjax
from ffjax.formats.floret import read_floret_blocks
from tests.formats.samples import open_bytes

TABLE = b"3 2 2 3 2 2166136261 < >\n0 1.0 -0.5 \n1 0.25 1e-05 \n2 3 4 \n"


def load(raw: bytes, **options) -> ffjax.Embeddings:
    return ffjax.load_floret(open_bytes(raw), **options)


def test_rows_are_kept_as_they_are() -> None:
    emb = load(TABLE)
    assert emb.norms is None
    assert emb.vocab == ffjax.FloretVocab(
        ffjax.FloretIndexer(3, 2, 3, 2, 2166136261, skip_edge_unigrams=True)
    )
    np.testing.assert_array_equal(
        np.asarray(emb.storage), np.array([[1, -0.5], [0.25, 1e-5], [3, 4]], np.float32)
    )


def test_markers() -> None:
    emb = load(TABLE.replace(b"< >", "«a »".encode()))
    assert isinstance(emb.vocab, ffjax.FloretVocab)
    assert emb.vocab.markers == ("«a", "»")


@pytest.mark.parametrize("choice", [True, False])
def test_single_characters_at_the_edges(choice: bool) -> None:
    vocab = load(TABLE.replace(b" 2 3 2 ", b" 1 3 2 "), skip_edge_unigrams=choice).vocab
    assert vocab.subword_indexer.skip_edge_unigrams is choice


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "header: expected `buckets dims minn maxn hashes seed bow eow`, got an empty file"),
        (
            b"3 2\na 1 2\n",
            "header: expected `buckets dims minn maxn hashes seed bow eow`, got '3 2'",
        ),
        (TABLE.split(b"\n")[0], "header: expected `buckets"),
        (TABLE.replace(b"< >", b"<"), "header: expected `buckets"),
        (TABLE.replace(b"3 2 2", b"3 0 2", 1), "dims: expected 1 to 16777216, got 0"),
        (
            TABLE.replace(b" 2 2166136261", b" 5 2166136261"),
            "header: got .*`n_hashes`: expected 1 to 4, got 5",
        ),
        (TABLE.replace(b"2 3 2 ", b"3 2 2 "), "header: got .*"),
        (TABLE.replace(b"3 2 2 3", b"0 2 2 3", 1), "header: got .*`n_buckets`: expected 1 to"),
        (TABLE.replace(b"< >", b"\xff >"), "header: got .*utf-8"),
        (
            TABLE.replace(b"3 2", b"99 2", 1),
            "rows: expected at most 5, as many as 33 bytes can hold, got 99",
        ),
        (TABLE.replace(b"3 2", b"4 2", 1), "expected 4 rows, as the first line says, got 3"),
        (
            TABLE.replace(b"3 2", b"2 2", 1),
            "expected 2 rows, as the first line says, got 3 up to the end$",
        ),
        (
            TABLE.replace(b"\n1 ", b"\n2 "),
            "row 2: bucket: expected 1, since buckets come in order, got '2'",
        ),
        (
            TABLE.replace(b"\n1 ", b"\n01 "),
            "row 2: bucket: expected 1, since buckets come in order, got '01'",
        ),
        (TABLE.replace(b"0.25 ", b""), "expected 2 values after the word, got 1 in '1 1e-05 '"),
        (TABLE.replace(b"0.25", b"0.25 1.5"), "expected 2 values after the word, got more"),
        (TABLE.replace(b"0.25", b"x"), "value 1 of 2 of '1': expected a decimal number, got 'x'"),
    ],
)
def test_bad_files(raw: bytes, message: str) -> None:
    with pytest.raises(ffjax.FormatError, match=message):
        load(raw)


def test_truncation_at_every_byte() -> None:
    for size in range(
        len(TABLE) - 3
    ):  # after that, only a space and a line feed are missing, or the 4
        with pytest.raises(ffjax.FormatError, match="expected|got"):
            load(TABLE[:size])


def test_nan_is_kept_with_one_warning() -> None:
    with pytest.warns(UserWarning, match="1 row with NaN or infinity; kept as read"):
        emb = load(TABLE.replace(b"0.25", b"nan"))
    assert np.isnan(np.asarray(emb.storage)[1, 0])


@given(st.binary(max_size=60))
def test_any_bytes_load_or_are_refused(raw: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NaN is not an error
        for data in (raw, b"2 1 2 3 1 7 < >\n" + raw):
            try:
                emb = load(data)
            except ffjax.FormatError:
                continue
            assert len(emb.storage) == emb.vocab.upper_bound


def test_written_and_read_again(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((200, 7)).astype(np.float32)
    emb = ffjax.Embeddings(
        ffjax.NdArray(rows),
        ffjax.FloretVocab(ffjax.FloretIndexer(200, 3, 5, 3, 99), bow="^", eow="$"),
    )
    path = tmp_path / "table.floret"
    ffjax.write_floret(path, emb)
    assert ffjax.load_floret(path) == emb
    assert ffjax.load(path) == emb
    with read_floret_blocks(path) as blocks:
        assert (blocks.dims, blocks.n_rows, blocks.vocab) == (7, 200, emb.vocab)
        np.testing.assert_array_equal(np.concatenate([block.rows for block in blocks]), rows)


def test_what_cannot_be_written(tmp_path: Path) -> None:
    storage, indexer = ffjax.NdArray(np.ones((3, 2), np.float32)), ffjax.FloretIndexer(3, 2, 3)
    path = tmp_path / "table.floret"
    with pytest.raises(TypeError, match="`embeddings`: expected a FloretVocab"):
        ffjax.write_floret(path, ffjax.Embeddings(storage, ffjax.SimpleVocab(["a", "b", "c"])))
    for marker in ("", " ", "a b", "<\n"):
        emb = ffjax.Embeddings(storage, ffjax.FloretVocab(indexer, bow=marker))
        with pytest.raises(ValueError, match="expected markers without whitespace, not empty, got"):
            ffjax.write_floret(path, emb)
    emb = ffjax.Embeddings(storage, ffjax.FloretVocab(indexer), metadata=ffjax.Metadata({"a": 1}))
    with pytest.raises(
        ValueError, match="got metadata too. Allow what is to be lost with `drop_metadata=True`"
    ):
        ffjax.write_floret(path, emb)
    assert not list(tmp_path.iterdir())
    ffjax.write_floret(path, emb, drop_metadata=True)
    assert ffjax.load_floret(path) == emb.replace(metadata=None)


def test_single_characters_at_the_edges_cannot_be_said(tmp_path: Path) -> None:
    vocab = ffjax.FloretVocab(ffjax.FloretIndexer(3, 1, 3, skip_edge_unigrams=False))
    emb = ffjax.Embeddings(ffjax.NdArray(np.ones((3, 2), np.float32)), vocab)
    with pytest.warns(UserWarning, match="floret leaves them out, spaCy takes them"):
        ffjax.write_floret(tmp_path / "table.floret", emb)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory):
    """A real floret model, trained here, and the folder with its files."""
    floret = pytest.importorskip("floret")
    folder = tmp_path_factory.mktemp("floret")
    text = "the cat sat on the mat . die katze saß auf der straße . "
    text += "кошка сидела на коврике . 猫 が 座った .\n"
    (folder / "corpus.txt").write_text(text * 100, encoding="utf8")
    model = floret.train_unsupervised(
        str(folder / "corpus.txt"), mode="floret", model="cbow", hashCount=2, bucket=300,
        minn=2, maxn=4, dim=8,
        minCount=1, epoch=3, thread=1, verbose=0,
    )  # fmt: skip
    model.save_floret_vectors(str(folder / "table.floret"))
    return model, folder


def vectors_of(emb: ffjax.Embeddings, words: list[str]) -> np.ndarray:
    return np.asarray(ffjax.embed(emb, ffjax.pack(words, count=len(words)), unnormalize=True)[0])


PROBES = ["cat", "Katze", "straße", "кошка", "座った", "unseenword", "a", "😀😀"]


def test_floret_agrees_with_what_is_read(trained) -> None:
    model, folder = trained
    emb = ffjax.load(folder / "table.floret")
    assert repr(emb.vocab) == repr(
        ffjax.FloretVocab(ffjax.FloretIndexer(300, 2, 4, 2, 2166136261, skip_edge_unigrams=True))
    )
    expected = np.stack([model.get_word_vector(word) for word in PROBES])
    # The table has five digits of each number.
    np.testing.assert_allclose(vectors_of(emb, PROBES), expected, rtol=2e-4, atol=1e-6)


def test_spacy_reads_what_is_written(trained, tmp_path: Path) -> None:
    spacy = pytest.importorskip("spacy")
    from spacy.training.initialize import convert_vectors

    emb = ffjax.load(trained[1] / "table.floret")
    path = tmp_path / "ours.floret"
    ffjax.write_floret(path, emb)
    vectors = []
    for source in (path, trained[1] / "table.floret"):
        nlp = spacy.blank("xx")
        convert_vectors(nlp, source, truncate=0, prune=-1, mode="floret")
        assert nlp.vocab.vectors.mode == "floret"
        np.testing.assert_array_equal(nlp.vocab.vectors.data, np.asarray(emb.storage))
        vectors.append(np.stack([nlp.vocab[word].vector for word in [*PROBES, "</s>"]]))
    np.testing.assert_array_equal(*vectors)
    # floret's own program has zeros for `</s>`, its table and spaCy do not.
    np.testing.assert_allclose(vectors_of(emb, [*PROBES, "</s>"]), vectors[0], rtol=1e-5, atol=1e-8)
