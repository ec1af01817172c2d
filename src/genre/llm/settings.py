"""A language model to ask, and what asking may cost: one set of options wherever one is asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from genre.errors import OptionError
from genre.llm.base import LanguageModel
from genre.llm.budget import NO_CAP, Budget
from genre.llm.ledger import Ledger
from genre.llm.ledger_table import default_path


@dataclass(frozen=True)
class LLMOptions:
    """Who answers, what it may cost, and where every exchange is kept.

    provider: who answers. budget: hard caps over all that is asked for one job.
    ledger: SQLite file of all exchanges; None: the one shared by all runs; `:memory:` keeps nothing.
    job: what the budget is counted by; empty in a config: the name of the experiment, on the same data.
    """

    provider: LanguageModel
    budget: Budget = NO_CAP
    ledger: str | None = None
    job: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.provider, LanguageModel):
            raise OptionError(f"llm: provider: {self.provider!r} is no language model; such as LlamaCpp()")

    @classmethod
    def check(cls, llm: object, whose: str) -> None:
        """Raise OptionError when it is something else than these options or None, such as a bare model."""
        if llm is not None and not isinstance(llm, cls):
            raise OptionError(f"{whose}: llm: found {type(llm).__name__}; wrap the model: LLMOptions(model)")

    def ledger_path(self) -> Path:
        return default_path() if self.ledger is None else Path(self.ledger)

    def open(self) -> Ledger:
        return Ledger(self.ledger_path(), self.provider, job=self.job, budget=self.budget)
