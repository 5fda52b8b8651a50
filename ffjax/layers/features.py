"""What spaCy's models see of tokens: hashes of a word's form, affixes and shape, on the host.

Which characters are letters is a matter of Unicode, so this is Python, once per distinct word.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int32, UInt32

from ffjax._internal.arguments import list_of_words
from ffjax._internal.arrays import AnyArray, padded_size
from ffjax._internal.file_arguments import check_choice, wrong_value
from ffjax.formats.spacy.words import keys_of
from ffjax.strings.pack import pack
from ffjax.strings.string_table import Strings, StringTable

ATTRS = ("NORM", "PREFIX", "SUFFIX", "SHAPE")
Norms = Mapping[Any, Any]

_LONG = 100
_RUN = 4
_MIN_LENGTH = 4
# https://github.com/explosion/spaCy/blob/v3.8.0/spacy/lang/norm_exceptions.py
_VARIANTS = {
    "'s": "'s 'S ’s ’S",
    "'": "’ ‘ ´ `",
    '"': "” “ '' `` ´´ „ » « ‘‘ ’’",
    "?": "？",
    "!": "！",
    ",": "，",
    ";": "；",
    ":": "：",
    ".": "。 ।",
    "...": "…",
    "-": "— – -- --- ——",
    "$": "€ £ ¥ ฿ US$ C$ A$ ₺ ₹ ৳ ₩ Mex$ ₣ E£",
}
_BASE_NORMS = {text: norm for norm, texts in _VARIANTS.items() for text in texts.split()}


class TokenBatch(NamedTuple):
    """Tokenized documents as arrays; an argument of compiled functions.

    Attributes:
        features: of each distinct token, as `word_features` returns them, `[n, attrs, 2]`.
        strings: the words of these for word vectors, packed, `[n]`; fillers have length -1.
        tokens: the number of each token among these, `[documents, length]`; -1 after the end of
            a document.
    """

    features: UInt32[AnyArray, "n attrs 2"]
    strings: Strings
    tokens: Int32[AnyArray, "documents length"]


def word_features(
    words: Sequence[str],
    attrs: Sequence[str] = ATTRS,
    *,
    norms: Norms | None = None,
    spaces: Sequence[bool] | None = None,
) -> UInt32[np.ndarray, "n attrs 2"]:
    """The features of words that spaCy's models hash: 64-bit ids as pairs (low, high) of uint32.

    They are the numbers of `Doc.to_array(attrs)`. If you have a `Doc`, use those instead:
    `doc.to_array(attrs).view("<u4").reshape(len(doc), len(attrs), 2)`.

    Args:
        words: the words. Each distinct word is computed once.
        attrs: token attributes: `ORTH`, `NORM`, `LOWER`, `PREFIX` (the first character), `SUFFIX`
            (the last three), `SHAPE` (such as `Xxxxx`), which become hashes of text; `SPACY`
            (whether a space follows), `IS_SPACE`, `IS_ALPHA`, `IS_ASCII`, `IS_DIGIT`, `IS_LOWER`,
            `IS_TITLE`, `IS_UPPER`, which become 0 or 1.
        norms: norms of words, by word or by spaCy's key of it, and of the tokens of a word that
            is divided, such as `("ca", "n't")`, as `load_tok2vec` returns them. Others have the
            norms that all languages of spaCy share, or else their lower case.
        spaces: whether a space follows each word: for `SPACY`, which is 1 by default, and to
            tell which tokens are those of one word, which by default may be all.

    Returns:
        uint32 `[n, attrs, 2]`.

    Raises:
        TypeError: if `words` is a single `str` or has something other than `str`.
        ValueError: if an attribute is not one of those above, or `spaces`, or the norms of a
            divided word, have another length.

    Examples:
        >>> from ffjax import layers
        >>> features = layers.word_features(["coffee", "Tea"], ["ORTH", "IS_TITLE"])
        >>> features.view("<u8")[..., 0].tolist()
        [[3197928453018144401, 0], [12761412434845394944, 1]]
    """
    words = list_of_words(words)
    if unknown := [attr for attr in attrs if attr not in _TEXTS and attr not in _FLAGS]:
        expected = f"attributes among {', '.join([*_TEXTS, *_FLAGS])}"
        raise wrong_value("attrs", expected, repr(unknown[0]))
    if spaces is not None and len(spaces) != len(words):
        raise wrong_value("spaces", f"one per word ({len(words)})", len(spaces))
    norms = norms or {}
    tokens, numbers = _distinct([words], None if spaces is None else [spaces], norms)
    return _features(tokens, attrs, norms)[numbers]


def pack_documents(
    documents: Iterable[Sequence[str]],
    attrs: Sequence[str] = ATTRS,
    *,
    norms: Norms | None = None,
    spaces: Iterable[Sequence[bool]] | None = None,
    vector_attr: str = "ORTH",
) -> TokenBatch:
    """Packs tokenized documents into arrays of a few sizes, with a table of their distinct tokens.

    Args:
        documents: the words of each document; one may be empty.
        attrs: as in `word_features`.
        norms: as in `word_features`.
        spaces: for each document, whether a space follows each word.
        vector_attr: the attribute by which words are looked up in word vectors. If it is not
            `ORTH`, embeddings of spaCy have it in their metadata, `{"spacy": {"attr": "LOWER"}}`.

    Raises:
        TypeError: as in `word_features`.
        ValueError: as in `word_features`; or if `spaces` has other lengths than `documents`, or
            `vector_attr` is not a text.

    Examples:
        >>> from ffjax import layers
        >>> batch = layers.pack_documents([["tea", "or", "tea"], []])
        >>> batch.tokens.tolist(), batch.features.shape
        ([[0, 1, 0, -1], [-1, -1, -1, -1]], (4, 4, 2))
    """
    documents = [list_of_words(words, "documents") for words in documents]
    check_choice("vector_attr", vector_attr, _TEXTS)
    lengths = np.array([len(words) for words in documents], np.intp)
    if spaces is not None:
        spaces = [list(flags) for flags in spaces]
        if [len(flags) for flags in spaces] != lengths.tolist():
            raise wrong_value("spaces", "one flag per word of each document", "others")
    norms = norms or {}
    tokens, numbers = _distinct(documents, spaces, norms)
    features = _features(tokens, attrs, norms)
    texts = _texts(tokens, vector_attr, norms)
    strings = pack(texts, count=padded_size(len(texts), 4, coarse=True))
    padding = ((0, len(strings) - len(texts)), (0, 0), (0, 0))
    length = padded_size(int(lengths.max(initial=0)), _MIN_LENGTH)
    rows = np.full((len(documents), length), -1, np.int32)
    rows[np.arange(length) < lengths[:, None]] = numbers
    return TokenBatch(np.pad(features, padding), strings, rows)


# A word, whether a space follows, and its norm if it is a token of a divided word.
_Token = tuple[str, bool, str | None]


def _distinct(
    documents: list[list[str]], spaces: Sequence[Sequence[bool]] | None, norms: Norms
) -> tuple[list[_Token], list[int]]:
    """The distinct tokens, and the number of each token among them."""
    divided: dict[str, list[tuple]] = {}
    for key in sorted((key for key in norms if type(key) is tuple), key=len, reverse=True):
        if len(norms[key]) != len(key):
            expected = f"{len(key)} norms for the {len(key)} tokens of {key}"
            raise wrong_value("norms", expected, len(norms[key]))
        divided.setdefault(key[0], []).append(key)
    tokens: list[_Token] = []
    for i, words in enumerate(documents):
        tokens += _tokens(words, None if spaces is None else spaces[i], norms, divided)
    numbers = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    return list(numbers), [numbers[token] for token in tokens]


def _tokens(
    words: list[str], spaces: Sequence[bool] | None, norms: Norms, divided: dict[str, list[tuple]]
) -> list[_Token]:
    """The tokens of a document; `divided` has the longest keys first for each first token."""
    flags = [True] * len(words) if spaces is None else list(map(bool, spaces))
    tokens: list[_Token] = [(word, flag, None) for word, flag in zip(words, flags, strict=True)]
    for start, word in enumerate(words) if divided else ():
        for key in divided.get(word, ()):
            span = slice(start, start + len(key))
            # Without `spaces`, any words may have been one.
            is_one = spaces is None or not any(flags[span][:-1])
            if is_one and tuple(words[span]) == key:
                tokens[span] = zip(key, flags[span], norms[key], strict=True)
                break
    return tokens


def _features(tokens: list[_Token], attrs: Sequence[str], norms: Norms) -> np.ndarray:
    """`word_features` of distinct tokens."""
    ids = np.zeros((len(tokens), len(attrs)), np.uint64)
    for column, attr in enumerate(attrs):
        if attr == "SPACY":
            ids[:, column] = [follows for _, follows, _ in tokens]
        elif attr in _FLAGS:
            ids[:, column] = [_FLAGS[attr](word) for word, _, _ in tokens]
        else:
            ids[:, column] = keys_of(StringTable.from_strings(_texts(tokens, attr, norms)))
    return ids.astype("<u8").view("<u4").reshape(len(tokens), len(attrs), 2)


def _texts(tokens: list[_Token], attr: str, norms: Norms) -> list[str]:
    """The values of an attribute that is a text."""
    words = [word for word, _, _ in tokens]
    if attr != "NORM":
        return list(map(_TEXTS[attr], words))
    keys = keys_of(StringTable.from_strings(words)).tolist()
    texts = []
    for (word, _, norm), key in zip(tokens, keys, strict=True):
        default = _BASE_NORMS.get(word) or word.lower()
        texts.append(norm or norms.get(word, norms.get(key, default)))
    return texts


def _shape(word: str) -> str:
    """The shape of a word: letters as X or x, digits as d, runs of one of them cut to four."""
    if len(word) >= _LONG:
        return "LONG"
    shape, run, last = "", 0, ""
    for char in word:
        if char.isalpha():
            char = "X" if char.isupper() else "x"
        elif char.isdigit():
            char = "d"
        run = run + 1 if char == last else 1
        last = char
        if run <= _RUN:
            shape += char
    return shape


_TEXTS: dict[str, Callable[[str], str]] = {
    "ORTH": str,
    "NORM": str,
    "LOWER": str.lower,
    "PREFIX": lambda word: word[:1],
    "SUFFIX": lambda word: word[-3:],
    "SHAPE": _shape,
}
# `IS_SPACE` is `str.isspace`, and so on; `SPACY` depends on the context.
_KINDS = ("space", "alpha", "ascii", "digit", "lower", "title", "upper")
_FLAGS: dict[str, Callable[[str], bool]] = {"SPACY": bool}
_FLAGS |= {f"IS_{kind.upper()}": getattr(str, f"is{kind}") for kind in _KINDS}
