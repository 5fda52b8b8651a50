"""What a static model answers if it is asked for a verb of embeddings."""

from typing import TYPE_CHECKING, Any, NoReturn

from ffjax._internal.names_elsewhere import attribute_error
from ffjax.embeddings.value import Embeddings


class EmbeddingsNames:
    """Errors that name `embeddings`, whose words are a model's tokens."""

    def __getitem__(self, word: Any) -> NoReturn:
        raise TypeError(
            "`model[...]`: expected a call, since a static model embeds texts. Write "
            "`model.encode(text)`, or `model.embeddings[token]` for the vector of a token."
        )

    if not TYPE_CHECKING:  # type checkers would take every name for an attribute

        def __getattr__(self, name: str) -> Any:
            if hasattr(type(self), name):  # a property raised this: let it say so
                return object.__getattribute__(self, name)
            hint = None
            if hasattr(Embeddings, name) and not name.startswith("_"):
                hint = f"model.encode(texts), or model.embeddings.{name} for the tokens as words"
            message = attribute_error("'StaticModel' object", name, hint)
            raise AttributeError(message, name=name, obj=self)
