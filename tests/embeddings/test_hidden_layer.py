"""The ways in which classifiers add rows: all agree."""

import numpy as np
import pytest

import ffjax
from ffjax.embeddings import classifier, hidden_layer, input_rows
from ffjax.embeddings.output_layer import Options, OutputLayer
from ffjax.kernels.label_scores import SHIFT, LabelTree
from ffjax.kernels.label_scores_numpy import label_scores_numpy
from ffjax.kernels.ngrams_numpy import mark_words
from ffjax.storage import base
from tests.embeddings.classifiers import HOSTILE, sentences
from tests.vocab.ngrams.reference import fasttext_hash, lead_characters


@pytest.fixture(scope="module")
def texts():
    lines = [text for _, text in sentences(100, 4)]
    return [*HOSTILE, *lines, " ".join(lines * 20), "घचङ gfcdaa " * 3000]


@pytest.mark.parametrize(
    "name", ["softmax-bigrams", "hs-trigrams", "hs-pruned", "softmax-pruned-bigrams"]
)
def test_sums_of_words_are_those_of_their_rows(classifiers, texts, name, monkeypatch):
    with monkeypatch.context() as in_order:
        for tolerance in ("_TOLERANCE", "_REPEATED_TOLERANCE"):
            in_order.setattr(hidden_layer, tolerance, 0.0)
        expected = ffjax.load_classifier(classifiers / name).probabilities(texts)
    ours = ffjax.load_classifier(classifiers / name)
    for _ in range(2):  # the second time all words are remembered
        np.testing.assert_allclose(ours.probabilities(texts), expected, atol=2e-6)


@pytest.mark.parametrize("name", ["softmax-bigrams", "hs-trigrams"])
def test_rows_are_gathered_a_few_at_a_time(classifiers, texts, name, monkeypatch):
    monkeypatch.setattr(hidden_layer, "_REPEATED_TOLERANCE", 0.0)
    monkeypatch.setattr(hidden_layer, "_TOLERANCE", 0.0)
    lines = "".join(f"{text}\n" for text in texts).encode()
    layer = ffjax.load_classifier(classifiers / name)._hidden
    slopes = np.ones(len(texts))
    expected = layer.lines(lines).in_order(slopes)
    monkeypatch.setattr(hidden_layer, "_GROUP_NUMBERS", 1 << 10)
    for ours, theirs in zip(layer.lines(lines).in_order(slopes), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", ["softmax-bigrams", "hs-trigrams"])
def test_rows_multiplied_by_the_output_give_the_same_scores(classifiers, texts, name, monkeypatch):
    plain = ffjax.load_classifier(classifiers / name)
    assert plain._hidden.output is None
    monkeypatch.setattr(hidden_layer, "_DIMS_A_LABEL", 0)
    ours = ffjax.load_classifier(classifiers / name, mmap=True)
    assert ours._hidden.output is not None
    np.testing.assert_allclose(ours.probabilities(texts), plain.probabilities(texts), atol=2e-6)
    assert ours.predict(texts, k=3)[0] == plain.predict(texts, k=3)[0]
    # Now both add the same rows in order.
    for tolerance in ("_TOLERANCE", "_PRODUCT_TOLERANCE", "_REPEATED_TOLERANCE"):
        monkeypatch.setattr(hidden_layer, tolerance, 0.0)
    np.testing.assert_allclose(ours.probabilities(texts), plain.probabilities(texts), atol=5e-7)


@pytest.mark.parametrize("dims_a_label", [0, 1 << 30])
def test_answers_do_not_depend_on_earlier_lines(classifiers, texts, dims_a_label, monkeypatch):
    monkeypatch.setattr(hidden_layer, "_DIMS_A_LABEL", dims_a_label)
    with monkeypatch.context() as one_by_one:
        one_by_one.setattr(input_rows, "_FEW", 1)
        first = ffjax.load_classifier(classifiers / "softmax-bigrams").probabilities(texts[:50])
    ours = ffjax.load_classifier(classifiers / "softmax-bigrams")
    for _ in range(20):  # more rows than the model has
        ours.probabilities(texts)
    np.testing.assert_array_equal(ours.probabilities(texts[:50]), first)


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("name", ["softmax-chars", "hs-trigrams", "softmax-qout", "hs-qout"])
def test_sums_do_not_depend_on_earlier_lines(classifiers, texts, name, mmap):
    first = ffjax.load_classifier(classifiers / name, mmap=mmap)
    text = "".join(f"{line}\n" for line in texts[20:60]).encode()  # fewer rows than the model has
    expected = first._hidden.lines(text).hidden
    ours = ffjax.load_classifier(classifiers / name, mmap=mmap)
    for i in range(4):  # more rows than the model has, but none of its words
        ours.predict([f"{i}word{j}" for j in range(1000)])
    np.testing.assert_array_equal(ours._hidden.lines(text).hidden, expected)
    # Floats stay where they are.
    is_encoded = ours.ngram_rows.host_matrix() is None
    assert (ours._hidden.rows._matrix is not None) == is_encoded


@pytest.mark.parametrize("n", [1, 5])
def test_the_number_of_threads_is_read_when_lines_are(classifiers, texts, n, monkeypatch):
    ours, calls = ffjax.load_classifier(classifiers / "softmax-chars"), []
    monkeypatch.setattr(classifier, "_THREAD_BYTES", 1)
    text = b"tea\n" * 4096
    monkeypatch.setattr(
        classifier, "line_bounds", lambda _, size: calls.append(size) or [0, len(text)]
    )
    monkeypatch.setenv("FFJAX_NUM_THREADS", str(n))
    classifier.over_blocks(ours, text, OutputLayer.all_scores, Options.of(ours.numbers))
    assert calls == [-(-len(text) // n)]


def test_words_are_forgotten_when_there_are_many(classifiers, texts, monkeypatch):
    expected = ffjax.load_classifier(classifiers / "softmax-chars").probabilities(texts)
    monkeypatch.setattr(hidden_layer, "_WORDS", 8)
    ours = ffjax.load_classifier(classifiers / "softmax-chars")
    got = [ours.probabilities(texts[i : i + 3]) for i in range(0, len(texts), 3)]
    np.testing.assert_allclose(np.concatenate(got), expected, atol=2e-6)


def test_long_words_are_forgotten_too(classifiers, monkeypatch):
    texts = ["abcdefghij" * 100 + str(i) for i in range(200)]
    ours = ffjax.load_classifier(classifiers / "softmax-chars")
    expected, first = ours.probabilities(texts), ours._hidden._memo
    monkeypatch.setattr(hidden_layer, "_MOST_BYTES", 1 << 18)
    ours = ffjax.load_classifier(classifiers / "softmax-chars")
    for i in range(0, 200, 10):
        block = slice(i, i + 10)
        np.testing.assert_allclose(ours.probabilities(texts[block]), expected[block], atol=2e-6)
        assert ours._hidden._memo.n_bytes < 1 << 18 < first.n_bytes


def test_rows_on_an_accelerator_are_copied_once(classifiers, texts, monkeypatch):
    expected = ffjax.load_classifier(classifiers / "softmax-chars").probabilities(texts)
    monkeypatch.setattr(base, "host_view", lambda x: x if isinstance(x, np.ndarray) else None)
    ours = ffjax.load_classifier(classifiers / "softmax-chars")
    np.testing.assert_allclose(ours.probabilities(texts), expected, atol=2e-6)
    assert all(matrix is not None for matrix in ours._hidden.rows._matrices)


def test_an_interrupted_call_changes_no_later_answer(classifiers, texts, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt("Ctrl-C")

    expected = ffjax.load_classifier(classifiers / "softmax-chars").probabilities(texts)
    for growing_of in (lambda memo: memo._rows, lambda memo: memo.table._data):
        ours = ffjax.load_classifier(classifiers / "softmax-chars")
        with monkeypatch.context() as interrupted, pytest.raises(KeyboardInterrupt, match="C"):
            interrupted.setattr(growing_of(ours._hidden._memo), "append", interrupt)
            ours.probabilities(texts)
        np.testing.assert_array_equal(ours.probabilities(texts), expected)


def test_a_vocabulary_that_is_remembered_changes_no_answer(classifiers, texts):
    lines = [f"{text} {i}x{j}" for i, text in enumerate(texts[:60]) for j in range(40)]
    for name in ("softmax-bigrams", "softmax-chars"):
        first, ours = (ffjax.load_classifier(classifiers / name) for _ in range(2))
        expected = np.concatenate([first.probabilities(lines[i::40]) for i in range(40)])
        assert not first._hidden._memo.has_vocabulary
        ours.probabilities(lines)
        assert ours._hidden._memo.has_vocabulary
        got = np.concatenate([ours.probabilities(lines[i::40]) for i in range(40)])
        # Both are within 1e-6 of fastText, which adds rows in another order.
        np.testing.assert_allclose(got, expected, atol=2e-6)


@pytest.mark.parametrize("lengths", [(1, 4), (2, 3), (3, 6)])
def test_rows_of_ngrams_come_shortest_first(lengths):
    words = [text.encode() for text in (*HOSTILE, "été", "日本語", "👩‍👩‍👧") if text]
    words += [b"\x80\x80\x80", b"a\xffb", b"\xe3" + b"\x80" * 9 + b"a", bytes(range(128, 192))]
    data = np.frombuffer(b"".join(words) + bytes(8), np.uint8)
    sizes = np.array(list(map(len, words)))
    marked = mark_words(data, np.cumsum(sizes) - sizes, sizes, b"<", b">")
    hashing = ffjax.FastTextIndexer(5000, *lengths, skip_edge_unigrams=True)
    some = np.arange(0, 5000, 3)[::-1]
    of_all, of_some = {i: i for i in range(5000)}, {int(x): i for i, x in enumerate(some)}
    for indexer, row_of in ((hashing, of_all), (ffjax.PrunedIndexer(hashing, some), of_some)):
        rows = indexer.ragged_ids(*marked, shortest_first=True)
        for word, ids in zip(words, np.split(rows.values, rows.splits[1:-1]), strict=True):
            characters = lead_characters(b"<" + word + b">")
            n = len(characters)
            ngrams = (
                characters[start : start + length]
                for start in range(n)
                for length in range(lengths[0], lengths[1] + 1)
                if start + length <= n and not (length == 1 and start in (0, n - 1))
            )
            buckets = [fasttext_hash(b"".join(ngram)) % 5000 for ngram in ngrams]
            assert ids.tolist() == [row_of[x] for x in buckets if x in row_of]


def test_small_scores_of_a_tree_keep_their_digits():
    tree = LabelTree.build(np.array([5, 2, 1]))
    logits = np.array([[0.3], [40], [0]], np.float32)
    scores = label_scores_numpy("HierarchicalSoftmax", logits, tree, np.float32(-1), SHIFT)
    half = 1 / (1 + np.exp(-0.3))
    expected = [1 + 1e-5, 1e-5 * (half + 1e-5), 1e-5 * (1 - half + 1e-5)]
    np.testing.assert_allclose(scores[:, 0], expected, rtol=1e-5)


def test_nodes_that_are_nan_leave_the_other_labels_of_a_tree(classifiers):
    ours = ffjax.load_classifier(classifiers / "hs-chars")
    logits = np.random.default_rng(0).normal(size=(50, len(ours.labels))).astype(np.float32)
    logits[np.arange(50), np.arange(50)] = np.nan
    lines = hidden_layer.Lines(logits, np.ones(50), None, are_logits=True)
    best, two = (ours._output.labels(lines, Options.of(ours.numbers, k, 0.0)) for k in (1, 2))
    assert (best.counts == 1).all()
    np.testing.assert_array_equal(best.ids[:, 0], two.ids[:, 0])
    np.testing.assert_array_equal(best.scores[:, 0], two.scores[:, 0])


@pytest.mark.parametrize("name", ["softmax", "hs-chars", "ova"])
def test_lines_are_added_in_order_by_the_slope_of_their_answers(classifiers, name):
    ours, slopes = ffjax.load_classifier(classifiers / name), []

    def in_order(x):
        slopes.append(x)
        return np.flatnonzero(x < 0), None

    logits = 3 * np.random.default_rng(0).normal(size=(50, len(ours.labels))).astype(np.float32)
    lines = hidden_layer.Lines(logits, np.ones(50), None, are_logits=True, in_order=in_order)
    best = ours._output.all_scores(lines, Options.of(ours.numbers)).max(1)
    for threshold in (-1.0, 0.5):  # below the threshold no score is known
        ours._output.labels(lines, Options.of(ours.numbers, 2, threshold))
    if name == "ova":  # scores are not probabilities of one distribution
        assert {*np.concatenate(slopes)} == {0.25}
        return
    assert (best > 0.5).any() and (best < 0.5).any()
    expected = best * (1 - best)
    for x, known in zip(slopes, (best > 0, best > 0, best >= 0.5 + SHIFT), strict=True):
        np.testing.assert_allclose(x, np.where(known, expected, 0.25), atol=1e-6)
    # Probabilities of a few labels may change however certain another label is.
    options = Options.of(ours.numbers, restrict=ours.labels[:2], renormalize=True)
    ours._output.all_scores(lines, options)
    assert {*slopes[-1]} == {0.25}
