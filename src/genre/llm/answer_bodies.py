"""Bodies of answers as OpenAI-compatible servers differ in them: chat completions, the Responses API, tool calls.

All are read in the form of chat completions. Knows no client, no provider and nothing of what an answer is for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from genre.llm.base import Outcome

THOUGHTS = ("thinking", "reasoning", "redacted_thinking")  # types of parts that are no answer
MOST_TOKENS = 10_000_000  # in a believable count
ENDS: dict[str, Outcome] = {
    "length": "truncated",
    "max_tokens": "truncated",
    "max_output_tokens": "truncated",
    "content_filter": "refused",
    "safety": "refused",
    "refusal": "refused",
}
"""How an answer ended, by the names that servers have for it; all others are good ends."""


def as_responses(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the fields of a chat completion into those of the Responses API, which has no seed.

    Args:
        fields: As for a chat completion.

    Returns:
        The fields; nothing is kept at the server.
    """
    extra = dict(fields.get("extra_body") or {})
    effort, shape = extra.pop("reasoning_effort", None), fields.get("response_format")
    system = [one["content"] for one in fields["messages"] if one["role"] == "system"]
    values = {
        "model": fields["model"],
        "instructions": "\n".join(system) or None,
        "input": "\n".join(one["content"] for one in fields["messages"] if one["role"] != "system"),
        "max_output_tokens": fields.get("max_tokens", fields.get("max_completion_tokens")),
        "temperature": fields.get("temperature"),
        "text": {"format": {"type": shape["type"], **shape.get("json_schema", {})}} if shape else None,
        "reasoning": {"effort": effort} if effort else None,
        "store": False,
        "extra_body": extra or None,
    }
    return {name: value for name, value in values.items() if value is not None}


def as_chat(body: Any) -> Any:
    """Turn the answer of the Responses API into one of chat completions; leave others alone.

    Args:
        body: The JSON value of an answer.

    Returns:
        A JSON value with `choices`, or the same one.
    """
    if not isinstance(body, dict) or "choices" in body or not isinstance(body.get("output"), list):
        return body
    items = [one for one in body["output"] if isinstance(one, dict)]
    parts = [part for one in items if one.get("type") == "message" for part in one.get("content") or []]
    refused = [part for part in parts if isinstance(part, dict) and part.get("type") == "refusal"]
    message = {
        "content": [part for part in parts if part not in refused],
        "tool_calls": [{"function": one} for one in items if one.get("type") == "function_call"],
        "refusal": refused or None,
    }
    end = (body.get("incomplete_details") or {}).get("reason")
    return {"error": body.get("error"), "choices": [{"message": message, "finish_reason": end}]}


def message_text(message: Mapping[str, Any]) -> str:
    """Return the text of a message; of one without text the arguments of the tools that it calls, as JSON.

    Args:
        message: A message of a chat completion.

    Returns:
        The text, without parts that are thoughts.

    Raises:
        TypeError: The content is no text.
        KeyError: A part of the content has no text.
    """
    text = _content(message.get("content"))
    if text.strip():
        return text
    calls = [one.get("function") for one in message.get("tool_calls") or []] + [message.get("function_call")]
    given = [call.get("arguments") for call in calls if isinstance(call, dict)]
    return "\n".join(one if isinstance(one, str) else json.dumps(one) for one in given) or text


def outcome_of(choice: Mapping[str, Any]) -> Outcome:
    """Return how the model ended its answer.

    Args:
        choice: A choice of a chat completion.

    Returns:
        The outcome.
    """
    return "refused" if choice["message"].get("refusal") else ENDS.get(str(choice.get("finish_reason")).lower(), "ok")


def token_count(body: Any, *names: str) -> int:
    """Return a count of tokens that a server sent; 0, which is no count, where it is none.

    Args:
        body: The JSON value of an answer.
        *names: The names that the count may have in `usage`.

    Returns:
        Tokens.
    """
    usage = body.get("usage") if isinstance(body, dict) else None
    for name in names:
        value = usage.get(name) if isinstance(usage, dict) else None
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MOST_TOKENS:
            return value
    return 0


def error_code(error: Any) -> int:
    """Return the status that an error inside an answer names.

    Args:
        error: The value of `error`.

    Returns:
        The status; 0 where it names none.
    """
    text = str(error.get("code", error.get("status")) if isinstance(error, dict) else None)
    return int(text) if text.isascii() and text.isdigit() and len(text) == 3 else 0


def _content(content: Any) -> str:
    """Return the text of a message: a string, none, or a list of parts, whose thoughts are left out."""
    if isinstance(content, list):
        return "".join(_content(part) for part in content)
    if isinstance(content, dict):
        if content.get("type") in THOUGHTS:
            return ""
        content = content["text"]
    elif content is None:
        return ""
    if not isinstance(content, str):
        raise TypeError(f"the content is {type(content).__name__}, and no text")
    return content
