"""Models that fastText itself has quantized and pruned."""

import jax
import numpy as np
import pytest

import ffjax
from ffjax.formats.describe import describe
from ffjax.formats.fasttext import quantized
from tests.formats.fasttext import files
from tests.formats.fasttext.test_read import CLOSE, _differences

LABELS = [f"__label__{i}" for i in range(260)]  # fastText quantizes nothing of fewer than 256 rows
SUPERVISED = {"kind": files.SUPERVISED, "labels": LABELS, "loss": 3}
MODELS = {
    "no n-grams": {**SUPERVISED, "max_n": 0},
    "n-grams": SUPERVISED,
    "n-grams of words": {**SUPERVISED, "max_n": 0, "word_ngrams": 2},
    "odd dims": {**SUPERVISED, "dims": 7},
}
OPTIONS = {
    "plain": {},
    "norms": {"qnorm": True},
    "output": {"qout": True, "dsub": 3},
    "pruned": {"cutoff": 280},
    "pruned to words": {"cutoff": 280, "qnorm": True, "dsub": 5},
}


@pytest.fixture(scope="module")
def quantize(tmp_path_factory):
    """`quantize(model, options)`: the path of a quantized model; each is made once."""
    folder, made = tmp_path_factory.mktemp("quantized"), {}
    fasttext = files.quiet_fasttext()

    def make(model: str, options: str):
        if (model, options) not in made:
            path = folder / f"{len(made)}.ftz"
            theirs = fasttext.load_model(
                str(files.write(folder, "dense.bin", files.model(**MODELS[model])))
            )
            theirs.quantize(**OPTIONS[options])
            theirs.save_model(str(path))
            made[model, options] = path
        return made[model, options]

    return make


CASES = [
    (model, options)
    for model in MODELS
    for options in OPTIONS
    if model != "odd dims" or options == "output"
]
MAPPED = [
    ("no n-grams", "norms"),
    ("n-grams", "plain"),
    ("n-grams of words", "pruned"),
    ("odd dims", "output"),
]


@pytest.mark.parametrize(
    ("model", "options", "mmap"),
    [
        *((*case, False) for case in CASES),
        *((*case, True) for case in MAPPED),
        *(
            pytest.param(*case, True, marks=pytest.mark.exhaustive)
            for case in CASES
            if case not in MAPPED
        ),
    ],
)
def test_vectors_are_those_of_fasttext(quantize, model, options, mmap):
    path = quantize(model, options)
    theirs, emb = files.quiet_fasttext().load_model(str(path)), ffjax.load_fasttext(path, mmap=mmap)
    assert max(_differences(theirs, emb, [*emb.vocab.words, *files.UNKNOWN])) < CLOSE
    codes = emb.storage.word_rows if isinstance(emb.storage, ffjax.ComposedArray) else emb.storage
    assert isinstance(codes, ffjax.QuantizedArray) and codes.codes.dtype == np.uint8
    assert isinstance(emb.storage, ffjax.ComposedArray) == isinstance(
        emb.vocab, ffjax.FastTextVocab
    )
    assert emb.training.labels == LABELS
    np.testing.assert_allclose(
        np.linalg.norm(np.asarray(emb.storage[: emb.n_words]), axis=1), 1, atol=1e-6
    )


@pytest.mark.parametrize("case", CASES, ids=" / ".join)
def test_a_quantized_model_is_written_back(quantize, tmp_path, case):
    fasttext, path = files.quiet_fasttext(), quantize(*case)
    for mmap in (False, True):
        ffjax.write_fasttext(tmp_path / "again.ftz", ffjax.load_fasttext(path, mmap=mmap))
        again = (tmp_path / "again.ftz").read_bytes()
        assert len(again) == path.stat().st_size
        if case[1] in (
            "plain",
            "output",
        ):  # else the order of lengths or of pruned n-grams may be another
            assert again == path.read_bytes()
        first, second = (
            fasttext.load_model(str(path)),
            fasttext.load_model(str(tmp_path / "again.ftz")),
        )
        for word in [*first.get_words(), *files.UNKNOWN]:
            np.testing.assert_array_equal(first.get_word_vector(word), second.get_word_vector(word))
        for text in ("quick fox", "Straßen über лисица"):
            assert first.predict(text, k=5)[0] == second.predict(text, k=5)[0]


def test_pruned_ngrams_have_no_rows(quantize):
    emb = ffjax.load_fasttext(quantize("n-grams", "pruned"))
    indexer = emb.vocab.subword_indexer
    assert isinstance(indexer, ffjax.PrunedIndexer)
    assert indexer.upper_bound == 280 - emb.n_words and indexer.n_buckets == 300
    assert emb.storage.shape == (280, 10) and emb.vocab.upper_bound == 280
    words = [*emb.vocab.words, *files.UNKNOWN]
    rows = jax.jit(ffjax.encode)(emb.vocab, ffjax.pack(words))
    for i, word in enumerate(words):
        batch = [row for row in np.asarray(rows.ngrams[i]).tolist() if row >= 0]
        assert batch == ([] if word in emb.vocab else emb.vocab.subword_indices(word))


def test_dropped_ngrams_of_words_are_remembered(quantize):
    training = ffjax.load_fasttext(quantize("n-grams of words", "pruned")).training
    assert len(training.word_ngram_buckets) == len(training.word_ngrams)
    assert len(np.unique(np.asarray(training.word_ngram_buckets))) == len(
        training.word_ngram_buckets
    )


def test_limit(quantize):
    whole = ffjax.load_fasttext(quantize("n-grams", "norms"))
    some = ffjax.load_fasttext(quantize("n-grams", "norms"), limit=5)
    assert some.vocab.words == whole.vocab.words[:5]
    np.testing.assert_allclose(
        np.asarray(some.storage[:5]), np.asarray(whole.storage[:5]), atol=1e-6
    )
    np.testing.assert_allclose(np.asarray(some.norms), np.asarray(whole.norms)[:5], atol=1e-6)


def test_the_output_matrix_is_quantized_where_fasttext_did_so(quantize):
    plain = ffjax.load_fasttext(quantize("n-grams", "plain")).training.output
    codes = ffjax.load_fasttext(quantize("n-grams", "output")).training.output
    assert isinstance(plain, ffjax.NdArray) and isinstance(codes, ffjax.QuantizedArray)
    assert codes.shape == plain.shape == (260, 10)
    assert (
        np.abs(np.asarray(codes) - np.asarray(plain)).max() < 1
    )  # 130 pairs of numbers, 256 centroids for 260 rows


def test_a_pruned_model_whose_rows_were_changed_cannot_be_written(quantize, tmp_path):
    emb = ffjax.load_fasttext(quantize("n-grams", "pruned"))
    dense = emb.replace(storage=emb.storage[:])
    with pytest.raises(
        ValueError,
        match="expected rows of n-grams for all buckets, or a quantized model as it was read",
    ):
        ffjax.write_fasttext(tmp_path / "no.bin", dense)
    assert not (tmp_path / "no.bin").exists()


def test_a_quantized_model_whose_rows_were_changed_is_written_dense(quantize, tmp_path):
    emb = ffjax.load_fasttext(quantize("n-grams", "norms"))
    ffjax.write_fasttext(tmp_path / "dense.bin", emb.replace(storage=emb.storage[:]))
    again = ffjax.load_fasttext(tmp_path / "dense.bin")
    assert isinstance(again.storage, ffjax.NdArray) and again.training.labels == LABELS
    np.testing.assert_allclose(np.asarray(again.storage), np.asarray(emb.storage), atol=1e-5)


def test_row_norms_are_those_of_the_rows(quantize):
    own = ffjax.load_fasttext(quantize("n-grams", "norms")).storage.word_rows
    np.testing.assert_allclose(
        quantized.row_norms(own), np.linalg.norm(np.asarray(own), axis=1), rtol=1e-6
    )


@pytest.mark.parametrize(("model", "options"), CASES)
def test_what_a_model_holds_is_known_without_reading_it(quantize, model, options):
    path = quantize(model, options)
    emb, facts = ffjax.load(path, mmap=True), describe(path)
    assert (facts["words"], facts["dims"]) == (len(emb.vocab), emb.dims)
    assert facts["tokens"] == emb.training.n_tokens
    assert facts["labels"] == facts["output_rows"] == len(LABELS)
    assert facts["rows"] == len(emb.storage)
    indexer = getattr(emb.vocab, "subword_indexer", None)
    assert facts.get("buckets") == (None if indexer is None else indexer.upper_bound)
