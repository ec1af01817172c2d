"""Reading JSON out of what models write: after thoughts, in code fences, between words. Knows no shapes of answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

TAGS = "think|thinking|thoughts?|reasoning|reflection|analysis|seed:think"
END_OF_THOUGHTS = re.compile(rf"</(?:{TAGS})>|\[/THINK\]|◁/think▷|<\|channel\|>final<\|message\|>", re.IGNORECASE)
OPEN_THOUGHTS = re.compile(rf"(?:<(?:{TAGS})>|\[THINK\]|◁think▷|<\|channel\|>analysis).*", re.DOTALL | re.IGNORECASE)
START = re.compile(r"[{\[]")
LAST_COMMA = re.compile(r",(\s*[}\]])")
MOST_STARTS = 200  # brackets at which reading is tried, so that time stays linear
MOST_WRAPPERS = 3  # around an answer
TOOL_CALLS = ({"name", "arguments"}, {"name", "parameters"})  # keys of one that is written as text
DECODER = json.JSONDecoder(strict=False)  # a line break within a text is allowed


def without_thoughts(text: str) -> str:
    """Return an answer without what a reasoning model wrote before it; empty where it never ended.

    Args:
        text: What the model wrote.

    Returns:
        The answer proper.
    """
    after = END_OF_THOUGHTS.split(text)[-1]  # some servers leave out the opening tag
    return OPEN_THOUGHTS.sub("", after).strip() or OPEN_THOUGHTS.sub("", text).strip()


def json_values(text: str) -> Iterator[Any]:
    """Yield the JSON values that an answer may mean, the likeliest first.

    That is the whole text; else objects and lists between words and fences, the last first: drafts come before. After
    each comes what is inside it, where it is a list of one, an object of one key or with objects in it, a tool call, or
    JSON written as text. Last come the same without a comma behind the last value of anything.

    Args:
        text: What the model wrote.

    Yields:
        JSON values.
    """
    try:
        found = [DECODER.decode(text.strip().lstrip("\ufeff"))]
    except (ValueError, RecursionError):
        answer = without_thoughts(text)
        found = [*_values_between(LAST_COMMA.sub(r"\1", answer)), *_values_between(answer)]
    for value in reversed(found):
        yield from _unwrapped(value)


def _unwrapped(value: Any) -> Iterator[Any]:
    """Yield a value, then what is the only thing in it."""
    for _ in range(MOST_WRAPPERS):
        yield value
        if isinstance(value, (list, dict)) and len(value) == 1:
            (value,) = value.values() if isinstance(value, dict) else value
        elif isinstance(value, dict) and set(value) in TOOL_CALLS:
            value = value.get("arguments", value.get("parameters"))
        elif isinstance(value, str):
            try:
                value = DECODER.decode(value)
            except (ValueError, RecursionError):
                return
        else:
            if isinstance(value, dict):
                yield from (inner for inner in reversed(value.values()) if isinstance(inner, dict))
            return


def _values_between(text: str) -> Iterator[Any]:
    """Yield the outermost objects and lists in a text, in order."""
    at = 0
    for _ in range(MOST_STARTS):
        start = START.search(text, at)
        if start is None:
            return
        try:
            value, at = DECODER.raw_decode(text, start.start())
        except (ValueError, RecursionError):
            at = start.end()
        else:
            yield value
