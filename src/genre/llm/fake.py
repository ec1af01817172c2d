"""A language model without a model, for tests: it fills the schema with words of the prompt's data, or goes wrong.

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

from genre.llm.base import Completion, LanguageModel, Schema, likelihoods
from genre.options import Ge

Fault = Literal[
    "none", "hang", "error", "empty", "truncated", "not_json", "other_json", "refusal", "french", "html", "invented"
]

REFUSAL = "I'm sorry, but as an AI language model I cannot help with that."
FRENCH = "une histoire très belle qui parle des gens dans leur vie de tous les jours et leurs amours"
DATA = re.compile(r"<data>\n(.*?)\n</data>", re.DOTALL)


@dataclass(eq=False)
class FakeLanguageModel(LanguageModel):
    """Answers at once and the same every time, out of the prompt's own words; every `every`-th call goes wrong.

    fault: how it goes wrong. hang: no answer for `patience_seconds`, then a time-out. every: 1 is always.
    name: another name is another model. max_tokens, price_in, price_out: what it claims to cost.
    """

    fault: Fault = "none"
    every: Annotated[int, Ge(1)] = 1
    patience_seconds: float = 0.0
    name: str = "fake"
    max_tokens: int = 100
    concurrency: int = 1
    price_in: float = 0.0
    price_out: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.prompts: list[str] = []  # everything that left the machine
        self._lock = threading.Lock()

    @property
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
        return self._counted(prompt, _spoilt(text, fault))

    def _likelihood(self, prompt: str, continuations: Sequence[str]) -> Completion:
        """A continuation is the likelier, the more of its words are in the prompt."""
        if self._note(prompt) != "none":
            raise ConnectionError("500: internal server error")
        known = set(prompt.casefold().split())
        missing = [sum(word not in known for word in text.casefold().split()) for text in continuations]
        return likelihoods([-1.0 - n for n in missing], tokens_in=len(prompt.split()), tokens_out=len(continuations))

    def reply(self, prompt: str, schema: Schema | None) -> str:
        """The answer when nothing goes wrong; override it to say something else."""
        words = re.findall(r"\b[a-z]{3,}\b", " ".join(DATA.findall(prompt))) or ["things"]
        return json.dumps(example(schema or {"type": "string"}, words, zlib.crc32(prompt.encode())))

    def _note(self, prompt: str) -> Fault:
        with self._lock:
            self.prompts.append(prompt)
            return self.fault if (len(self.prompts) - 1) % self.every == 0 else "none"

    def _counted(self, prompt: str, text: str, **outcome: Any) -> Completion:
        return Completion(text, tokens_in=len(prompt.split()), tokens_out=len(text.split()), **outcome)


def example(schema: dict[str, Any], words: Sequence[str], seed: int) -> Any:
    """A small valid value of a JSON Schema, its texts made of `words`."""
    kind = schema.get("type")
    if "enum" in schema:
        return schema["enum"][seed % len(schema["enum"])]
    if "const" in schema:
        return schema["const"]
    if kind == "object":
        return {key: example(part, words, seed + at) for at, (key, part) in enumerate(schema["properties"].items())}
    if kind == "array":
        n = min(max(schema.get("minItems", 1), 2), schema.get("maxItems", 2))
        return [example(schema["items"], words, seed + 3 * at) for at in range(n)]
    if kind in ("integer", "number"):
        return int(schema.get("minimum", 1))
    picked = [words[(seed + at) % len(words)] for at in range(4)]
    said = f"it is about {', '.join(dict.fromkeys(picked))} and what they are to us"
    opening = re.match(r"\^([\w ,'-]+ )\[", schema.get("pattern", ""))
    return f"{opening[1]}what {said}." if opening else said


def _spoilt(text: str, fault: Fault) -> str:
    if fault == "not_json":
        return "Sure! Here is what you asked for: " + text[1:]
    if fault == "other_json":
        return '{"answer": 42}'
    if fault in ("french", "html", "invented"):
        said = {
            "french": FRENCH,
            "html": "a <script>alert(1)</script> that is about it",
            "invented": "about Zorblax 42",
        }
        return re.sub(r"it is about [^\".]*", lambda _: said[fault], text)
    return text
