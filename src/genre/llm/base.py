"""The contract of every language model: prompts in, text or JSON out. Knows nothing about recommending."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from genre.log import SILENT, Log
from genre.options import check_options


@dataclass(frozen=True)
class Completion:
    """One answer. `text` is what the model wrote, `outcome` how it ended; only `ok` answers may be used.

    tokens_in, tokens_out: as the provider counted them. seconds: wall time of the call. error: one line.
    """

    text: str
    outcome: Literal["ok", "failed", "truncated", "refused"] = "ok"
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    error: str = ""


class LanguageModel(ABC):
    """Base of all providers: a dataclass whose fields are its options. One method to implement, one fake to test.

    Caching, logging and budgets live in the ledger around it, not in the provider.
    """

    def __post_init__(self) -> None:
        check_options(self)

    @abstractmethod
    def complete(
        self, prompts: Sequence[str], schema: dict[str, Any] | None = None, *, log: Log = SILENT
    ) -> list[Completion]:
        """One completion a prompt, same length and order; a failure is an outcome, never an exception.

        schema: a JSON Schema the text must follow (constrained decoding where the provider can).
        """

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Provider, model and every parameter that changes an answer; no key, no address of a key."""
