"""Pairs of words, beside gensim and SciPy."""

import numpy as np
import pytest

import ffjax
from ffjax.evaluate.datasets import holds_analogies
from ffjax.evaluate.similarity import pearson, ranks


@pytest.mark.parametrize("name", ["wordsim353.tsv", "simlex999.txt"])
@pytest.mark.parametrize("restrict", [300_000, 2000])
def test_correlations_are_gensims(demo, as_gensim, datapath, name, restrict):
    theirs = as_gensim(demo).evaluate_word_pairs(datapath(name), restrict_vocab=restrict)
    ours = ffjax.evaluate.similarity(demo, datapath(name), restrict=restrict)
    np.testing.assert_allclose(
        [ours.pearson, ours.spearman], [theirs[0][0], theirs[1][0]], rtol=1e-5
    )
    np.testing.assert_allclose(100 * ours.n_skipped / (ours.n_skipped + len(ours.pairs)), theirs[2])


def test_lengths_of_vectors_do_not_matter(demo, datapath):
    lengths = np.random.default_rng(0).uniform(0.5, 3, (len(demo.vocab), 1)).astype(np.float32)
    scaled = demo.replace(storage=ffjax.NdArray(np.asarray(demo.storage) * lengths))
    ours, other = (
        ffjax.evaluate.similarity(emb, datapath("wordsim353.tsv")) for emb in (demo, scaled)
    )
    np.testing.assert_allclose(other.similarities, ours.similarities, atol=1e-6)


def test_correlations_are_scipys():
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 9, 50).astype(float), rng.standard_normal(50)
    np.testing.assert_allclose(pearson(x, y), stats.pearsonr(x, y)[0], rtol=1e-12)
    np.testing.assert_allclose(pearson(ranks(x), ranks(y)), stats.spearmanr(x, y)[0], rtol=1e-12)
    np.testing.assert_array_equal(ranks(x), stats.rankdata(x))


@pytest.mark.parametrize(("x", "y"), [([], []), ([1.0], [2.0]), ([1.0, 1.0], [1.0, 2.0])])
def test_no_correlation(x, y):
    assert np.isnan(pearson(np.array(x), np.array(y)))


def test_no_correlation_with_what_is_no_number(demo, write):
    lines = "man\tking\t{}\nman\twoman\t5\nking\tqueen\t3\nberlin\tparis\t4\n"
    result = ffjax.evaluate.similarity(demo, write(lines.format("nan")))
    assert np.isnan(result.pearson) and np.isnan(result.spearman)
    result = ffjax.evaluate.similarity(demo, write(lines.format("inf")))
    assert np.isnan(result.pearson) and np.isfinite(result.spearman)


def test_a_byte_order_mark_is_no_part_of_the_first_word(demo, write):
    assert holds_analogies(write("\ufeff: s\nman king woman queen\n"))
    pairs = "tea\tcoffee\t9\nking\tqueen\t3\n"
    assert ffjax.evaluate.similarity(demo, write("\ufeff" + pairs)).n_skipped == 0
    with pytest.raises(ffjax.FormatError, match="byte 6: expected four words"):
        ffjax.evaluate.analogies(demo, write("\ufeff:s\na b\n"))


def test_comments_headings_case_and_other_delimiters(demo, write):
    path = write("# comment\nword 1,word 2,score\nTea,Coffee,9\ntea,physics,1\n\ntea,blorp,2\n")
    ours = ffjax.evaluate.similarity(demo, path, delimiter=",")
    assert ours.pairs == (("Tea", "Coffee", 9.0), ("tea", "physics", 1.0)) and ours.n_skipped == 1
    np.testing.assert_allclose(ours.similarities[0], demo["tea"] @ demo["coffee"], rtol=1e-5)
    assert ffjax.evaluate.similarity(demo, path, delimiter=",", fold_case=False).n_skipped == 2


def test_a_line_that_is_no_pair_is_refused(demo, write):
    message = (
        r"questions.txt: byte 13: expected two words and a number with '\\t' between, got 'tea 4'"
    )
    with pytest.raises(ffjax.FormatError, match=message):
        ffjax.evaluate.similarity(demo, write("tea\tcoffee\t9\ntea 4\n"))


@pytest.mark.parametrize("text", ["", "# nothing\n", "a b c\n", "word 1\tword 2\tscore\n"])
def test_a_file_without_pairs_is_refused(demo, write, text):
    with pytest.raises(
        ffjax.FormatError, match=r"expected lines of two words and a number .* between, got none"
    ):
        ffjax.evaluate.similarity(demo, write(text))


def test_files_are_told_apart(write):
    assert holds_analogies(write("# by hand\n\n: family\nhe she king queen\n"))
    assert not holds_analogies(write("# by hand\ntea\tcoffee\t9\n"))
    assert not holds_analogies(write(""))
