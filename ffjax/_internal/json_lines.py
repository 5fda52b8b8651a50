"""JSON on one line."""

import json
import math
from collections.abc import Mapping
from typing import Any


def to_json(value: Any) -> str:
    """JSON on one line; text that UTF-8 cannot encode is escaped, NaN and infinity are null.

    Examples:
        >>> to_json({"word": "é", "score": float("nan")})
        '{"word": "é", "score": null}'
    """
    try:
        text = _dumps(value)
    except ValueError:
        value = _finite(value)
        text = _dumps(value)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return _dumps(value, ensure_ascii=True)
    return text


def _dumps(value: Any, ensure_ascii: bool = False) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, allow_nan=False, default=str)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
