"""`tokenizer.json` of the `tokenizers` package: what ffjax reads of it.

The answers depend on the normalizer, the pre-tokenizer, the model with its tokens, and the added
tokens; the post-processor and the decoder are not used. Decided here: which tokenizers ffjax has
itself, which tokenize words between white space one by one, and how BERT's clean and divide text.

BERT's text is cleaned, without accents, in lower case, in pieces. The answers are those of the
`tokenizers` package (`BertNormalizer`, then `BertPreTokenizer`), which knows an older Unicode than
Python: `ffjax/data/bert_tables.json` has its ranges of code points.

    removed     control characters and the like, which join their neighbours
    space       white space
    cjk         Chinese characters, each of which is a piece
    nonspacing  marks that go with the accents
    punct       punctuation, each character of which is a piece
    lower       code points that Python 3.11 does not know, and what to add for lower case
    composed    code points that only newer versions of Unicode decompose
"""

import json
import re
import sys
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np

from ffjax.errors import FormatError

_WORD_MODELS = ("WordPiece", "WordLevel")
_MODELS = (*_WORD_MODELS, "BPE", "Unigram")
_WHITE_SPACE = " \t\n\r"
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized")
# Steps that divide text at white space.
_DIVIDING = {"BertPreTokenizer", "Whitespace", "WhitespaceSplit"}
# Steps that change or divide words one by one. `ByteLevel` as a normalizer joins words.
_LOCAL_NORMALIZERS = {"BertNormalizer", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "StripAccents"}
_LOCAL_PRE_TOKENIZERS = _DIVIDING | {"Punctuation", "Digits", "ByteLevel", "Split"}
# Kinds of code points.
_SPACE, _REMOVED, _CJK, _NONSPACING, _PUNCT = 1, 2, 4, 8, 16


@dataclass(frozen=True)
class BertText:
    """The settings of a `BertNormalizer` that cleans text.

    Attributes:
        spaced_cjk: whether Chinese characters are divided.
        strip_accents: whether accents are removed.
        lowercase: whether text is changed to lower case.
    """

    spaced_cjk: bool = True
    strip_accents: bool = True
    lowercase: bool = True

    def cleaned(self, words: bytes) -> bytes:
        r"""Words that end with NULs, with spaces between the runs of text that are tokenized.

        Examples:
            >>> BertText().cleaned("Caf\u00e9s\0U.S.\0\u4e2d\u6587\0".encode()).split(b"\0")
            [b'cafes', b'u . s . ', b' \xe4\xb8\xad  \xe6\x96\x87 ', b'']
        """
        if not words.isascii():
            codes = _codes(self._normalized(words.decode("utf-8", "replace")))
            return _text(_divided(codes)).encode()
        words = words.lower() if self.lowercase else words
        return _divided(np.frombuffer(words, np.uint8)).tobytes()

    def _normalized(self, text: str) -> str:
        codes = _codes(text)
        kinds = _tables().kinds[codes]
        stays = (kinds & _REMOVED) == 0
        codes = codes[stays]
        if self.spaced_cjk:
            codes = _isolated(codes, kinds[stays] & _CJK)
        text = _text(codes)
        if self.strip_accents:
            # NFD, without the decompositions that are newer.
            runs = _tables().composed.split(text)
            runs[::2] = [unicodedata.normalize("NFD", run) for run in runs[::2]]
            codes = _codes("".join(runs))
            text = _text(codes[(_tables().kinds[codes] & _NONSPACING) == 0])
        if self.lowercase:
            # Each code point by itself: a sigma that ends a word is like others.
            lower = _tables().lower
            text = _tables().uppercase.sub(lambda match: lower[match[0]], text).lower()
        return text


class TokenizerFile(NamedTuple):
    """A tokenizer's settings and tokens.

    Attributes:
        kind: the model: `"WordPiece"`, `"WordLevel"`, `"BPE"` or `"Unigram"`.
        vocab: the number of each token, added ones among them.
        unknown: the number of the token for unknown text, if there is one.
        truncation: the most tokens of a text, `None` for all.
        divides: whether words between white space are tokenized one by one.
        bert: how ffjax itself cleans and divides text; `None` if `tokenizers` does it.
        added: the numbers of tokens that are found in text as it is.
        prefix: how tokens begin that continue a run of text, `None` if there are none.
        longest: the most code points of a run of text.
    """

    kind: str
    vocab: dict[str, int]
    unknown: int | None
    truncation: int | None
    divides: bool
    bert: BertText | None
    added: dict[str, int]
    prefix: str | None
    longest: int


def read_tokenizer(raw: bytes, file: Any = None) -> TokenizerFile:
    """Reads a `tokenizer.json`, which errors call `file`."""
    try:
        tree = json.loads(raw)
    except (ValueError, RecursionError) as error:
        offset = getattr(error, "pos", None)
        raise FormatError(file, offset=offset, expected="JSON", got=str(error)) from error
    try:
        return _read(_field({"tokenizer": tree}, "tokenizer", dict), len(raw))
    except FormatError as error:
        error.file = file
        raise


def _read(tree: dict, longest: int) -> TokenizerFile:
    model = _field(tree, "model", dict)
    kind = model.get("type", "BPE" if "merges" in model else "WordPiece")
    if kind not in _MODELS:
        raise _error("model: type", f"one of {', '.join(_MODELS)}", kind)
    vocab = _vocab(model, kind)
    added_tokens = _field(tree, "added_tokens", list, [])
    added = _added(added_tokens, vocab)
    vocab |= added
    unknown = vocab.get(_field(model, "unk_token", str, ""))
    if kind == "Unigram":
        unknown = _field(model, "unk_id", int, None)
    truncation, cutting = None, _field(tree, "truncation", dict, None)
    if cutting is not None:
        if cutting.get("direction", "Right") != "Right":
            raise _error("truncation: direction", "Right", cutting["direction"])
        truncation = _field(cutting, "max_length", int)
    has_flags = any(token.get(flag) for token in added_tokens for flag in _FLAGS)
    added_in_words = not any(set(_WHITE_SPACE) & set(content) for content in added)
    bert = None
    if kind in _WORD_MODELS and unknown is not None and added_in_words and not has_flags:
        bert = _bert_text(tree)
    prefix = None
    if kind == "WordPiece":
        prefix = _field(model, "continuing_subword_prefix", str, "##")
        longest = _field(model, "max_input_chars_per_word", int, 100)
    divides = bert is not None or (added_in_words and _divides(tree))
    return TokenizerFile(
        kind=kind,
        vocab=vocab,
        unknown=unknown,
        truncation=truncation,
        divides=divides,
        bert=bert,
        added=added,
        prefix=prefix,
        longest=longest,
    )


def _error(field: str, expected: str, got: Any) -> FormatError:
    return FormatError(None, field=field, expected=expected, got=repr(got)[:64])


def _field(tree: dict, name: str, kind: type, *default: Any) -> Any:
    """A field of some type; `default` if it is missing or null."""
    value = tree.get(name)
    if value is None and default:
        return default[0]
    if type(value) is not kind or (type(value) is int and value < 0):
        names = {dict: "an object", list: "a list", int: "a number from 0", str: "a string"}
        raise _error(name, names[kind], value)
    return value


def _vocab(model: dict, kind: str) -> dict[str, int]:
    """The tokens of a model and their numbers."""
    if kind != "Unigram":
        return _checked(dict(_field(model, "vocab", dict)), "model: vocab")
    tokens = _field(model, "vocab", list)
    if not all(isinstance(entry, list) and entry and type(entry[0]) is str for entry in tokens):
        raise _error("model: vocab", "a list of tokens and scores", tokens)
    return _checked({entry[0]: number for number, entry in enumerate(tokens)}, "model: vocab")


def _added(tokens: list, vocab: dict[str, int]) -> dict[str, int]:
    """The added tokens; those of the model have its numbers."""
    added = {}
    for token in tokens:
        if not isinstance(token, dict):
            raise _error("added_tokens", "a list of objects", token)
        content = _field(token, "content", str)
        if content:  # `tokenizers` ignores empty ones
            added[content] = vocab.get(content, _field(token, "id", int))
    return _checked(added, "added_tokens")


def _checked(vocab: dict[Any, Any], field: str) -> dict[str, int]:
    for token, number in vocab.items():
        if type(token) is not str or type(number) is not int or not 0 <= number < 1 << 31:
            raise _error(field, "strings with numbers from 0", (token, number))
    return vocab


def _bert_text(tree: dict) -> BertText | None:
    """How text is cleaned and divided if it is as in BERT."""
    normalizer = tree.get("normalizer") or {}
    pre_tokenizer = tree.get("pre_tokenizer") or {}
    types = normalizer.get("type"), pre_tokenizer.get("type")
    if types != ("BertNormalizer", "BertPreTokenizer") or not normalizer.get("clean_text", True):
        return None
    lowercase = bool(normalizer.get("lowercase", True))
    accents = normalizer.get("strip_accents")
    accents = lowercase if accents is None else bool(accents)
    return BertText(bool(normalizer.get("handle_chinese_chars", True)), accents, lowercase)


def _divides(tree: dict) -> bool:
    """Whether words between white space are tokenized one by one."""
    normalizers = _steps(tree.get("normalizer"), "normalizers")
    steps = _steps(tree.get("pre_tokenizer"), "pretokenizers")
    if not steps or _field(steps[0], "type", str, "") not in _DIVIDING:
        return False
    divides = all(_is_local(step, _LOCAL_NORMALIZERS) for step in normalizers)
    return divides and all(_is_local(step, _LOCAL_PRE_TOKENIZERS) for step in steps)


def _is_local(step: dict, types: set[str]) -> bool:
    """Whether a step changes or divides words one by one, and joins none."""
    match step:
        case {"type": "Replace"}:
            pattern = _field(step, "pattern", dict, {})
            return not set(_WHITE_SPACE) & set(_field(pattern, "String", str, " "))
        case {"type": "Metaspace"}:
            # Otherwise the first word of a text begins differently.
            return step.get("prepend_scheme") in ("always", "never")
    return _field(step, "type", str, "") in types


def _steps(step: Any, name: str) -> list[dict]:
    """The steps of a sequence, or the one step."""
    if not isinstance(step, dict):
        return []
    if step.get("type") != "Sequence":
        return [step]
    return [leaf for child in _field(step, name, list, []) for leaf in _steps(child, name)]


def _codes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def _text(codes: np.ndarray) -> str:
    return codes.astype("<u4", copy=False).tobytes().decode("utf-32-le")


def _divided(codes: np.ndarray) -> np.ndarray:
    """Code points in runs: without those that are removed, and with spaces around punctuation."""
    kinds = _tables().kinds[codes]
    stays = (kinds & _REMOVED) == 0
    codes = np.where(kinds & _SPACE, codes.dtype.type(32), codes)[stays]
    return _isolated(codes, kinds[stays] & _PUNCT)


def _isolated(codes: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Code points with a space on both sides of the chosen ones."""
    positions = np.flatnonzero(chosen)
    if not positions.size:
        return codes
    spaced = np.repeat(codes, np.where(chosen, 3, 1))
    before = positions + 2 * np.arange(len(positions))
    spaced[before] = spaced[before + 2] = 32
    return spaced


class _Tables(NamedTuple):
    """What is special about code points.

    Attributes:
        kinds: the kinds of each code point, uint8 `[0x110000]`.
        composed: matches what is not decomposed.
        lower: what Python's lower case differs from.
        uppercase: matches the keys of `lower`.
    """

    kinds: np.ndarray
    composed: re.Pattern[str]
    lower: dict[str, str]
    uppercase: re.Pattern[str]


@cache
def _tables() -> _Tables:
    raw = (files("ffjax") / "data" / "bert_tables.json").read_text(encoding="utf8")
    ranges: dict[str, Any] = json.loads(raw)
    kinds = np.zeros(sys.maxunicode + 1, np.uint8)
    names = {"space": _SPACE, "removed": _REMOVED, "cjk": _CJK}
    names |= {"nonspacing": _NONSPACING, "punct": _PUNCT}
    for name, kind in names.items():
        for first, last in ranges[name]:
            kinds[first : last + 1] |= kind
    kinds[0] = 0  # the end of a word
    composed = "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges["composed"])
    lower = {"Σ": "σ"}
    for first, last, step in ranges["lower"]:
        lower |= {chr(code): chr(code + step) for code in range(first, last + 1)}
    uppercase = re.compile(f"[{''.join(lower)}]")
    return _Tables(kinds, re.compile(f"([{composed}])"), lower, uppercase)
