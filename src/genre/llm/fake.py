"""A provider without a model, for tests: it fills the schema with words of the prompt's data, or fails on purpose.

Public as `genre.testing.FakeLanguageModel`.
"""

from __future__ import annotations

import json
import re
import threading
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from typing_extensions import override

from genre.data.words import WORD
from genre.llm.base import Completion, LanguageModel, Schema, likelihoods
from genre.options import Doc, Ge

Fault = Literal[
    "none", "hang", "error", "empty", "truncated", "not_json", "other_json", "refusal", "french", "html", "invented"
]

REFUSAL = "I'm sorry, but as an AI language model I cannot help with that."
FRENCH = "une histoire très belle qui parle des gens dans leur vie de tous les jours et leurs amours"
DATA = re.compile(r"<data>\n(.*?)\n</data>", re.DOTALL)
LABEL = re.compile(r"^[\w ]+: ", re.MULTILINE)  # of a field, which a sentence need not name
PARTS = re.compile(r" — |\n")  # fields of an item
BEGINNING = re.compile(r"\^(?P<begin>[^\[(]+)(?:\[|\((?P<kind>[^()|]+).*\)\\?(?P<stop>.)\$)")
"""Of a pattern: the beginning that it requires, and the first of the kinds that it offers with the full stop."""


@dataclass(eq=False)
class FakeLanguageModel(LanguageModel):
    """A model that answers at once and always the same, with the prompt's own words, or with a fault.

    Attributes:
        prompts: Every prompt that was sent.
    """

    fault: Annotated[Fault, Doc("How calls go wrong; hang: a time-out after `patience_seconds`.")] = "none"
    every: Annotated[int, Ge(1), Doc("Every so many-th call goes wrong; 1: all.")] = 1
    patience_seconds: Annotated[float, Doc("Seconds until a time-out.")] = 0.0
    name: Annotated[str, Doc("Another name counts as another model.")] = "fake"
    max_tokens: Annotated[int, Doc("Longest answer, for budgets.")] = 100
    concurrency: Annotated[int, Doc("Calls under way at once.")] = 1
    price_in: Annotated[float, Doc("Money for a million tokens of prompts.")] = 0.0
    price_out: Annotated[float, Doc("Money for a million tokens of answers.")] = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.prompts: list[str] = []
        self._lock = threading.Lock()

    @property
    @override
    def fingerprint(self) -> str:
        return f"fake {self.name} ({self.fault}, every {self.every})"

    def _complete(self, prompt: str, schema: Schema | None) -> Completion:
        fault = self._note(prompt)
        if fault == "hang":
            time.sleep(self.patience_seconds)
            raise TimeoutError("no answer in time")
        if fault == "error":
            raise ConnectionError("500: internal server error")
        if fault == "refusal":
            return self._counted(prompt, REFUSAL, outcome="refused")
        if fault == "empty":
            return self._counted(prompt, "")
        text = self.reply(prompt, schema)
        if fault == "truncated":
            return self._counted(prompt, text[: len(text) // 2], outcome="truncated")
        return self._counted(prompt, _spoilt(text, fault, _last_field(prompt)))

    def _likelihood(self, prompt: str, continuations: Sequence[str]) -> Completion:
        """Score a continuation by how many of its words are in the prompt."""
        if self._note(prompt) != "none":
            raise ConnectionError("500: internal server error")
        known = set(prompt.casefold().split())
        missing = [sum(word not in known for word in text.casefold().split()) for text in continuations]
        return likelihoods([-1.0 - n for n in missing], tokens_in=len(prompt.split()), tokens_out=len(continuations))

    def reply(self, prompt: str, schema: Schema | None) -> str:
        """Write the answer when nothing goes wrong; a test may override it.

        Args:
            prompt: The rendered prompt.
            schema: The JSON Schema of the answer.

        Returns:
            JSON text.
        """
        found = WORD.findall(LABEL.sub("", "\n".join(DATA.findall(prompt))))
        plain = [word for word in found if len(word) > 2 and word.isascii() and word.isalpha() and word.islower()]
        seed = zlib.crc32(prompt.encode())
        return json.dumps(example(schema or {"type": "string"}, plain or ["things"], seed, _last_field(prompt)))

    def _note(self, prompt: str) -> Fault:
        """Remember a prompt, and decide whether its call goes wrong."""
        with self._lock:
            self.prompts.append(prompt)
            return self.fault if (len(self.prompts) - 1) % self.every == 0 else "none"

    def _counted(self, prompt: str, text: str, **outcome: Any) -> Completion:
        """Make a Completion that counts words as tokens."""
        return Completion(text, tokens_in=len(prompt.split()), tokens_out=len(text.split()), **outcome)


def _last_field(prompt: str) -> str:
    """Return the last field of the data of a prompt."""
    data = DATA.search(prompt)
    return PARTS.split(LABEL.sub("", data[1]))[-1].replace('"', "").rstrip(".") if data else ""


def example(schema: dict[str, Any], words: Sequence[str], seed: int, quote: str = "") -> Any:
    """Make a small valid value of a JSON Schema.

    Args:
        schema: The schema.
        words: What its texts are made of.
        seed: Chooses among words and enumerated values.
        quote: What a text with a required beginning goes on with.

    Returns:
        A JSON value.
    """
    kind = schema.get("type")
    if "enum" in schema:
        fitting = [value for value in schema["enum"] if value in words] or schema["enum"]
        return fitting[seed % len(fitting)]
    if "const" in schema:
        return schema["const"]
    if kind == "object":
        return {
            key: example(part, words, seed + at, quote) for at, (key, part) in enumerate(schema["properties"].items())
        }
    if kind == "array":
        n = min(max(schema.get("minItems", 1), 2), schema.get("maxItems", 2))
        return [example(schema["items"], words, seed + 3 * at, quote) for at in range(n)]
    if kind in ("integer", "number"):
        return int(schema.get("minimum", 1))
    picked = [words[(seed + at) % len(words)] for at in range(4)]
    said = f"it is about {', '.join(dict.fromkeys(picked))} and other such things"
    opening = BEGINNING.match(schema.get("pattern", ""))
    if opening is None:
        return said
    rest = f"{opening['kind']}{opening['stop']}" if opening["kind"] else f"{quote or said}."
    return opening["begin"] + rest


def _spoilt(text: str, fault: Fault, quote: str) -> str:
    """Put a fault into an answer."""
    if fault == "not_json":
        return "Sure! Here is the answer: " + text[1:]
    if fault == "other_json":
        return '{"answer": 42}'
    if fault in ("french", "html", "invented"):
        said = {
            "french": FRENCH,
            "html": "a <script>alert(1)</script> that is about it",
            "invented": "about Zorblax 42",
        }
        return re.sub(rf"it is about [^\".]*|{re.escape(quote)}(?=\.)", lambda _: said[fault], text)
    return text
