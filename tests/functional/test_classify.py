"""Classifiers in compiled code: the same answers as on the host, gradients, devices."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ffjax
from ffjax._internal.pytree import replace
from ffjax.functional.classify import hidden_vectors
from ffjax.kernels.label_scores import HIERARCHICAL, LabelTree, label_scores
from ffjax.kernels.word_ngrams import remainder_64
from tests.builders import cases
from tests.embeddings.classifiers import HOSTILE, sentences
from tests.formats.fasttext.files import SUPERVISED, model, quiet_fasttext, write

# Words of more than 1,024 bytes have fewer n-grams in compiled code.
TEXTS = [text for text in HOSTILE if len(text.encode()) <= 1024]
TEXTS += [text for _, text in sentences(40, 4)]
# Each loss, and each layout: other tests take softmax with n-grams of characters.
NAMES = ("hs-pruned", "softmax-bigrams", "ova-pruned", "hs-qout")


def on_host(classifier, texts, k, threshold, **options):
    """`Labels` of the host's answers."""
    names, scores = classifier.predict(texts, k, threshold, **options)
    n = max(map(len, names))
    ids = [[classifier.labels.index(name) for name in row] + [-1] * (n - len(row)) for row in names]
    scores = [np.pad(row, (0, n - len(row))) for row in scores]
    return ffjax.Labels(np.array(scores), np.array(ids), np.array(list(map(len, names))))


def check(labels, expected):
    labels = jax.device_get(labels)
    n = expected.scores.shape[1]
    np.testing.assert_allclose(labels.scores[:, :n], expected.scores, atol=2e-6)
    np.testing.assert_array_equal(labels.counts, expected.counts)
    differ = labels.ids[:, :n] != expected.ids
    # Labels may change places where scores are equal but for rounding.
    gaps = np.abs(np.diff(expected.scores, axis=1))
    assert not differ.any() or gaps[differ[:, 1:] | differ[:, :-1]].max() < 2e-6


@pytest.mark.parametrize("name", cases(NAMES, exhaustive=("softmax", "hs-trigrams")))
def test_answers_are_those_of_the_host(classifiers, name):
    classifier = ffjax.load_classifier(classifiers / name)
    text = "\n".join(TEXTS).encode()
    expected = on_host(classifier, TEXTS, 3, 0.01)
    check(ffjax.classify(classifier, text, k=3, threshold=0.01), expected)
    pa = pytest.importorskip("pyarrow")
    labels = ffjax.classify(classifier, pa.array([None, *TEXTS[1:]]), k=3, threshold=0.01)
    labels = jax.device_get(labels)
    assert TEXTS[0] == "" and int(labels.counts[0]) == 0
    check(jax.tree.map(lambda x: x[1:], labels), jax.tree.map(lambda x: x[1:], expected))


def test_answers_of_lid_are_those_of_the_host(lid_model):
    classifier = ffjax.load_classifier(lid_model)
    expected = on_host(classifier, TEXTS, 1, 0.0)
    check(ffjax.classify(classifier, "\n".join(TEXTS).encode()), expected)


def test_long_labels_with_a_prefix_of_their_own_are_found(tmp_path):
    labels = ["kind-of-tea-that-is-green", "kind-of-tea-that-is-black"]
    settings = {"kind": SUPERVISED, "loss": 3, "dims": 4, "word_ngrams": 2}
    path = write(tmp_path, "model.bin", model(["a", "</s>"], labels=labels, **settings))
    classifier = ffjax.load_classifier(path)
    texts = [f"a {labels[1]} a", "a a", labels[0]]
    expected = classifier.probabilities(texts)
    scores = ffjax.classify(classifier, "\n".join(texts).encode(), k=2).scores
    np.testing.assert_allclose(scores, -np.sort(-expected, axis=1), rtol=1e-5)


def test_pruning_may_leave_no_ngrams(classifiers, tmp_path):
    embeddings = ffjax.load_classifier(classifiers / "softmax-pruned-bigrams").embeddings
    none = {"word_ngrams": None, "word_ngram_buckets": np.zeros(0, np.int32)}
    embeddings = embeddings.replace(training=replace(embeddings.training, **none))
    ffjax.write_fasttext(tmp_path / "model.ftz", embeddings)
    classifier = ffjax.load_classifier(tmp_path / "model.ftz")
    expected = quiet_fasttext().load_model(str(tmp_path / "model.ftz")).predict("abc иии")[1]
    np.testing.assert_allclose(classifier.predict("abc иии")[1], expected, atol=1e-6)
    compiled = ffjax.classify(classifier, "abc иии".encode())
    np.testing.assert_allclose(compiled.scores[0], expected, atol=1e-6)


def test_packed_texts_restricted_labels_and_traced_thresholds(classifiers):
    classifier = ffjax.load_classifier(classifiers / "softmax-chars")
    texts = ["abc\nиии", "", "é あい"]
    packed = ffjax.pack(texts, count=4)
    labels = classifier.labels[2:9]
    expected = on_host(classifier, texts, 2, 0.001, restrict=labels, newline=" ")
    ids = jnp.array(classifier.label_numbers(labels))

    @jax.jit
    def run(classifier, packed, threshold, ids):
        return ffjax.classify(classifier, packed, k=2, threshold=threshold, restrict=ids)

    answers = jax.device_get(run(classifier, packed, 0.001, ids))
    check(jax.tree.map(lambda x: x[:3], answers), expected)
    assert answers.counts[3] == 0 and answers.ids[3].tolist() == [-1, -1]
    for restrict in (labels, np.array([5, 2, 3, 4, 6, 7, 8, 5, 5])):
        eager = ffjax.classify(classifier, packed, k=2, threshold=0.001, restrict=restrict)
        np.testing.assert_array_equal(eager.ids, answers.ids)
    batch = jax.tree.map(lambda x: x.reshape(2, 2, *x.shape[1:]), packed)
    shaped = ffjax.classify(classifier, batch, k=2, threshold=0.001, restrict=labels)
    np.testing.assert_array_equal(shaped.ids, answers.ids.reshape(2, 2, 2))
    np.testing.assert_array_equal(shaped.counts, answers.counts.reshape(2, 2))


def test_numbers_of_no_label_and_repeated_ones_are_no_answers(classifiers):
    classifier = ffjax.load_classifier(classifiers / "softmax-chars")
    text = np.frombuffer(b"abc\n", np.uint8)
    run = jax.jit(partial(ffjax.classify, k=4, n_words=4, n_lines=1))
    n_labels = len(classifier.labels)
    numbers = np.array([5, n_labels, 3, -1, 5, 10**6, -1])
    answers = jax.device_get(run(classifier, text, restrict=jnp.array(numbers)))
    labels = [classifier.labels[number] for number in (3, 5)]
    expected = on_host(classifier, ["abc"], 4, 0.0, restrict=labels)
    assert expected.counts.tolist() == answers.counts.tolist() == [2]
    assert answers.ids.tolist() == [[*expected.ids[0].tolist(), -1, -1]]
    assert sorted(expected.ids[0].tolist()) == [3, 5]
    np.testing.assert_allclose(answers.scores[:, :2], expected.scores, rtol=1e-6)
    assert answers.scores[0, 2:].tolist() == [0, 0]


def test_words_beyond_the_maximum_are_left_out(classifiers):
    classifier = ffjax.load_classifier(classifiers / "softmax-chars")
    scores = ffjax.classify(classifier, b"abc cab\nabc", n_words=1).scores[:, 0]
    expected = classifier.probabilities(["abc", ""]).max(1)
    np.testing.assert_allclose(scores, expected, atol=2e-6)


def test_gradients_reach_the_rows_and_the_output_matrix(classifiers):
    classifier = ffjax.load_classifier(classifiers / "softmax-chars")
    text = jnp.frombuffer(b"abc cab\nbca\n", jnp.uint8)
    target = classifier.labels.index("__label__l0")

    @jax.jit
    @partial(jax.value_and_grad, allow_int=True)
    def loss(classifier):
        hidden, _ = hidden_vectors(classifier, text, 6, 2)
        logits = hidden @ classifier.output.matrix.T
        return -jax.nn.log_softmax(logits)[:, target].sum()

    _, gradient = loss(classifier)
    ngrams = classifier.embeddings.storage.ngrams
    rows = np.asarray(gradient.embeddings.storage.ngrams.matrix)
    assert np.abs(np.asarray(gradient.output.matrix)).max() > 0
    # The row of an n-gram of `bca`, against a difference quotient.
    row = int(classifier.embeddings.vocab.subword_indexer("<bc"))
    step = np.zeros(ngrams.shape, np.float32)
    step[row] = rows[row] / np.linalg.norm(rows[row])

    def moved(by):
        def change(x):
            return x + by * step if x is ngrams.matrix else x

        return loss(jax.tree.map(change, classifier))[0]

    quotient = (moved(1e-2) - moved(-1e-2)) / 2e-2
    assert quotient == pytest.approx(np.linalg.norm(rows[row]), rel=0.05)


@pytest.mark.parametrize("loss", ["Softmax", "OneVsAll", HIERARCHICAL])
def test_scores_have_gradients_with_every_loss(loss):
    tree = LabelTree.build(np.array([5, 2, 1])) if loss == HIERARCHICAL else None

    @jax.jit
    def scores(logits):
        return label_scores(loss, logits[:, None], tree, jnp.float32(-1))[:, 0]

    slopes = jax.jit(jax.jacobian(scores))
    logits, steps = np.array([0.3, -1.0, 2.0], np.float32), np.eye(3, dtype=np.float32) / 4
    quotients = [scores(logits + step) - scores(logits - step) for step in steps]
    np.testing.assert_allclose(slopes(logits), 2 * np.stack(quotients, 1), atol=0.01)
    for extreme in ([-200, 200, 0], [200, -200, 0]):
        assert np.isfinite(slopes(np.array(extreme, np.float32))).all()


@pytest.mark.devices
def test_batches_can_be_divided_over_devices(classifiers):
    classifier = ffjax.load_classifier(classifiers / "hs-pruned")
    packed = ffjax.pack(TEXTS[:32], count=32, width=1024)
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("batch",))
    spec = jax.sharding.PartitionSpec
    run = partial(ffjax.classify, k=2)
    divided = jax.shard_map(
        run, mesh=mesh, in_specs=(spec(), spec("batch")), out_specs=spec("batch"), check_vma=False
    )
    expected = on_host(classifier, TEXTS[:32], 2, 0.0, newline=" ")
    check(jax.jit(divided)(classifier, packed), expected)


@pytest.mark.parametrize("divisor", [1, 7, 2_000_000, 10_000_000, 67_000_000, 2**31 - 1])
def test_remainders_of_64_bits_are_exact(divisor):
    numbers = np.random.default_rng(0).integers(0, 2**64, 100, np.uint64, endpoint=False)
    numbers[:2] = 0, 2**64 - 1
    halves = numbers.astype(np.uint32), (numbers >> np.uint64(32)).astype(np.uint32)
    expected = numbers % np.uint64(divisor)
    np.testing.assert_array_equal(remainder_64(tuple(map(jnp.asarray, halves)), divisor), expected)


def test_wrong_arguments_are_named(classifiers, as_users_see):
    classifier = ffjax.load_classifier(classifiers / "softmax")
    with pytest.raises(ValueError, match="`k`: expected 1 or higher"):
        ffjax.classify(classifier, b"a", k=0)
    with pytest.raises(TypeError, match="`texts`: expected Strings, bytes, .*`ffjax.pack"):
        ffjax.classify(classifier, ["a"])
    with pytest.raises(ValueError, match="`restrict`: expected a label of the classifier"):
        ffjax.classify(classifier, b"a", restrict=["klingon"])
    with pytest.raises(ValueError, match="`n_lines`: expected a number for text inside `jit`"):
        jax.jit(ffjax.classify)(classifier, jnp.zeros(3, jnp.uint8))
    n_labels = len(classifier.labels)
    for numbers in ([n_labels], [-1, 0]):
        with pytest.raises(ValueError, match="`restrict`: expected numbers of labels, 0 to"):
            ffjax.classify(classifier, b"a", restrict=np.array(numbers))
    with pytest.raises(ValueError, match="`restrict`: expected at least one label, got none"):
        ffjax.classify(classifier, b"a", restrict=np.zeros(0, np.int32))
    with pytest.raises(TypeError, match="`threshold`: expected a real number, got str 'x'"):
        ffjax.classify(classifier, b"a", threshold="x")
    with pytest.raises(TypeError, match="`n_words`: expected a whole number, got str '3'"):
        ffjax.classify(classifier, b"a", n_words="3")
    with pytest.raises(ValueError, match="`n_lines`: expected 0 or more, got -1"):
        ffjax.classify(classifier, b"a", n_lines=-1)
    with pytest.raises(TypeError, match="`classifier`: expected a Classifier, got str"):
        ffjax.classify("lid", b"a")
    mapped = ffjax.load_classifier(classifiers / "softmax", mmap=True)
    with pytest.raises(ValueError, match="`classifier`: expected one in memory, got a mapped one"):
        ffjax.classify(mapped, b"a")
