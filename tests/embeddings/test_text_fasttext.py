"""Sentence vectors of fastText models, compared with fastText and gensim."""

from functools import partial
from itertools import islice
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ffjax
from ffjax.embeddings import text as text_module
from tests.formats.fasttext.files import SUPERVISED, model, quiet_fasttext, trained, write
from tests.training import train


@pytest.fixture(scope="module")
def corpus(real_file):
    """Lines of the real corpus."""
    with open(real_file("corpus.txt"), "rb") as file:
        return list(islice(file, 4000))


def classifier(path, text, **settings):
    corpus = path.with_name(path.name + ".txt")
    corpus.write_bytes(text)
    settings = {"dim": 8, "epoch": 1, **settings}
    train(path, corpus, library="fasttext", method="train_supervised", **settings)
    return quiet_fasttext().load_model(str(path))


@pytest.mark.parametrize("mmap", [False, True])
def test_sentence_vectors_are_those_of_fasttext_and_gensim(corpus, tmp_path, mmap):
    (tmp_path / "corpus.txt").write_bytes(b"".join(corpus[:2000]))
    trained(tmp_path / "words.bin", tmp_path / "corpus.txt", minCount=2, bucket=5000)
    model = quiet_fasttext().load_model(str(tmp_path / "words.bin"))
    emb = ffjax.load_fasttext(tmp_path / "words.bin", mmap=mmap)
    lines = [
        *corpus[:400],
        *corpus[3000:],
        b"\n",
        ("https://a.b/" + "longer" * 40 + " tea\n").encode(),
    ]
    vectors, counts = ffjax.embed_text(emb, b"".join(lines), pooling="fasttext")
    texts = [line.decode().removesuffix("\n") for line in lines]
    theirs = np.stack([model.get_sentence_vector(text) for text in texts])
    np.testing.assert_allclose(vectors, theirs, atol=1e-5)
    gensim = pytest.importorskip("gensim.models.fasttext")
    keyed = gensim.load_facebook_vectors(str(tmp_path / "words.bin"))
    compared = 0
    for i, text in enumerate(texts):
        if not text.split():
            assert not vectors[i].any() and counts[i] == 0
            continue
        with np.errstate(
            invalid="ignore"
        ):  # gensim divides by the length of a word without n-grams, which is 0
            expected = keyed.get_sentence_vector(text.split())
        if np.isfinite(expected).all():
            np.testing.assert_allclose(vectors[i], expected, atol=1e-5)
            compared += 1
    assert compared > 0.9 * len(texts)


@pytest.mark.parametrize("maxn", [0, 4])
def test_sentence_vectors_of_supervised_models_are_those_of_fasttext(corpus, tmp_path, maxn):
    # Few words: the less memory fastText takes uncleared, the more often it trains numbers.
    text = b"__label__a tea cup of the best\n__label__b coffee pot with milk\n" * 100
    grams = {"minn": 2 if maxn else 0, "maxn": maxn, "bucket": 3000 if maxn else 0}
    model = classifier(tmp_path / "classes.bin", text, **grams)
    emb = ffjax.load_fasttext(tmp_path / "classes.bin")
    lines = [*corpus[:50], b"tea with coffee strangers\n", b"\n", b"__label__a tea __label__none\n"]
    vectors, _ = ffjax.embed_text(emb, b"".join(lines), pooling="fasttext")
    texts = [line.decode().removesuffix("\n") for line in lines]
    theirs = np.stack([model.get_sentence_vector(text) for text in texts])
    np.testing.assert_allclose(vectors, theirs, atol=1e-5)


def test_models_of_words_that_look_like_labels_are_not_classifiers(tmp_path):
    text = b"__label__a tea cup of the best\n__label__b coffee pot with milk\n" * 100
    (tmp_path / "corpus.txt").write_bytes(text)
    trained(tmp_path / "words.bin", tmp_path / "corpus.txt", minCount=1, bucket=3000)
    model = quiet_fasttext().load_model(str(tmp_path / "words.bin"))
    emb = ffjax.load_fasttext(tmp_path / "words.bin")
    assert emb.training.labels
    vectors, _ = ffjax.embed_text(emb, b"tea with strangers\nmilk\n", pooling="fasttext")
    theirs = [model.get_sentence_vector(line) for line in ("tea with strangers", "milk")]
    np.testing.assert_allclose(vectors, theirs, atol=1e-5)


NO_GRAMS: dict[str, Any] = {"min_n": 0, "max_n": 0, "buckets": 0}
LINES = [
    "tea </s> cup",
    "</s> tea",
    "tea </s> cup </s> tea",
    "cup",
    "tea __class__a cup",
    "tea __class__none __label__none",
    "tea __label__w strangers",
    "</s>",
    "tea\0cup",
    "</s>x x</s> tea",
    "",
]


@pytest.mark.parametrize("words", ["</s> tea cup __label__w", "tea cup __label__w"])
@pytest.mark.parametrize("grams", [NO_GRAMS, {"min_n": 2, "max_n": 4}])
def test_supervised_lines_end_and_skip_labels_as_in_fasttext(words, grams, tmp_path, monkeypatch):
    # Labels that do not begin as usual: the file does not say how.
    data = model(
        words.split(), labels=["__class__a", "__class__b"], kind=SUPERVISED, loss=3, **grams
    )
    peer = quiet_fasttext().load_model(str(write(tmp_path, "classes.bin", data)))
    emb = ffjax.load_fasttext(tmp_path / "classes.bin")
    theirs = np.stack([peer.get_sentence_vector(line) for line in LINES])
    text = "\n".join([*LINES, ""]).encode()
    vectors, counts = ffjax.embed_text(emb, text, pooling="fasttext")
    np.testing.assert_allclose(vectors, theirs, atol=1e-5)
    assert counts[:4].tolist() == [1, 0, 1, 1] and counts[7] == 0
    monkeypatch.setattr(text_module, "_BLOCK_BYTES", 8)
    monkeypatch.setattr(text_module, "_BATCH_BYTES", 40)
    np.testing.assert_allclose(
        ffjax.embed_text(emb, text, pooling="fasttext")[0], theirs, atol=1e-5
    )
    # Other poolings have no such ends.
    assert ffjax.embed_text(emb, b"tea </s> cup")[1].tolist() == [2 + words.startswith("</s>")]


@pytest.mark.parametrize("word_ngrams", [1, 2])
def test_supervised_models_are_an_error_in_compiled_code(word_ngrams, tmp_path):
    data = model(
        labels=["__label__a"], kind=SUPERVISED, loss=3, word_ngrams=word_ngrams, **NO_GRAMS
    )
    emb = ffjax.load_fasttext(write(tmp_path, "classes.bin", data))
    text = jnp.frombuffer(b"the fox", jnp.uint8)
    call = partial(ffjax.embed_text, pooling="fasttext", n_words=2, n_lines=1)
    for run in (call, jax.jit(call)):
        with pytest.raises(
            ValueError, match="`pooling`: .*supervised model in compiled code.*outside of `jit`"
        ):
            run(emb, text)
    vectors, _ = jax.jit(partial(ffjax.embed_text, n_words=2, n_lines=1))(emb, text)
    np.testing.assert_allclose(vectors, ffjax.embed_text(emb, b"the fox")[0], atol=1e-6)


def test_nuls_divide_words_of_a_text_but_not_of_unsupervised_fasttext_models(tmp_path):
    path = write(tmp_path, "words.bin", model(["</s>", "tea", "cup"]))
    peer, emb = quiet_fasttext().load_model(str(path)), ffjax.load_fasttext(path)
    vectors, counts = ffjax.embed_text(
        emb, b"tea\0cup\ntea cup\ntea </s> cup\n", pooling="fasttext"
    )
    assert counts.tolist() == [2, 2, 3]
    theirs = np.stack(
        [peer.get_sentence_vector(line) for line in ("tea cup", "tea cup", "tea </s> cup")]
    )
    np.testing.assert_allclose(vectors, theirs, atol=1e-5)
    assert np.abs(peer.get_sentence_vector("tea\0cup") - theirs[0]).max() > 0.01


def test_classifiers_with_ngrams_of_words_are_an_error(corpus, tmp_path):
    text = b"".join(b"__label__a " + line for line in corpus[:200])
    classifier(tmp_path / "pairs.bin", text, wordNgrams=2, bucket=100)
    with pytest.raises(
        ValueError, match='`pooling`: .*without n-grams of words for "fasttext", got .* 2 words'
    ):
        ffjax.embed_text(ffjax.load_fasttext(tmp_path / "pairs.bin"), b"tea", pooling="fasttext")
