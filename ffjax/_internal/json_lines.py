"""JSON on one line."""

import json
import math
from collections.abc import Mapping
from functools import partial
from typing import Any


def to_json(value: Any) -> str:
    """JSON on one line; text that UTF-8 cannot encode is escaped, NaN and infinity are null.

    Examples:
        >>> to_json({"word": "é", "score": float("nan")})
        '{"word": "é", "score": null}'
    """
    dumps = partial(json.dumps, allow_nan=False, default=str)
    try:
        text = dumps(value, ensure_ascii=False)
    except ValueError:
        value = _finite(value)
        text = dumps(value, ensure_ascii=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return dumps(value)
    return text


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
