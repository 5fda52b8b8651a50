"""Fewer words, more words, and words that share rows."""

import jax
import numpy as np
import pytest

import ffjax
from ffjax.transforms import words as module
from tests.builders import WORDS, embeddings, plain_demo

KINDS = [("simple", "dense"), ("buckets", "dense"), ("explicit", "pq_norms")]
kinds = pytest.mark.parametrize("kind", KINDS, ids="-".join)


def divided(emb):
    mesh = jax.make_mesh((jax.device_count(),), ("rows",))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("rows"))
    return emb.replace(storage=ffjax.ShardedArray(emb.storage, sharding))


def same_ngrams(new, old):
    word = "Pariserin"
    if old.vocab.idx(word) is not None:
        np.testing.assert_allclose(new[word], old[word], rtol=1e-6)


@pytest.mark.parametrize("n", [1, 100, 1000])
def test_pruning_is_spacys(n):
    vocab_module = pytest.importorskip("spacy.vocab")
    vectors_module = pytest.importorskip("spacy.vectors")
    emb = plain_demo(3000)
    theirs = vocab_module.Vocab()
    theirs.vectors = vectors_module.Vectors(
        data=np.array(emb.storage), keys=emb.vocab.words, strings=theirs.strings
    )
    for word in emb.vocab.words:
        theirs.strings.add(word)
    expected = theirs.prune_vectors(n)
    pruned = ffjax.prune(emb, n)
    assert set(pruned.mapped) == set(expected) == set(emb.vocab.words[n:])
    # The peer's scores are rounded to four decimals.
    np.testing.assert_allclose(
        [pruned.mapped[word][1] for word in expected],
        [score for _, score in expected.values()],
        atol=6e-5,
    )
    assert {word: kept for word, (kept, _) in pruned.mapped.items()} == {
        w: kept for w, (kept, _) in expected.items()
    }
    for word in (emb.vocab.words[0], emb.vocab.words[n], emb.vocab.words[-1]):
        np.testing.assert_allclose(pruned.embeddings[word], theirs.get_vector(word), rtol=1e-6)


@kinds
def test_pruned_words_have_the_row_of_the_word_they_are_mapped_to(kind, monkeypatch):
    monkeypatch.setattr(module, "_BATCH_ROWS", 3)
    emb, steps = embeddings(*kind), []
    new, mapped = ffjax.prune(emb, 4, progress=lambda done, total: steps.append((done, total)))
    assert list(mapped) == WORDS[4:] and new.vocab.words == WORDS and new.vocab.n_word_rows == 4
    assert steps == [(3, 6), (6, 6)]
    rows = np.asarray(emb.storage)[: len(WORDS)]
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    for word in WORDS[4:]:
        cosines = unit[:4] @ unit[WORDS.index(word)]
        kept, score = mapped[word]
        assert kept == WORDS[int(cosines.argmax())]
        np.testing.assert_allclose(score, cosines.max(), rtol=1e-5)
        np.testing.assert_array_equal(new[word], new[kept])
        assert new.embedding_with_norm(word)[1] == emb.embedding_with_norm(kept)[1]
    for word in WORDS[:4]:
        np.testing.assert_array_equal(new[word], emb[word])
    same_ngrams(new, emb)
    assert ffjax.prune(emb, len(WORDS)) == (emb, {})


@kinds
def test_words_that_share_rows_are_searched_and_looked_up(kind):
    new, mapped = ffjax.prune(embeddings(*kind), 4)
    vectors, found = jax.jit(ffjax.embed)(new, ffjax.pack(WORDS, count=len(WORDS)))
    np.testing.assert_allclose(vectors, [new[word] for word in WORDS], rtol=1e-6)
    assert found.all()
    results = new.word_similarity(WORDS[0], k=10)
    assert {result.word for result in results} == set(
        WORDS[1:4]
    )  # a row is called by the first of its words
    dropped, (kept, _) = next(iter(mapped.items()))
    assert kept not in [result.word for result in new.word_similarity(dropped, k=10)]
    best = new.most_similar_batch([dropped], k=3, metric="dot")[0]
    assert best == new.word_similarity(dropped, k=3)


@kinds
def test_pruning_twice(kind):
    once, _ = ffjax.prune(embeddings(*kind), 6)
    twice, mapped = ffjax.prune(once, 2)
    assert twice.vocab.n_word_rows == 2
    assert set(mapped) == {word for word in WORDS if once.vocab[word] >= 2}
    assert {kept for kept, _ in mapped.values()} <= set(WORDS[:2])


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 2, 5, 9])
def test_a_word_without_a_finite_vector_is_named_before_any_search(value, place, monkeypatch):
    monkeypatch.setattr(module, "_BATCH_ROWS", 3)
    monkeypatch.setattr(module, "top_k", None)
    rows = np.array(embeddings().storage)
    rows[place, 3] = value
    emb = embeddings().replace(storage=ffjax.NdArray(rows))
    with pytest.raises(
        ValueError, match=f"in the vector of '{WORDS[place]}'. Replace them, or leave the word"
    ):
        ffjax.prune(emb, 4)
    assert ffjax.prune(emb, 10).embeddings is emb


def test_rows_of_ngrams_may_be_odd_and_rows_long_or_zero():
    emb = embeddings("buckets", norms=False)
    rows = np.array(emb.storage)
    rows[len(WORDS)] = np.nan
    rows[5], rows[6] = 1e30, 0
    new, mapped = ffjax.prune(emb.replace(storage=ffjax.NdArray(rows)), 4)
    assert list(mapped) == WORDS[4:] and mapped[WORDS[6]] == (WORDS[0], 0)
    unit = rows[:4] / np.linalg.norm(rows[:4], axis=1, keepdims=True)
    assert mapped[WORDS[5]][0] == WORDS[int(unit.sum(1).argmax())]
    assert np.isnan(np.asarray(new.storage)[4]).all()


def test_files_hold_a_row_for_each_word_or_refuse(tmp_path):
    new, _ = ffjax.prune(embeddings("buckets"), 4)
    path = tmp_path / "pruned.fifu"
    with pytest.raises(
        ValueError, match=r"got 10 words that share 4 rows. .*with `unshare_rows=True`"
    ):
        ffjax.save(new, path)
    with pytest.raises(
        ffjax.FinalfusionFormatError, match=r"share 4 rows\. Give each word a row with"
    ):
        new.write(path)
    assert not path.exists()
    ffjax.save(new, path, unshare_rows=True)
    again = ffjax.load(path)
    assert again == ffjax.unshare_rows(new)
    assert again.vocab.n_word_rows == 10
    for word in [*WORDS, "Pariserin"]:
        np.testing.assert_array_equal(again[word], new[word])
        assert again.embedding_with_norm(word)[1] == new.embedding_with_norm(word)[1]
    text = tmp_path / "pruned.txt"
    ffjax.save(new, text, unshare_rows=True, drop_subwords=True)
    np.testing.assert_allclose(
        ffjax.load(text)["teapot"], new["teapot"] / np.linalg.norm(new["teapot"]), rtol=1e-5
    )


def test_rows_that_are_not_shared_need_no_repeating():
    emb = embeddings()
    assert ffjax.unshare_rows(emb) is emb


@kinds
def test_selected_words_come_in_the_order_given(kind):
    emb = embeddings(*kind, metadata={"a": 1})
    chosen = [WORDS[5], WORDS[0], WORDS[3]]
    new = ffjax.select_words(emb, chosen)
    assert new.vocab.words == chosen and new.metadata == emb.metadata
    for word in chosen:
        np.testing.assert_array_equal(new[word], emb[word])
        assert new.embedding_with_norm(word)[1] == emb.embedding_with_norm(word)[1]
    same_ngrams(new, emb)
    assert ffjax.select_words(emb, []).n_words == 0


def test_selected_words_go_on_to_share_rows():
    new, mapped = ffjax.prune(embeddings(), 4)
    dropped, (kept, _) = next(iter(mapped.items()))
    other = next(word for word in WORDS[:4] if word != kept)
    few = ffjax.select_words(new, [dropped, other, kept])
    assert few.vocab.n_word_rows == 2 and few.vocab[dropped] == few.vocab[kept]
    for word in (dropped, other, kept):
        np.testing.assert_array_equal(few[word], new[word])


@pytest.mark.usefixtures("as_users_see")
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda e: ffjax.prune(e, 0), ValueError, "`n`: expected 1 or more, got 0"),
        (
            lambda e: ffjax.select_words(e, "tea"),
            TypeError,
            "`words`: expected a list of words, got the single word 'tea'",
        ),
        (
            lambda e: ffjax.select_words(e, ["a", "x", "y"]),
            ValueError,
            "known words, got 'x' and other unknown ones. Leave",
        ),
        (lambda e: ffjax.select_words(e, ["a", "a"]), ValueError, "expected each once, got 'a'"),
        (
            lambda e: ffjax.add_words(e, "tea", np.ones((1, 6))),
            TypeError,
            "`words`: .*the single word 'tea'",
        ),
        (
            lambda e: ffjax.select_words(e, [[]]),
            TypeError,
            r"`words`: expected a list of words, got list \[\] in it",
        ),
        (
            lambda e: ffjax.select_words(e, 3),
            TypeError,
            "`words`: expected a list of words, got int 3",
        ),
        (
            lambda e: ffjax.add_words(e, ["x", 1], np.ones((2, 6))),
            TypeError,
            "`words`: .* of words, got int 1 in it",
        ),
        (
            lambda e: ffjax.add_words(e, 3, np.ones((1, 6))),
            TypeError,
            "`words`: expected a list of words, got int 3",
        ),
        (
            lambda e: ffjax.add_words(3, ["x"], np.ones((1, 6))),
            TypeError,
            "`embeddings`: expected Embeddings, .* got int",
        ),
        (
            lambda e: e.most_similar_batch([1], 2),
            TypeError,
            "`words`: expected a list of words, got int 1 in it",
        ),
        (
            lambda e: ffjax.add_words(e, [], np.ones((0, 5))),
            ValueError,
            r"expected shape \(0, 6\).*got shape \(0, 5\)",
        ),
        (
            lambda e: ffjax.add_words(e, ["x"], []),
            ValueError,
            r"expected shape \(1, 6\).*got shape \(0,\)",
        ),
        (
            lambda e: ffjax.add_words(e, ["a"], np.ones((1, 6))),
            ValueError,
            "new words, got 'a', which is known already",
        ),
        (
            lambda e: ffjax.add_words(e, ["x", "x"], np.ones((2, 6))),
            ValueError,
            "expected each once, got 'x'",
        ),
        (
            lambda e: ffjax.add_words(e, ["x"], np.ones(6)),
            ValueError,
            r"expected shape \(1, 6\).*got shape \(6,\)",
        ),
        (
            lambda e: ffjax.add_words(e, ["x"], np.full((1, 6), np.nan)),
            ValueError,
            "`vectors`: .*got NaN or infinity",
        ),
        (
            lambda e: ffjax.add_words(embeddings("simple", "pq"), ["x"], np.ones((1, 6))),
            TypeError,
            "`embeddings`: expected rows of plain numbers, got quantized ones",
        ),
        (
            lambda e: ffjax.add_words(divided(embeddings("simple", "pq")), ["x"], np.ones((1, 6))),
            TypeError,
            "`embeddings`: expected rows of plain numbers, got quantized ones",
        ),
        (
            lambda e: ffjax.add_words(embeddings("floret"), ["x"], np.ones((1, 6))),
            TypeError,
            "`embeddings`: expected embeddings with a list of words, got .* a FloretVocab",
        ),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(embeddings())
