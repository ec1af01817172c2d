"""What is wrong with JSON that does not fit, in one line for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

WORDS_BY_TYPE = {  # for pydantic's types of errors whose own message speaks of Python
    "missing": "is missing",
    "extra_forbidden": "nothing of this name is known",
    "json_invalid": "no JSON from this character on",
    "model_attributes_type": "a JSON object is wanted",
    "model_type": "a JSON object is wanted",
    "dict_type": "a JSON object is wanted",
}
MAX_ERRORS = 5  # in one line


def validation_message(errors: Sequence[Mapping[str, Any]]) -> str:
    """Put pydantic's errors into one line: `query.k: ...; body.history.3: ...`.

    Args:
        errors: as pydantic lists them.

    Returns:
        The first few errors, each with its place.
    """
    lines = (": ".join(filter(None, (_place(one), _words(one)))) for one in errors[:MAX_ERRORS])
    return "; ".join(lines)[:1000]


def _place(error: Mapping[str, Any]) -> str:
    return ".".join(map(str, error["loc"]))


def _words(error: Mapping[str, Any]) -> str:
    unit = "characters" if isinstance(error.get("input"), str) else "items"
    message = str(error["msg"]).replace("items after validation", unit)
    return WORDS_BY_TYPE.get(error.get("type", ""), message.removeprefix("Value error, "))
