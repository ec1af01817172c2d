"""What a server refuses of a request: by which words, and what is sent instead. Knows no client.

Servers of one form of requests know different fields. What one refuses is left out or sent otherwise, field by field.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

REFUSED = (400, 404, 415, 422, 501)
"""Statuses of servers that do not know a field or an address."""
REFUSALS = {
    "chat completions": (
        {"messages"},
        re.compile(r"/responses\b|responses api", re.IGNORECASE),
        "the Responses API is used",
    ),
    "max_tokens": (
        {"max_tokens", "max_completion_tokens"},
        re.compile("max_completion_tokens"),
        "the other of max_tokens and max_completion_tokens is sent",
    ),
    "temperature": ({"temperature"}, re.compile("temperature", re.IGNORECASE), "its default is used"),
    "seed": ({"seed"}, re.compile(r"\bseed\b", re.IGNORECASE), "none is sent"),
    "response_format": (
        {"response_format"},
        re.compile("response.?format|schema|json.?(object|mode)|structured|grammar|guided|strict", re.IGNORECASE),
        "JSON is requested in a weaker way",
    ),
}
"""Fields that are left out or sent otherwise where a server refuses them: which, words of the refusal, and the note."""


def refused_field(message: str, fields: dict[str, Any], left_out: Counter[str]) -> str | None:
    """Find out which field a server refuses.

    Args:
        message: What the server says.
        fields: The fields that were sent.
        left_out: How often each name of `REFUSALS` was refused before.

    Returns:
        The name in `REFUSALS` of the field that the message is about; None where it was not sent.
    """
    for name, (sent, words, _) in REFUSALS.items():
        again = name == "chat completions" and left_out[name]  # there is no third way
        if sent & fields.keys() and words.search(message) and not again:
            return name
    return None
