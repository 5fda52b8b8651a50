"""Metadata: a TOML document that travels with embeddings."""

import tomllib
from collections.abc import Iterator, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any

import jax
import numpy as np
import tomli_w
from jaxtyping import Int32, UInt8

from ffjax._internal.arrays import AnyArray, on_host, padded_size
from ffjax._internal.chunk import Chunk
from ffjax._internal.file_arguments import wrong_type
from ffjax._internal.pytree import set_fields, value

_MIN_BYTES = 1024


@value()
class Metadata(Chunk, Mapping):  # bare: a checker of types would look at items, also in `jit`
    r"""A read-only mapping with the contents of a TOML document, whose text is kept unchanged.

    Args:
        values: the contents, of types that TOML has.

    Raises:
        TypeError: if `values` is not a mapping with `str` keys, or holds what TOML cannot.

    Examples:
        >>> import ffjax
        >>> metadata = ffjax.Metadata({"corpus": "news", "epochs": 5})
        >>> metadata["epochs"], dict(metadata)
        (5, {'corpus': 'news', 'epochs': 5})
        >>> ffjax.Metadata.from_toml('a = 1 # one\n').toml
        'a = 1 # one\n'
    """

    # The text is a padded array, not a static field, so that embeddings that differ only in their
    # metadata share compiled programs.
    data: UInt8[AnyArray, " capacity"]
    length: Int32[AnyArray, ""]

    def __init__(self, values: Mapping[str, Any] | None = None, **keywords: Any) -> None:
        if not (values is None or isinstance(values, Mapping)):
            hint = "For text use `Metadata.from_toml`." if isinstance(values, str) else ""
            raise wrong_type("values", "a mapping", values, hint)
        values = {**(values or {}), **keywords}
        try:
            text = tomli_w.dumps(values)
        except (TypeError, AttributeError) as error:
            raise TypeError(
                f"`values`: expected what TOML can hold, got {values!r} ({error})."
            ) from error
        self._set_text(text)

    @classmethod
    def from_toml(cls, text: str) -> "Metadata":
        """Metadata of a TOML document, with its comments and layout.

        Raises:
            ValueError: if the text is not TOML.
        """
        try:
            tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            message = f"`text`: expected TOML, got a syntax error: {error}"
            raise ValueError(message) from error
        metadata = object.__new__(cls)
        metadata._set_text(text)
        return metadata

    def _set_text(self, text: str) -> None:
        raw = np.frombuffer(text.encode("utf-8"), np.uint8)
        data = np.zeros(padded_size(raw.size, _MIN_BYTES), np.uint8)
        data[: raw.size] = raw
        # `jnp.array` would compile two small programs.
        set_fields(self, data=jax.device_put(data), length=jax.device_put(np.int32(raw.size)))

    @cached_property
    def toml(self) -> str:
        """The text of the document."""
        return on_host(self.data)[: int(self.length)].tobytes().decode("utf-8")

    @cached_property
    def _values(self) -> Mapping[str, Any]:
        return MappingProxyType(tomllib.loads(self.toml))

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        """Equal contents; compare `.toml` for equal text."""
        if isinstance(other, Metadata) and self.toml == other.toml:
            return True  # even with NaN among the values, which is not equal to itself
        return dict(self) == dict(other) if isinstance(other, Mapping) else NotImplemented

    def __repr__(self) -> str:
        return f"Metadata({dict(self)!r})"
