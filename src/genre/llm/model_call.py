"""What one call sends to a language model; how many tokens it can and is expected to have."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from genre.llm.base import LanguageModel, Schema

OVERHEAD = 64  # tokens a chat template adds, at most
TEXT_TOKENS, WORD_TOKENS = 32, 5  # of a sentence in an answer, and of a value from a list, with quotes and commas
LONGEST_WORD = 40  # bytes of a value from a list that is no sentence
BYTES_PER_TOKEN = 64  # more than any tokeniser puts into one, on average: a smaller count is false


@dataclass(frozen=True)
class ModelCall:
    """A rendered prompt, with the schema of its answer or the continuations to score."""

    input: str
    schema: Schema | None
    continuations: tuple[str, ...] | None = None

    def request(self) -> str:
        """Return schema and continuations as text, part of the key.

        Returns:
            JSON.
        """
        return json.dumps({"schema": self.schema, "continuations": self.continuations}, sort_keys=True)

    def least_tokens(self) -> int:
        """Return a lower bound of tokens in, by the input alone.

        Returns:
            Tokens.
        """
        return max(1, len(self.input.encode()) // BYTES_PER_TOKEN)

    def most_tokens(self, model: LanguageModel) -> tuple[int, int]:
        """Return upper bounds of tokens in and out: no tokeniser makes more tokens than bytes.

        Args:
            model: The language model, which bounds its answers.

        Returns:
            Tokens in, and tokens out.
        """
        size = len(self.input.encode()) + schema_bytes(self.schema) + OVERHEAD + model.added_bytes
        if self.continuations is None:
            return size, model.max_tokens
        return size * len(self.continuations), sum(len(text.encode()) for text in self.continuations)


def schema_bytes(schema: Schema | None) -> int:
    """Return the size of a schema as it is sent.

    Args:
        schema: The JSON Schema, or None.

    Returns:
        Bytes.
    """
    return len(json.dumps(schema, ensure_ascii=False).encode())


def expected_answer_tokens(schema: Any) -> float:
    """Return how many tokens an answer that follows a JSON Schema is expected to have.

    Args:
        schema: The JSON Schema, or None.

    Returns:
        Tokens.
    """
    kind = schema.get("type") if isinstance(schema, dict) else None
    if kind == "object":
        properties: dict[str, Any] = schema.get("properties", {})
        return 4 + sum(WORD_TOKENS + expected_answer_tokens(part) for part in properties.values())
    if kind == "array":
        n = float(schema.get("minItems", 1) + schema.get("maxItems", 3)) / 2
        return 2 + n * min(expected_answer_tokens(schema.get("items")), 2 * WORD_TOKENS)
    if isinstance(schema, dict) and "enum" in schema:
        longest = max((len(str(value).encode()) for value in schema["enum"]), default=0)
        return TEXT_TOKENS if longest > LONGEST_WORD else WORD_TOKENS
    return WORD_TOKENS if isinstance(schema, dict) and kind != "string" else TEXT_TOKENS
