"""Features of words: the numbers of `Doc.to_array`, without spaCy."""

import numpy as np
import pytest

import ffjax
from ffjax import layers

# Values of spaCy 3.8.
KEYS = {
    "": 0,
    "a": 11901859001352538922,
    "tea": 6041671307218480733,
    "coffee": 3197928453018144401,
    "na\u00efve": 16224804062388677344,
    "\u65e5\u672c": 2324319125191504834,
    "x" * 40: 16963168017376624600,
    " ": 8532415787641010193,
    "X": 101,  # a symbol
    "aux": 405,
}
SHAPES = {
    "Apple": "Xxxxx",
    "iPhone12": "xXxxxxdd",
    "U.K.": "X.X.",
    "aaaaaaa": "xxxx",
    "AAAAA-bbb": "XXXX-xxx",
    "1,000.50": "d,ddd.dd",
    "\u65e5\u672c\u8a9e": "xxx",
    "\u00df": "x",
    "\u2167": "\u2167",
    "-----": "----",
    "a" * 99: "xxxx",
    "a" * 100: "LONG",
    "": "",
}
WORDS = [
    *KEYS, *SHAPES, "\n\n ", "\u200b", "e\u0301", "\u0130STANBUL", "\ufb01n", "\u01c5", "\x00",
    "\U0001f3f3\ufe0f\u200d\U0001f308", "\u00ab", "US$", "''", "--", "\u2019S", "\u0660\u0661",
    "\u00b2\u00b3", "\U0001d400\U0001d7d8", "\u1e9e", "\u03a3\u03a3", "\u3000", "\u202e", "\ufffd",
]  # fmt: skip
ATTRS = ["ORTH", "NORM", "LOWER", "PREFIX", "SUFFIX", "SHAPE", "SPACY", "IS_SPACE", "IS_ALPHA",
         "IS_ASCII", "IS_DIGIT", "IS_LOWER", "IS_TITLE", "IS_UPPER"]  # fmt: skip


def ids(words, attr, **options):
    return layers.word_features(words, [attr], **options).view("<u8").ravel().tolist()


def test_texts_become_the_keys_of_spacy():
    assert ids(list(KEYS), "ORTH") == list(KEYS.values())


def test_shapes_and_affixes():
    assert ids(list(SHAPES), "SHAPE") == ids(list(SHAPES.values()), "ORTH")
    words = ["tea", "\u65e5\u672c\u8a9e\u3067", "", "ab"]
    assert ids(words, "PREFIX") == ids(["t", "\u65e5", "", "a"], "ORTH")
    assert ids(words, "SUFFIX") == ids(["tea", "\u672c\u8a9e\u3067", "", "ab"], "ORTH")


def test_norms_by_word_by_key_of_the_language_or_in_lower_case():
    words = ["Tea", "coffee", "\u20ac", "\u2014", "Pot"]
    norms = {"Pot": "kettle", KEYS["coffee"]: "java"}
    assert ids(words, "NORM", norms=norms) == ids(["tea", "java", "$", "-", "kettle"], "ORTH")
    assert ids(words[2:4], "NORM", norms={"\u20ac": ""}) == ids(["", "-"], "ORTH")


def test_norms_of_divided_words():
    norms = {("ca", "n't"): ("can", None), "n't": "not", "ca": "circa"}
    words = ["ca", "n't", "ca"]
    assert ids(words, "NORM", norms=norms) == ids(["can", "not", "circa"], "ORTH")
    apart = ids(words, "NORM", norms=norms, spaces=[True, False, False])
    assert apart == ids(["circa", "not", "circa"], "ORTH")
    batch = layers.pack_documents([words, ["n't"]], ["NORM"], norms=norms)
    assert batch.tokens[:, :3].tolist() == [[0, 1, 2], [1, -1, -1]]


def test_spaces():
    assert ids(["a", "b", "a"], "SPACY") == [1, 1, 1]
    assert ids(["a", "b", "a"], "SPACY", spaces=[True, False, False]) == [1, 0, 0]
    assert ids([" ", "\n\t", "a "], "IS_SPACE") == [1, 1, 0]


def test_features_are_those_of_spacy_for_hostile_words():
    spacy = pytest.importorskip("spacy")
    words = [word for word in WORDS if word]  # a token is never empty
    spaces = [len(word) % 2 == 1 for word in words]
    doc = spacy.tokens.Doc(spacy.blank("xx").vocab, words, spaces=spaces)
    features = layers.word_features(words, ATTRS, spaces=spaces)
    np.testing.assert_array_equal(features.view("<u8")[..., 0], doc.to_array(ATTRS))
    as_documented = doc.to_array(ATTRS).view("<u4").reshape(len(doc), len(ATTRS), 2)
    np.testing.assert_array_equal(features, as_documented)


def test_a_batch_has_a_table_of_its_distinct_tokens():
    documents, spaces = [["a", "b", "a"], [], ["a"]], [[True, True, False], [], [True]]
    batch = layers.pack_documents(documents, spaces=spaces)
    assert batch.tokens.tolist() == [[0, 1, 2, -1], [-1] * 4, [0, -1, -1, -1]]
    assert batch.strings.lengths.tolist() == [1, 1, 1, -1]
    np.testing.assert_array_equal(batch.features[:3], layers.word_features(["a", "b", "a"]))
    lower = layers.pack_documents([["Tea", "tea"]], vector_attr="LOWER")
    assert ffjax.unpack(lower.strings)[:2] == ["tea", "tea"] and lower.tokens[0, 1] == 1
    empty = layers.pack_documents([[]])
    assert empty.tokens.shape == (1, 4) and empty.features.shape == (4, 4, 2)
    assert layers.pack_documents([]).tokens.shape == (0, 4)
    assert layers.word_features([]).shape == (0, 4, 2)


def test_bad_arguments():
    with pytest.raises(TypeError, match="`words`: expected a list of words, got the single word"):
        layers.word_features("tea")
    with pytest.raises(ValueError, match=r"`attrs`: expected attributes among ORTH.*got 'POS'"):
        layers.word_features(["tea"], ["ORTH", "POS"])
    with pytest.raises(ValueError, match=r"`spaces`: expected one per word \(1\), got 2"):
        layers.word_features(["tea"], ["SPACY"], spaces=[True, False])
    with pytest.raises(ValueError, match="`vector_attr`: expected one of 'ORTH'.*got 'IS_SPACE'"):
        layers.pack_documents([["tea"]], vector_attr="IS_SPACE")
    with pytest.raises(ValueError, match="`spaces`: expected one flag per word of each document"):
        layers.pack_documents([["tea"], []], spaces=[[], [True]])
    for norms in (["can"], ["can", "not", None]):
        message = rf"`norms`: expected 2 norms for the 2 tokens of .*, got {len(norms)}\."
        with pytest.raises(ValueError, match=message):
            layers.word_features(["ca", "n't"], norms={("ca", "n't"): norms})
