"""`tokenizer.json` of the `tokenizers` package: what ffjax reads of it.

The answers depend on the normalizer, the pre-tokenizer, the model with its tokens, and the added
tokens; the post-processor and the decoder are not used. Decided here: which tokenizers ffjax has
itself, and which tokenize words between white space one by one.
"""

import json
from typing import Any, NamedTuple

from ffjax.errors import FormatError
from ffjax.strings.bert_text import BertText

_MODELS = ("WordPiece", "WordLevel", "BPE", "Unigram")
_WHITE_SPACE = " \t\n\r"
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized")
# Those that change words one by one, and those that divide text at white space, and then at least
# words one by one.
_LOCAL_NORMALIZERS = {"BertNormalizer", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "StripAccents"}
_DIVIDING = {"BertPreTokenizer", "Whitespace", "WhitespaceSplit"}
_LOCAL_PRE_TOKENIZERS = _DIVIDING | {"Punctuation", "Digits", "ByteLevel", "Split"}


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
    reader = _Reader(file)
    tree = reader.get({"tokenizer": tree}, "tokenizer", dict)
    model = reader.get(tree, "model", dict)
    kind = model.get("type", "BPE" if "merges" in model else "WordPiece")
    if kind not in _MODELS:
        raise reader.error("model: type", f"one of {', '.join(_MODELS)}", kind)
    vocab = reader.vocab(model, kind)
    added_tokens = reader.get(tree, "added_tokens", list, [])
    added = reader.added(added_tokens, vocab)
    vocab |= added
    unknown = vocab.get(model.get("unk_token") or "")
    if kind == "Unigram":
        unknown = reader.get(model, "unk_id", int, None)
    truncation, cutting = None, reader.get(tree, "truncation", dict, None)
    if cutting is not None:
        if cutting.get("direction", "Right") != "Right":
            raise reader.error("truncation: direction", "Right", cutting["direction"])
        truncation = reader.get(cutting, "max_length", int)
    has_flags = any(token.get(flag) for token in added_tokens for flag in _FLAGS)
    added_in_words = not any(set(_WHITE_SPACE) & set(content) for content in added)
    bert = None
    if kind in ("WordPiece", "WordLevel") and unknown is not None and added_in_words:
        bert = None if has_flags else _bert_text(tree)
    prefix, longest = None, len(raw)
    if kind == "WordPiece":
        prefix = reader.get(model, "continuing_subword_prefix", str, "##")
        longest = reader.get(model, "max_input_chars_per_word", int, 100)
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


class _Reader(NamedTuple):
    """Reads fields of JSON; errors name the file and the field."""

    file: Any

    def error(self, field: str, expected: str, got: Any) -> FormatError:
        return FormatError(self.file, field=field, expected=expected, got=repr(got)[:64])

    def get(self, tree: dict, name: str, kind: type, *default: Any) -> Any:
        """A field of some type; `default` if it is missing or null."""
        value = tree.get(name)
        if value is None and default:
            return default[0]
        if type(value) is not kind or (type(value) is int and value < 0):
            names = {dict: "an object", list: "a list", int: "a number from 0", str: "a string"}
            raise self.error(name, names[kind], value)
        return value

    def vocab(self, model: dict, kind: str) -> dict[str, int]:
        """The tokens of a model and their numbers."""
        if kind == "Unigram":
            tokens = self.get(model, "vocab", list)
            if not all(isinstance(entry, list) and entry for entry in tokens):
                raise self.error("model: vocab", "a list of tokens and scores", tokens)
            vocab = {entry[0]: number for number, entry in enumerate(tokens)}
        else:
            vocab = dict(self.get(model, "vocab", dict))
        self._check(vocab, "model: vocab")
        return vocab

    def added(self, tokens: list, vocab: dict[str, int]) -> dict[str, int]:
        """The added tokens; those of the model have its numbers."""
        added = {}
        for token in tokens:
            if not isinstance(token, dict):
                raise self.error("added_tokens", "a list of objects", token)
            content = self.get(token, "content", str)
            if content:  # `tokenizers` ignores empty ones
                added[content] = vocab.get(content, self.get(token, "id", int))
        self._check(added, "added_tokens")
        return added

    def _check(self, vocab: dict[Any, Any], field: str) -> None:
        for token, number in vocab.items():
            if type(token) is not str or type(number) is not int or not 0 <= number < 1 << 31:
                raise self.error(field, "strings with numbers from 0", (token, number))


def _bert_text(tree: dict) -> BertText | None:
    """How text is cleaned and divided if it is as in BERT."""
    normalizer = tree.get("normalizer") or {}
    pre_tokenizer = tree.get("pre_tokenizer") or {}
    types = normalizer.get("type"), pre_tokenizer.get("type")
    if types != ("BertNormalizer", "BertPreTokenizer") or not normalizer.get("clean_text", True):
        return None
    lowercase = bool(normalizer.get("lowercase", True))
    accents = normalizer.get("strip_accents")
    spaced_cjk = bool(normalizer.get("handle_chinese_chars", True))
    return BertText(spaced_cjk, lowercase if accents is None else bool(accents), lowercase)


def _divides(tree: dict) -> bool:
    """Whether words between white space are tokenized one by one."""
    steps = _steps(tree.get("pre_tokenizer"), "pretokenizers")
    if not steps or steps[0].get("type") not in _DIVIDING:
        return False
    for step in steps:
        is_metaspace = step.get("type") == "Metaspace"
        # Otherwise the first word of a text begins differently.
        if is_metaspace and step.get("prepend_scheme") not in ("always", "never"):
            return False
        if not is_metaspace and step.get("type") not in _LOCAL_PRE_TOKENIZERS:
            return False
    return all(map(_is_local, _steps(tree.get("normalizer"), "normalizers")))


def _is_local(normalizer: dict) -> bool:
    """Whether a normalizer changes words one by one, and neither joins nor divides any."""
    if normalizer.get("type") == "Replace":
        pattern = (normalizer.get("pattern") or {}).get("String", " ")
        return not set(_WHITE_SPACE) & set(pattern)
    return normalizer.get("type") in _LOCAL_NORMALIZERS


def _steps(step: Any, name: str) -> list[dict]:
    """The steps of a sequence, or the one step."""
    if not isinstance(step, dict):
        return []
    if step.get("type") != "Sequence":
        return [step]
    return [leaf for child in step.get(name) or [] for leaf in _steps(child, name)]
