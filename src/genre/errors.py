"""Every error GENRE raises on purpose: what was found, what was expected, what to try.

    GenreError
    ├── ConfigError        a YAML key, kind or value that is not legal
    │   └── NotImportable  a class whose module cannot be imported here
    ├── DataError          a file, table, column or value that cannot be used
    │   └── NotAvailable   a data set or model that could not be obtained
    ├── OptionError        an option of a class outside its range
    ├── NotFitted          a recommender or encoder used before `fit`
    ├── NotSupported       a method that this algorithm cannot have
    ├── UnknownId          a user or item that is not in the data
    ├── ArtifactError      a saved folder that is incomplete, changed or of another version
    ├── TrainingError      a training run that diverged or cannot resume
    ├── EvaluationError    an evaluation that would not mean anything
    ├── DriftError         a new run that would push items with few users behind them
    ├── StoreError         an event log that cannot be written or read at the moment
    │   └── UncertainWrite a write that the event log may or may not hold
    ├── ConflictError      an event whose id was recorded with other content
    └── LLMError           a language model whose answer is of no use
        └── BudgetExceeded a cap on calls, tokens or money was reached

The command line prints the message alone and exits with status 2.
"""

from __future__ import annotations

from collections.abc import Sequence


class GenreError(Exception):
    """The base of all: `str(error)` is one readable line, or a list of lines, for the user."""


class ConfigError(GenreError):
    """A config that cannot be turned into an experiment; lists every mistake at once."""


class NotImportable(ConfigError):
    """A config that names a class whose module cannot be imported here."""


class DataError(GenreError):
    """Input data that cannot be used: names file, row and column, and the remedy."""


class NotAvailable(DataError):
    """A public data set or model that no known source could deliver."""


class OptionError(GenreError, ValueError):
    """An option outside its legal range."""


class NotFitted(GenreError):
    """A recommender or encoder that is used before `fit`."""


class NotSupported(GenreError):
    """A method that an algorithm cannot have by its nature."""


class UnknownId(GenreError, KeyError):
    """A user or item id that is not in the data."""

    def __str__(self) -> str:  # KeyError would print the repr
        return str(self.args[0]) if self.args else ""


class ArtifactError(GenreError):
    """A saved folder that must not be loaded."""


class TrainingError(GenreError):
    """Gradient training that diverged, or a checkpoint that does not fit."""


class EvaluationError(GenreError):
    """An evaluation whose result would not mean anything."""


class DriftError(GenreError):
    """A new run that is kept back because it recommends items of few users much more often; the old run stays in place.

    Attributes:
        items: Ids of these items.
    """

    def __init__(self, text: str, items: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.items = tuple(items)


class WorseRunError(GenreError):
    """A new run that is kept back because it is worse than the one that is served, or may be.

    Attributes:
        finding: What the gate found.
    """

    def __init__(self, text: str, finding: str = "") -> None:
        super().__init__(text)
        self.finding = finding


class StoreError(GenreError):
    """An event log that cannot be written or read at the moment; of a write, nothing was recorded."""


class UncertainWrite(StoreError):
    """A write that may or may not have been recorded: it failed, or was late, at its commit."""


class ConflictError(GenreError):
    """An event whose id was recorded of the same user with another item, weight or time."""


class LLMError(GenreError):
    """A call of a language model that failed finally."""


class BudgetExceeded(LLMError):
    """A cap on calls, tokens or money was reached; nothing beyond it was sent."""


class DataWarning(UserWarning):
    """Rows that were lost on reading, or a reading that is a guess."""
