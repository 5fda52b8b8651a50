"""Questions of analogies, beside gensim."""

import sys

import numpy as np
import pytest

import ffjax
from tests.builders import embeddings, plain_demo


def upper(answers, correct):
    return [tuple(word.upper() for word in each[:4]) for each in answers if each.correct == correct]


def check(result, theirs):
    score, sections = theirs
    assert [section.name for section in result.sections] == [
        section["section"] for section in sections[:-1]
    ]
    for ours, other in zip((*result.sections, result.total), sections, strict=True):
        assert upper(ours.answers, True) == other["correct"]
        assert upper(ours.answers, False) == other["incorrect"]
    assert result.accuracy == score


@pytest.fixture(scope="module")
def demo():
    """Fewer words than the other tests have: gensim compares each question with all."""
    return plain_demo(3000)


@pytest.fixture(scope="module")
def google(demo, datapath):
    """The result of all of Google's questions."""
    return ffjax.evaluate.analogies(demo, datapath("questions-words.txt"))


@pytest.mark.parametrize("restrict", [300_000, 2000])
def test_every_answer_to_googles_questions_is_marked_as_gensim_does(
    demo, google, as_gensim, datapath, restrict
):
    path = datapath("questions-words.txt")
    result = google
    if restrict < len(demo):
        result = ffjax.evaluate.analogies(demo, path, restrict=restrict)
    check(result, as_gensim(demo).evaluate_word_analogies(path, restrict_vocab=restrict))
    assert result.total.n_asked + result.total.n_skipped == 19544
    assert result.total.n_correct > 100


def mixed_case(demo):
    """The first words in capitals too: of the two forms the more frequent one counts."""
    words = demo.vocab.words[:1200]
    both = [
        form
        for word in words
        for form in ((word.title(), word) if len(word) % 2 else (word, word.title()))
    ]
    names = list(dict.fromkeys(both))
    lower = {word: i for i, word in enumerate(words)}
    source = [lower.get(name, lower.get(name.lower(), 0)) for name in names]
    noise = np.random.default_rng(0).standard_normal((len(names), demo.dims)).astype(np.float32)
    return ffjax.Embeddings(
        ffjax.NdArray(np.asarray(demo.storage)[source] + 0.005 * noise), ffjax.SimpleVocab(names)
    )


@pytest.mark.parametrize("fold_case", [True, False])
def test_words_in_several_cases(demo, as_gensim, datapath, fold_case):
    """With folding, the words of a question in another case are no answers; without it they are."""
    emb, path = mixed_case(demo), datapath("questions-words.txt")
    result = ffjax.evaluate.analogies(emb, path, fold_case=fold_case)
    score, sections = as_gensim(emb).evaluate_word_analogies(path, case_insensitive=fold_case)
    names = str.upper if fold_case else str
    for ours, other in zip(result.sections, sections, strict=False):
        assert [tuple(map(names, each[:4])) for each in ours.answers if each.correct] == other[
            "correct"
        ]
    assert result.accuracy == score


def test_as_finalfusion_does(demo, write):
    """Skips unknown answers alone; what cannot be answered is wrong; case matters."""
    one = ": one\nman king woman queen\nman king blorp queen\nman king woman Queen\n"
    path = write(one + ": two\nboy girl he she\n")
    result = ffjax.evaluate.analogies(demo, path, restrict=None, fold_case=False, skip="answer")
    one, two = result.sections
    assert (one.n_correct, one.n_asked, one.n_skipped) == (1, 2, 1)
    assert one.answers[1] == ("man", "king", "blorp", "queen", None, 0.0, False)
    best = demo.analogy("man", "king", "woman")[0]
    assert one.answers[0].predicted == best.word
    np.testing.assert_allclose(one.answers[0].similarity, best.similarity, rtol=1e-5)
    np.testing.assert_allclose(one.mean_similarity, best.similarity / 2, rtol=1e-5)
    assert (two.n_asked, two.n_skipped) == (1, 0)
    assert result.accuracy == pytest.approx((1 + two.n_correct) / 3)


def test_unknown_words_are_looked_up_through_their_n_grams(write):
    emb = embeddings("buckets")
    path = write(": s\nPariser Berliner teapots teapot\nPariser Berlin x teapot\n")
    asked = (
        ffjax.evaluate.analogies(emb, path, skip="answer", fold_case=False).sections[0].answers[0]
    )
    best = emb.analogy("Pariser", "Berliner", "teapots")[0]
    assert asked.predicted == best.word
    np.testing.assert_allclose(
        asked.similarity, best.similarity / np.linalg.norm(emb[best.word]), rtol=1e-4
    )


@pytest.mark.parametrize("kind", [("simple", "pq"), ("fasttext", "dense")])
def test_other_embeddings_and_methods(kind, write):
    emb = embeddings(*kind)
    path = write(": s\nParis Berlin teapot a\nBerlin Paris Zürich Straße\n")
    for method in ("3cosadd", "3cosmul"):
        asked = ffjax.evaluate.analogies(emb, path, method=method).sections[0].answers
        packed = [ffjax.pack([answer[i] for answer in asked], count=2) for i in range(3)]
        best = ffjax.analogy(emb, *packed, k=1, method=method, metric="cosine")
        assert [answer.predicted for answer in asked] == [
            emb.vocab.words[row] for row in best.rows[:, 0]
        ]


def test_several_batches_and_their_progress(demo, google, datapath, monkeypatch):
    path, steps = datapath("questions-words.txt"), []
    monkeypatch.setattr(sys.modules["ffjax.evaluate.analogies"], "_BATCH_QUESTIONS", 600)
    again = ffjax.evaluate.analogies(
        demo, path, progress=lambda done, total: steps.append((done, total))
    )
    assert [each[:5] for each in again.total.answers] == [each[:5] for each in google.total.answers]
    total = google.total.n_asked
    assert len(steps) == -(-total // 600) and steps[-1] == (total, total)


def test_nothing_to_ask(demo, write):
    result = ffjax.evaluate.analogies(demo, write(": empty\n\n: unknown\nblorp king woman queen\n"))
    assert [
        (s.name, s.n_asked, s.n_skipped, s.accuracy, s.mean_similarity) for s in result.sections
    ] == [
        ("empty", 0, 0, 0.0, 0.0),
        ("unknown", 0, 1, 0.0, 0.0),
    ]
    assert result.accuracy == 0.0
    assert ffjax.evaluate.analogies(demo, write("")).sections == ()


@pytest.mark.usefixtures("as_users_see")
@pytest.mark.parametrize(
    ("text", "options", "error", "message"),
    [
        (
            "a b c d\n",
            {},
            ffjax.FormatError,
            r"questions.txt: byte 0: expected a line `: SECTION` first, got",
        ),
        (
            ": s\na b c d\na b c\n",
            {},
            ffjax.FormatError,
            r"byte 12: expected four words, got 3: 'a b c'",
        ),
        (
            ": s\n",
            {"skip": "all"},
            ValueError,
            "`skip`: expected one of 'any', 'answer', got 'all'",
        ),
        (
            ": s\n",
            {"method": "mul"},
            ValueError,
            "`method`: expected one of '3cosadd', '3cosmul', got 'mul'",
        ),
        (": s\n", {"restrict": 0}, ValueError, "`restrict`: expected 1 or more, got 0"),
    ],
)
def test_errors(demo, write, text, options, error, message):
    with pytest.raises(error, match=message):
        ffjax.evaluate.analogies(demo, write(text), **options)


def test_embeddings_without_words_have_no_answers(write):
    with pytest.raises(ValueError, match="`embeddings`: expected words to choose answers from"):
        ffjax.evaluate.analogies(embeddings("floret"), write(": s\n"))
