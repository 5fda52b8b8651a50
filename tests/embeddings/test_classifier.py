"""Classifiers beside the real fastText: every loss and layout, the same labels and scores."""

import re
import threading
from itertools import islice

import jax
import numpy as np
import pytest

import ffjax
from benchmarks.classifier_models import documents
from ffjax._internal.names_elsewhere import names_elsewhere
from ffjax.embeddings import classifier as module
from ffjax.embeddings.hidden_layer import HiddenLayer
from tests.embeddings.classifiers import HOSTILE, MODELS, check_same, sentences
from tests.formats.fasttext.files import quiet_fasttext

SETTINGS = [(1, 0.0), (5, 0.01), (-1, 0.0), (-1, -1.0), (3, 0.5), (2, 1.0)]


@pytest.fixture(scope="session")
def texts():
    lines = [text for _, text in sentences(120, 2)]
    return [*HOSTILE, *lines, " ".join(lines * 30), "a b " * 2000]


def near_an_edge(classifier, texts):
    """For each text the labels whose logit lies where the table of the logistic function steps."""
    if classifier.loss not in ("OneVsAll", "NegativeSampling"):
        return [()] * len(texts)
    hidden = classifier._hidden.lines("".join(text + "\n" for text in texts).encode()).hidden
    position = (hidden @ classifier.output.read(slice(None)).T + 8) * 32
    near = np.abs(position - np.round(position)) < 1e-3
    return [{classifier.labels[i] for i in np.flatnonzero(row)} for row in near]


def check_all(ours, theirs, texts, settings):
    unsure = near_an_edge(ours, texts)
    for k, threshold in settings:
        answers = zip(*ours.predict(texts, k, threshold), strict=True)
        expected = zip(*theirs.predict(texts, k=k, threshold=threshold), strict=True)
        for pair in zip(answers, expected, unsure, strict=True):
            check_same(*pair, threshold, k, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_answers_are_those_of_fasttext(classifiers, texts, name):
    theirs = quiet_fasttext().load_model(str(classifiers / name))
    ours = ffjax.load_classifier(classifiers / name, mmap=name.endswith("s"))
    assert ours.labels == theirs.get_labels()
    check_all(ours, theirs, texts, SETTINGS)


@pytest.mark.exhaustive
def test_languages_are_those_of_fasttext(lid_model, real_file):
    ours, theirs = ffjax.load_classifier(lid_model), quiet_fasttext().load_model(str(lid_model))
    with open(real_file("languages.txt"), encoding="utf8") as file:
        texts = [line.split("\t", 1)[-1].strip("\n") for line in islice(file, 20_000)]
    check_all(ours, theirs, [*HOSTILE, *texts], [*SETTINGS, (5, 0.0), (1, -1.0)])


@pytest.mark.parametrize("n", [500, pytest.param(10_000, marks=pytest.mark.exhaustive)])
def test_scores_of_documents_are_those_of_fasttext(lid_model, real_file, n):
    real_file("languages.txt")  # which `documents` reads
    ours, theirs = ffjax.load_classifier(lid_model), quiet_fasttext().load_model(str(lid_model))
    check_all(ours, theirs, documents("languages.txt", n), [(-1, 0.0)])


def test_the_answers_of_lid_are_those_of_fasttext(lid_model, texts):
    ours, theirs = ffjax.load_classifier(lid_model), quiet_fasttext().load_model(str(lid_model))
    repeated = ["И „id“ " * 167, "Un " * 2001, "få --regex og --wildcard " * 167]
    check_all(ours, theirs, [*texts, *repeated], SETTINGS)


def test_one_text_has_the_answer_that_it_has_in_a_list(classifiers, texts):
    for name in ("softmax-bigrams", "hs-pruned"):
        ours = ffjax.load_classifier(classifiers / name)
        expected = ours.predict(texts[:30], k=2)
        for text, names, scores in zip(texts, *expected, strict=False):
            one_names, one_scores = ours.predict(text, k=2)
            assert isinstance(one_names, tuple) and list(one_names) == names
            assert one_scores.dtype == np.float64
            np.testing.assert_allclose(one_scores, scores, atol=1e-6)
            assert ours.predict(text.encode(), k=2)[0] == one_names


def test_text_without_features_has_no_answer(classifiers):
    ours = ffjax.load_classifier(classifiers / "no-line-end")
    assert ours.predict(["", "abc"])[0][0] == []
    assert ours.predict("") == ((), pytest.approx([]))
    assert ours.probabilities("").tolist() == [0.0] * len(ours.labels)


def test_texts_come_in_any_form(classifiers):
    ours = ffjax.load_classifier(classifiers / "softmax-chars")
    expected = ours.predict(["abc иии", "", "é"])
    pa = pytest.importorskip("pyarrow")
    forms = (["abc иии".encode(), "", "é"], np.array(["abc иии", "", "é"]))
    for texts in (*forms, pa.array(["abc иии", None, "é"])):
        assert ours.predict(texts)[0] == expected[0]
    assert ours.predict([]) == ([], []) and ours.probabilities([]).shape == (0, len(ours.labels))


def test_probabilities_and_scores_are_those_of_all_labels(classifiers, texts):
    for name in ("hs-chars", "softmax"):
        ours = ffjax.load_classifier(classifiers / name)
        matrix = ours.probabilities(texts)
        for row, names, scores in zip(matrix, *ours.predict(texts, -1, -1.0), strict=True):
            assert dict(zip(ours.labels, row.tolist(), strict=True)) == dict(
                zip(names, scores.tolist(), strict=True)
            )
        label = ours.labels[5]
        np.testing.assert_array_equal(ours.score(texts, label), matrix[:, 5])
        short = label.removeprefix("__label__")
        assert ours.score(texts[3], short) == pytest.approx(matrix[3, 5], abs=1e-6)
        only = ours.probabilities(texts, restrict=[short])
        np.testing.assert_array_equal(only[:, 0], matrix[:, 5])


def test_labels_can_be_restricted_before_and_after_normalization(classifiers, texts):
    ours = ffjax.load_classifier(classifiers / "hs-chars")
    labels = ours.labels[3:40:4]
    matrix = ours.probabilities(texts)[:, 3:40:4].astype(np.float64)
    names, scores = ours.predict(texts, restrict=set(labels))
    assert names == [[labels[i]] for i in matrix.argmax(1)]
    np.testing.assert_allclose(np.concatenate(scores), matrix.max(1), atol=1e-6)
    scores = ours.probabilities(texts, restrict=labels, renormalize=True)
    np.testing.assert_allclose(scores, matrix / matrix.sum(1, keepdims=True), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(scores.sum(1), 1, atol=1e-5)
    one_vs_all = ffjax.load_classifier(classifiers / "ova")
    with pytest.raises(ValueError, match="HierarchicalSoftmax, got OneVsAll, whose"):
        one_vs_all.probabilities(texts, restrict=labels, renormalize=True)


def test_the_least_probable_labels_can_be_normalized(classifiers, texts):
    ours = ffjax.load_classifier(classifiers / "softmax")
    ours = jax.tree.map(lambda x: x * 40 if x.dtype == np.float32 else x, ours)
    hidden = ours._hidden.lines("".join(text + "\n" for text in texts).encode()).hidden
    logits = hidden.astype(np.float64) @ ours.output.read(slice(None)).T
    columns = np.sort(np.argsort(logits.max(0) - logits.max())[:2])
    logits = logits[:, columns]
    expected = 1 / (1 + np.exp(logits[:, ::-1] - logits))
    labels = [ours.labels[i] for i in columns]
    scores = ours.probabilities(texts, restrict=labels, renormalize=True)
    np.testing.assert_allclose(scores, expected, atol=1e-3)
    assert all(row for row in ours.predict(texts, restrict=labels, renormalize=True)[0])


def test_improbable_labels_are_answers_if_they_are_the_only_ones(classifiers, texts, tmp_path):
    ours = ffjax.load_classifier(classifiers / "hs-chars")
    matrix = ours.probabilities(texts)
    columns = np.sort(np.argsort(matrix.max(0))[:3])
    matrix = matrix[:, columns]
    assert (matrix.max(1) < 1e-5).any()
    labels = [ours.labels[i] for i in columns]
    names, scores = ours.predict(texts, restrict=labels)
    assert names == [[labels[i]] for i in matrix.argmax(1)]
    np.testing.assert_array_equal(np.concatenate(scores), matrix.max(1))
    assert [len(row) for row in ours.predict(texts, -1, restrict=labels)[0]] == [3] * len(texts)
    assert all(row == [] for row in ours.predict(texts, 3, 0.9, restrict=labels)[0])
    compiled = ffjax.classify(ours, "\n".join(texts).encode(), restrict=labels)
    np.testing.assert_allclose(compiled.scores[:, 0], matrix.max(1), rtol=1e-2)
    np.testing.assert_array_equal(compiled.counts, 1)
    source, target = tmp_path / "texts.txt", tmp_path / "labels.txt"
    source.write_text("\n".join(texts), encoding="utf8")
    ffjax.classify_file(ours, source, target, restrict=labels)
    assert [line.split()[0] for line in target.read_text().splitlines()] == sum(names, [])


def test_case_newlines_and_abstention(classifiers):
    ours = ffjax.load_classifier(classifiers / "softmax-chars")
    assert ours.predict("ABC\nИИИ", lowercase=True, newline=" ")[0] == ours.predict("abc иии")[0]
    np.testing.assert_array_equal(
        ours.probabilities(["a\nb", "c"], newline=""), ours.probabilities(["ab", "c"])
    )
    labels, scores = ours.predict(["abc abc", "x"], k=3, min_score=2.0)
    assert labels == [[], []] and [len(row) for row in scores] == [0, 0]


def test_threads_share_layers(classifiers, texts, monkeypatch):
    ours = ffjax.load_classifier(classifiers / "softmax-chars")
    expected = ours.predict(texts)
    makers = []

    class Layer(HiddenLayer):
        def __init__(self, classifier):
            makers.append(threading.current_thread())
            super().__init__(classifier)

    monkeypatch.setattr(module, "HiddenLayer", Layer)
    monkeypatch.setattr(module, "_THREAD_BYTES", 100)
    other = ffjax.load_classifier(classifiers / "softmax-chars")
    assert other.predict(texts)[0] == expected[0]
    assert makers == [threading.current_thread()]


def test_errors_count_all_texts(classifiers, monkeypatch):
    monkeypatch.setattr(module, "_THREAD_BYTES", 10)
    ours = ffjax.load_classifier(classifiers / "softmax")
    with pytest.raises(ValueError, match="line feed in text 40"):
        ours.predict([*["green tea"] * 40, "a\nb"])
    with pytest.raises(TypeError, match="expected str or bytes, got bool True as text 40"):
        ours.predict([*["green tea"] * 40, True])


def test_wrong_arguments_are_named(classifiers, as_users_see):
    ours = ffjax.load_classifier(classifiers / "softmax")
    for arguments, message in (
        ((["a", "b\nc"],), r"`texts`: expected one line each, got a line feed in text 1"),
        (("a", 0), "`k`: expected 1 or higher, or -1"),
        (("a", -2), "`k`: expected 1 or higher, or -1 for all labels, got -2"),
        (("a\ud800",), r"`texts`: expected text that UTF-8 can hold, got '\\ud800' in text 0"),
        ((["\udc80"] * 70 + ["a\ud800"],), r"`texts`: .* got '\\ud800' in text 70 \(surrogates"),
    ):
        with pytest.raises(ValueError, match=message):
            ours.predict(*arguments)
    with pytest.raises(TypeError, match="`texts`: expected str or bytes, got int 3 as text 1"):
        ours.predict(["a", 3])
    for options, message in (
        ({"restrict": ["klingon"]}, "`restrict`: expected a label of the class.*, got 'klingon'"),
        ({"restrict": []}, "`restrict`: expected at least one label"),
        ({"renormalize": True}, "`restrict`: expected labels with `renormalize=True`"),
        ({"newline": "x"}, "`newline`: expected one of 'error', ' ', '', got 'x'"),
    ):
        with pytest.raises(ValueError, match=message):
            ours.predict("a", **options)
    with pytest.raises(TypeError, match="`texts`: expected a list of texts, got NoneType None"):
        ours.predict(None)
    with pytest.raises(TypeError, match="`texts`: expected a list of texts, got dict"):
        ours.predict({"a": 1})
    with pytest.raises(TypeError, match="`mmap`: expected True or False"):
        ffjax.load_classifier(classifiers / "softmax", mmap="yes")
    with pytest.raises(TypeError, match="`texts`: expected an array of strings, got int64"):
        ours.predict(np.zeros(2, np.int64))
    for options, message in (
        ({"restrict": "en"}, "`restrict`: expected a list of labels, got the single label 'en'"),
        ({"restrict": 3}, "`restrict`: expected a list of labels, got int 3"),
        ({"restrict": ["l1"], "renormalize": "yes"}, "`renormalize`: expected True or False"),
        ({"restrict": np.array([0])}, "`restrict`: expected an array of strings, got int64"),
        ({"lowercase": "yes"}, "`lowercase`: expected True or False"),
        ({"threshold": "x"}, "`threshold`: expected a real number, got str 'x'"),
        ({"min_score": "x"}, "`min_score`: expected a real number, got str 'x'"),
    ):
        with pytest.raises(TypeError, match=message):
            ours.predict("a", **options)
    with pytest.raises(ValueError, match="`threshold`: expected a real number, got float nan"):
        ours.predict("a", threshold=float("nan"))
    with pytest.raises(ValueError, match="`label`: expected a label of the classifier"):
        ours.score("a", "klingon")


def test_settings_fit_the_rows(classifiers):
    embeddings = ffjax.load_classifier(classifiers / "softmax-bigrams").embeddings
    metadata = ffjax.Metadata({**embeddings.metadata, "buckets": 10**6})
    message = "`embeddings`: expected 1000000 rows for the n-grams of up to 2 words, got 5000."
    with pytest.raises(ValueError, match=message):
        ffjax.Classifier(embeddings.replace(metadata=metadata))


@pytest.mark.parametrize("name", ["hs-trigrams", "softmax-bigrams", "softmax-qout"])
def test_figures_are_those_of_fasttext(classifiers, name, tmp_path):
    lines = [f"{label} {text} __label__l7 __label__new" for label, text in sentences(200, 3)]
    path = tmp_path / "test.txt"
    path.write_text("\n".join([*lines, "no label", "__label__l1"]) + "\n", encoding="utf8")
    theirs = quiet_fasttext().load_model(str(classifiers / name))
    ours = ffjax.load_classifier(classifiers / name)
    for k, threshold in ((1, 0.0), (3, 0.05), (-1, 0.5)):
        result = ours.test(path, k, threshold)
        assert repr(result).endswith(f"by_label=<{len(ours.labels)} labels>)")
        totals = theirs.test(str(path), k=k, threshold=threshold)
        assert result[:3] == pytest.approx(totals, nan_ok=True)
        expected = theirs.test_label(str(path), k=k, threshold=threshold)
        for label, figures in result.by_label.items():
            values = [expected[label][name] for name in ("precision", "recall", "f1score")]
            assert list(figures) == pytest.approx(values, nan_ok=True)


def test_a_classifier_is_a_pytree(classifiers):
    ours = ffjax.load_classifier(classifiers / "hs-pruned")
    copy = jax.tree.map(lambda x: x, ours)
    assert copy == ours and copy.predict("abc")[0] == ours.predict("abc")[0]
    with pytest.raises(AttributeError, match="Classifier is immutable"):
        ours.loss = "Softmax"


def test_answers_do_not_depend_on_the_lists_of_labels_that_were_returned(classifiers):
    ours = ffjax.load_classifier(classifiers / "softmax")
    expected = ours.predict("abc")[0]
    for labels in (ours.labels, ours.embeddings.training.labels):
        labels.sort()
    assert ours.predict("abc")[0] == expected


def test_names_of_fasttext_say_what_to_use(classifiers):
    ours = ffjax.load_classifier(classifiers / "softmax")
    names = names_elsewhere()[3]
    peer = {name for name in dir(quiet_fasttext().FastText._FastText) if name[0] != "_"}
    assert {name for name in peer - set(names) if not hasattr(ours, name)} == {"set_args"}
    for name, instead in names.items():
        message = f"'Classifier' object has no attribute {name!r}. Use {instead}."
        with pytest.raises(AttributeError, match=f"^{re.escape(message)}$"):
            getattr(ours, name)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'$"):
        _ = ours.nonsense
    with pytest.raises(TypeError, match=r"Inside `jit` .*`ffjax.classify\(classifier, strings\)`"):
        jax.jit(lambda classifier: classifier.predict("a"))(ours)
