"""The prompts of one step of augmentation, and what an answer must be like. Does not know how they are filled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from genre.arrays import Int64
from genre.llm.base import Schema
from genre.llm.prompt import Prompt, Value


@dataclass(frozen=True)
class PromptBatch:
    """The filled prompts of one step, one an item or user.

    Attributes:
        prompt: The prompt.
        rows: Rows of the items' or users' table. [n]
        values: The prompt's variables for each of them. [n]
        shape: The pydantic model that an answer must fit.
        check: `(position, answer)` -> what is wrong with the answer, empty when nothing is.
        columns: Name of a new column -> the text that an answer puts there, the main one first.
        forms: JSON Schema of the sentence of each answer, narrower than that of `shape`; empty: no narrower one. [n]
        instead: `(position, answer)` -> what stands for an answer that does not pass, in words of the data, or None.
        matched: Name of the column for the catalogue's item that is most like an answer; empty: none is searched for.
    """

    prompt: Prompt
    rows: Int64
    values: list[dict[str, Value]]
    shape: type[BaseModel]
    check: Callable[[int, Any], str]
    columns: Mapping[str, Callable[[Any], str]]
    forms: Sequence[Schema] = ()
    instead: Callable[[int, Any], Any] = lambda at, answer: None
    matched: str = ""

    def inputs(self) -> list[str]:
        """Render the prompts.

        Returns:
            One text a row. [n]
        """
        return [self.prompt.render(**one) for one in self.values]

    def schemas(self) -> list[Schema]:
        """Return what an answer must be like, where a server holds the model to it.

        Returns:
            One JSON Schema a row. [n]
        """
        general = self.shape.model_json_schema()
        sentence = next(iter(general["properties"]))
        return [
            {**general, "properties": {**general["properties"], **({sentence: form} if form else {})}}
            for form in self.forms or [{}] * len(self.values)
        ]
