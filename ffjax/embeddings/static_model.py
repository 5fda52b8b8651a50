"""`StaticModel`: a tokenizer and a row for each of its tokens; a text is the mean of its rows."""

from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int32, Integer, UInt8

from ffjax._internal.arguments import array_of, check_flag, check_instance, whole_number
from ffjax._internal.arrays import AnyArray, as_int32, check_concrete, is_traced, on_host
from ffjax._internal.file_arguments import check_choice
from ffjax._internal.names_elsewhere import missing_attribute
from ffjax._internal.pytree import check_names, field_names, replace, set_fields, value
from ffjax.embeddings.static_encode import Encoder, TokenRows, checked_arrays, file_bytes
from ffjax.embeddings.value import Embeddings
from ffjax.functional.text import mean_of_tokens
from ffjax.storage import NdArray
from ffjax.strings.text import as_texts, text_lines
from ffjax.strings.tokenizer import Tokenizer
from ffjax.strings.tokenizer_file import TokenizerFile, read_tokenizer
from ffjax.vocab import SimpleVocab

LAYOUTS, UNKNOWN, COMPAT = ("model2vec", "sentence-transformers"), ("drop", "keep"), ("0.10", "0.9")
MAX_LENGTH = 512  # tokens that model2vec reads where neither the caller nor the model says so
_MODEL_DEFAULT: Any = object()
_ARRAYS = {"rows", "mapping", "weights"}
_FLOAT32 = np.dtype(np.float32)


@value(static=("normalize", "max_length", "unknown", "layout", "prompt", "unknown_id"))
class StaticModel:
    """A tokenizer with a row for each token: texts to vectors, as in model2vec.

    `encode` runs on the host and gives the vectors of model2vec 0.10, or of sentence-transformers
    for models in its own layout. `embed_ids` takes token numbers in compiled code. The model is an
    immutable pytree; its tokenizer and its configuration are arrays of bytes in it.

    Args:
        rows: the rows, `[n_rows, dims]` of float32, float16, bfloat16, float64 or int8.
        tokenizer: the content of a `tokenizer.json`.
        mapping: the row of each token, `[n_tokens]`; by default token i has row i.
        weights: a factor for the row of each token, `[n_tokens]`.
        normalize: whether vectors are scaled to unit length.
        max_length: how many tokens of a text count, `None` for all.
        unknown: `"drop"` or `"keep"` the token for unknown text.
        layout: whose rules hold: `"model2vec"`, which also reads no more of a text than
            `max_length` times the median length of a token, or `"sentence-transformers"`.
        prompt: words put before every text.
        config: the content of the model's `config.json`.

    Raises:
        FormatError: if `tokenizer` is not a tokenizer.
        TypeError: if an argument is of another type.
        ValueError: if there is not a row, or an entry of `mapping` and `weights`, for each token.

    Examples:
        >>> import ffjax, json, numpy as np
        >>> vocab = {"[UNK]": 0, "tea": 1, "##pot": 2}
        >>> tokenizer = {
        ...     "model": {"type": "WordPiece", "vocab": vocab, "unk_token": "[UNK]"},
        ...     "normalizer": {"type": "BertNormalizer"},
        ...     "pre_tokenizer": {"type": "BertPreTokenizer"},
        ... }
        >>> rows = np.array([[0, 0], [1, 0], [0, 1]], np.float32)
        >>> model = ffjax.StaticModel(rows, json.dumps(tokenizer).encode())
        >>> model.encode(["A teapot", "Tea!"]).tolist()
        [[0.5, 0.5], [1.0, 0.0]]
    """

    rows: AnyArray
    tokenizer: UInt8[AnyArray, " bytes"]
    mapping: Int32[AnyArray, " tokens"] | None
    weights: Float[AnyArray, " tokens"] | None
    config: UInt8[AnyArray, " config_bytes"]
    normalize: bool
    max_length: int | None
    unknown: str
    layout: str
    prompt: str
    unknown_id: int | None

    def __init__(
        self,
        rows: Any,
        tokenizer: Any,
        mapping: Any = None,
        weights: Any = None,
        *,
        normalize: bool = False,
        max_length: int | None = MAX_LENGTH,
        unknown: str = "drop",
        layout: str = "model2vec",
        prompt: str = "",
        config: Any = b"{}",
    ) -> None:
        if not isinstance(tokenizer, Tokenizer):
            raw = file_bytes("tokenizer", tokenizer).tobytes()
            tokenizer = Tokenizer(read_tokenizer(raw), raw)
        check_instance("prompt", prompt, str)
        arrays = checked_arrays(rows, mapping, weights, tokenizer.settings)
        set_fields(
            self,
            **arrays._asdict(),
            tokenizer=file_bytes("tokenizer", tokenizer.raw),
            config=file_bytes("config", config),
            normalize=check_flag("normalize", normalize),
            max_length=None if max_length is None else whole_number("max_length", max_length),
            unknown=check_choice("unknown", unknown, UNKNOWN),
            layout=check_choice("layout", layout, LAYOUTS),
            prompt=prompt,
            unknown_id=tokenizer.settings.unknown,
            _tokenizer=tokenizer,  # the cached property, which would parse it again
        )

    @property
    def dims(self) -> int:
        """The number of dimensions of each vector."""
        return self.rows.shape[1]

    @property
    def n_tokens(self) -> int:
        """The number of tokens."""
        return len(self.settings.vocab)

    @property
    def settings(self) -> TokenizerFile:
        """What the tokenizer's file says."""
        return self._tokenizer.settings

    @property
    def tokens(self) -> list[str]:
        """The tokens in the order of their numbers."""
        vocab = self.settings.vocab
        return sorted(vocab, key=vocab.__getitem__)

    @cached_property
    def embeddings(self) -> Embeddings:
        """The tokens as words: embeddings with their weighted rows in float32."""
        vocab = self.settings.vocab
        rows = self.token_rows.read(np.array(sorted(vocab.values()), np.int64))
        return Embeddings(NdArray(rows.astype(np.float32, copy=False)), SimpleVocab(self.tokens))

    def encode(
        self,
        texts: Any,
        *,
        normalize: bool | None = None,
        max_length: int | None = _MODEL_DEFAULT,
        unknown: str | None = None,
        compat: str = "0.10",
    ) -> Float[np.ndarray, "*texts dims"]:
        """The vectors of texts: the means of the rows of their tokens.

        A text without tokens gets zeros. Models of BPE and Unigram, and of unusual WordPiece, need
        the extra `tokenizers`.

        Args:
            texts: a `str`, or several: a list of `str` or `bytes`, NumPy or Arrow strings. A null
                is an empty text.
            normalize: whether vectors are scaled to unit length; by default as the model says.
            max_length: how many tokens of a text count, `None` for all; by default as the model
                says.
            unknown: `"drop"` or `"keep"` the token for unknown text; by default as the model says.
            compat: `"0.10"`, or `"0.9"` for the answers of model2vec up to 0.9: unknown tokens are
                dropped before text is cut, those of Unigram models not at all, and vectors of
                halves are scaled in their own precision. Padding in `tokenizer.json`, which made
                those answers depend on other texts, is left out.

        Returns:
            `[n, dims]`, or `[dims]` for a `str`, in the type of the rows; float32 for int8 and
            bfloat16.

        Raises:
            ImportError: if the extra `tokenizers` is needed and missing.
            TypeError: if `texts` or an option is of another type.
            ValueError: if an option has another value.
        """
        several = (texts,) if isinstance(texts, str) else as_texts(texts)
        encoder = self._encoder(normalize, max_length, unknown, compat)
        if compat == "0.9":
            vectors = encoder.encode_as_before(several)
        else:
            dtype = np.dtype(self.rows.dtype)
            vectors, _ = encoder.encode(several, dtype if dtype.kind == "f" else _FLOAT32)
        return vectors[0] if isinstance(texts, str) else vectors

    def tokenize(
        self, texts: Any, *, max_length: int | None = _MODEL_DEFAULT, unknown: str | None = None
    ) -> list[Int32[np.ndarray, " tokens"]]:
        """The numbers of the tokens that count in texts; arguments as for `encode`.

        Raises:
            ImportError: if the extra `tokenizers` is needed and missing.
            TypeError: if `texts` or an option is of another type.
            ValueError: if an option has another value.
        """
        tokens = self._encoder(False, max_length, unknown).tokenize(as_texts(texts))
        return np.split(tokens.values, tokens.splits[1:-1])[: len(tokens.splits) - 1]

    def token_ids(self, texts: Any, width: int | None = None) -> Int32[np.ndarray, "texts width"]:
        """The tokens of `tokenize` as a matrix for `embed_ids`, with -1 after those of each text.

        Args:
            texts: several texts, as for `encode`.
            width: how many columns; tokens beyond are left out. By default those of the longest.

        Raises:
            ImportError: if the extra `tokenizers` is needed and missing.
            TypeError: if an argument is of another type.
            ValueError: if `width` is negative.
        """
        lists = self.tokenize(texts)
        longest = max(map(len, lists), default=0)
        width = longest if width is None else whole_number("width", width)
        ids = np.full((len(lists), width), -1, np.int32)
        for row, tokens in zip(ids, lists, strict=True):
            row[: len(tokens)] = tokens[:width]
        return ids

    def embed_ids(self, ids: Integer[AnyArray, "*texts n"]) -> Float32[Array, "*texts dims"]:
        """The vectors of texts by the numbers of their tokens, in compiled code.

        Pure: works under `jit`, `vmap` and `grad`, with the model as an argument.

        Args:
            ids: token numbers, `[..., n]`; negative ones do not count, and those beyond the last
                token are clipped to it.

        Returns:
            What `encode` answers for these tokens, float32 `[..., dims]`.

        Raises:
            TypeError: if `ids` are not whole numbers.
        """
        ids = as_int32(array_of("ids", ids, jnp.integer, "token numbers, [..., n]"))
        dropped = self.unknown_id if self.unknown == "drop" else None
        return mean_of_tokens(self.rows, self.mapping, self.weights, ids, dropped, self.normalize)

    def embed_lines(
        self,
        text: Any,
        *,
        normalize: bool | None = None,
        max_length: int | None = _MODEL_DEFAULT,
        unknown: str | None = None,
    ) -> tuple[Float32[np.ndarray, "lines dims"], Int32[np.ndarray, " lines"]]:
        """What `ffjax.embed_text` answers: float32 vectors, and how many tokens counted.

        Args:
            text: as for `ffjax.embed_text`.
            normalize: as for `encode`, like the other options.
            max_length: how many tokens of a text count.
            unknown: `"drop"` or `"keep"` the token for unknown text.
        """
        check_concrete((self, text))
        encoder = self._encoder(normalize, max_length, unknown)
        return encoder.encode(text_lines(text), _FLOAT32)

    def replace(self, **changes: Any) -> "StaticModel":
        """A copy with other values for any of the constructor's arguments.

        Inside `jit`, of a traced model only arrays can be replaced, and they are not checked.

        Raises:
            FormatError: if `tokenizer` is not a tokenizer.
            TypeError: for another name, or a value of another type.
            ValueError: if values don't fit each other.
        """
        if changes.keys() <= _ARRAYS and is_traced(self.tokenizer):
            return replace(self, **changes)
        fields = {name: getattr(self, name) for name in field_names(type(self))}
        fields.pop("unknown_id")
        fields["tokenizer"] = self._tokenizer
        check_names("replace", changes, fields)
        return StaticModel(**{**fields, **changes})

    def __getitem__(self, word: Any) -> NoReturn:
        raise TypeError(
            "`model[...]`: expected a call, since a static model embeds texts. Write "
            "`model.encode(text)`, or `model.embeddings[token]` for the vector of a token."
        )

    if not TYPE_CHECKING:  # type checkers would take every name for an attribute

        def __getattr__(self, name: str) -> Any:
            instead = f"model.encode(texts), or model.embeddings.{name} for the tokens as words"
            is_verb = hasattr(Embeddings, name) and not name.startswith("_")
            return missing_attribute(self, name, instead if is_verb else None)

    def __repr__(self) -> str:
        rows = f"{len(self.rows)} x {self.dims} {self.rows.dtype}"
        kind = self.settings.kind
        return f"StaticModel({rows}, {self.n_tokens} tokens of {kind}, {self.layout})"

    def _encoder(
        self, normalize: Any, max_length: Any, unknown: Any, compat: str = "0.10"
    ) -> Encoder:
        """What the arguments of `encode` mean."""
        check_choice("compat", compat, COMPAT)
        normalize = self.normalize if normalize is None else check_flag("normalize", normalize)
        unknown = check_choice("unknown", self.unknown if unknown is None else unknown, UNKNOWN)
        if max_length is _MODEL_DEFAULT:
            max_length = MAX_LENGTH if compat == "0.9" else self.max_length
        elif max_length is not None:
            max_length = whole_number("max_length", max_length)
        most_characters = None
        if self.layout == "model2vec" and max_length is not None:
            most_characters = max_length * self._median_length
        dropped, most_tokens, most_counted = self.unknown_id, max_length, None
        if compat == "0.9":
            most_tokens, most_counted = self.settings.truncation, max_length
        if unknown == "keep" or (compat == "0.9" and self.settings.kind == "Unigram"):
            dropped = None
        rules = self.prompt, normalize, most_characters, most_tokens, dropped, most_counted
        return Encoder(self._tokenizer, self.token_rows, *rules)

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        raw = on_host(self.tokenizer).tobytes()
        return Tokenizer(read_tokenizer(raw), raw)

    @cached_property
    def token_rows(self) -> TokenRows:
        """The arrays of rows on the host."""
        return TokenRows(*jax.tree.map(on_host, (self.rows, self.mapping, self.weights)))

    @cached_property
    def _median_length(self) -> int:
        return int(np.median(list(map(len, self.settings.vocab))))
