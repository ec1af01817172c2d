"""Options of everything that uses a language model: the provider, its budget, and the ledger of all exchanges."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from genre.errors import OptionError
from genre.llm.base import LanguageModel
from genre.llm.budget import NO_CAP, Budget
from genre.llm.ledger import Ledger
from genre.llm.ledger_table import default_path
from genre.options import Doc


@dataclass(frozen=True)
class LLMOptions:
    """A language model, the caps of its cost, and the file that records every exchange."""

    provider: Annotated[LanguageModel, Doc("The language model.")]
    budget: Annotated[Budget, Doc("Hard caps over all calls of one job.")] = NO_CAP
    ledger: Annotated[
        str | None,
        Doc("SQLite file of all exchanges; None: one file for all runs of this user; `:memory:` keeps nothing."),
    ] = None
    job: Annotated[
        str, Doc("The budget is counted by this name; empty in a config: the experiment's name and its data.")
    ] = ""

    def __post_init__(self) -> None:
        if not isinstance(self.provider, LanguageModel):
            raise OptionError(f"llm: provider: {self.provider!r} is no language model; such as LlamaCpp()")

    @classmethod
    def check(cls, llm: object, whose: str) -> None:
        """Check an option that should be None or an instance of this class, not a bare model.

        Args:
            llm: The value of the option.
            whose: Name of the class that has the option.

        Raises:
            OptionError: It is something else.
        """
        if llm is not None and not isinstance(llm, cls):
            raise OptionError(f"{whose}: llm: found {type(llm).__name__}; wrap the model: LLMOptions(model)")

    def ledger_path(self) -> Path:
        """Return the path of the ledger file.

        Returns:
            The path, where `:memory:` stays as it is.
        """
        return default_path() if self.ledger is None else Path(self.ledger)

    def open(self) -> Ledger:
        """Open the ledger for this provider, job and budget.

        Returns:
            The ledger.
        """
        return Ledger(self.ledger_path(), self.provider, job=self.job, budget=self.budget)
