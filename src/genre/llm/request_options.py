"""Checks of what a config adds to the requests of a server: an address, further fields and headers without secrets.

Knows no client and no server.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from genre.errors import OptionError

OWN_FIELDS = {"model", "messages", "max_tokens", "max_completion_tokens", "max_output_tokens", "n", "best_of", "stream"}
OWN_FIELDS |= {"temperature", "seed", "response_format", "logprobs", "top_logprobs", "reasoning_effort"}
SECRET_FIELD = re.compile(r"api.?key|secret|passw|authorization|access.?token|bearer|credential", re.IGNORECASE)
SECRET_HEADER = re.compile("auth|key|token|secret|cookie|passw|credential|signature|session", re.IGNORECASE)
VARIABLE = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def check_request_options(
    base_url: str, key_variable: str, extra_body: Mapping[str, Any], headers: Mapping[str, str]
) -> None:
    """Check the address of a server, and what is sent to it beside the fields of its provider.

    Args:
        base_url: The address.
        key_variable: Name of the environment variable that holds the key; empty: there is none.
        extra_body: Further fields of each request.
        headers: Further headers; a secret one is `$VARIABLE`.

    Raises:
        OptionError: There is a secret, no address, no name of a variable, or a field that budgets and answers need.
    """
    where = urlsplit(base_url)
    if where.username is not None:
        raise OptionError("OpenAI: base_url: holds a user or password; put the key where key_variable says")
    if SECRET_FIELD.search(where.query):
        raise OptionError("OpenAI: base_url: holds a key; put it where key_variable says, or into a header")
    if where.scheme not in ("http", "https") or not where.hostname:
        raise OptionError(f"OpenAI: base_url: {base_url!r} is no address; such as http://localhost:11434/v1")
    if key_variable and not VARIABLE.fullmatch(key_variable):
        raise OptionError(
            "OpenAI: key_variable: the name of an environment variable is wanted, such as OPENAI_API_KEY, and no key"
        )
    taken = sorted(set(extra_body) & OWN_FIELDS)
    if taken:
        raise OptionError(f"OpenAI: extra_body: {', '.join(taken)} cannot be set there: budgets and answers need it")
    for name in _names_in(extra_body):
        if SECRET_FIELD.search(name):
            raise OptionError(
                f"OpenAI: extra_body: {name} looks like a secret, which stands in no config; send it as a header, "
                "$VARIABLE there"
            )
    for name, value in headers.items():
        if SECRET_HEADER.search(name) and not value.startswith("$"):
            raise OptionError(f"OpenAI: headers: {name} is a secret; put it into a variable, and write $VARIABLE here")


def _names_in(values: Any) -> Iterator[str]:
    """Yield the names of all fields inside plain values."""
    if isinstance(values, dict):
        for name, value in values.items():
            yield str(name)
            yield from _names_in(value)
    elif isinstance(values, list):
        for value in values:
            yield from _names_in(value)
