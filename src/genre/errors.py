"""Every error GENRE raises on purpose: what was found, what was expected, what to try.

    GenreError
    ├── ConfigError        a YAML key, kind or value that is not legal
    │   └── NotImportable  a class whose module cannot be imported here
    ├── DataError          a file, table, column or value that cannot be used
    │   └── NotAvailable   a data set or model that could not be obtained
    ├── OptionError        an option of a class outside its range
    ├── NotFitted          a recommender or encoder used before `fit`
    ├── NotSupported       a thing this algorithm cannot do by its nature
    ├── UnknownId          a user or item nobody has seen
    ├── ArtifactError      a saved folder that is incomplete, changed or of another version
    ├── TrainingError      a training run that diverged or cannot resume
    ├── EvaluationError    a judgement that would not mean anything
    ├── DriftError         a new run that would push items with few users behind them
    ├── StoreError         an event log that cannot be written or read at the moment
    └── LLMError           a language model that did not answer usefully
        └── BudgetExceeded a cap on calls, tokens or money was reached

The command line prints the message alone and exits with status 2.
"""

from __future__ import annotations

from collections.abc import Sequence


class GenreError(Exception):
    """Base of all: `str(error)` is one readable line (or a list of lines) for the user."""


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
    """`fit` has to come first."""


class NotSupported(GenreError):
    """This algorithm cannot do what was asked."""


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
    """A new run that waits for somebody's word: it would push `items` that few users have taken; the old one stands."""

    def __init__(self, text: str, items: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.items = tuple(items)


class StoreError(GenreError):
    """An event log that cannot be written or read at the moment; nothing was acknowledged."""


class LLMError(GenreError):
    """A language model call that failed for good."""


class BudgetExceeded(LLMError):
    """A cap on calls, tokens or money was reached; nothing beyond it was sent."""
