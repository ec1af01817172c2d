"""One finding of the leakage audit. Does not know how it was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing that the audit found.

    Attributes:
        check: The name of the check.
        severity: `error`: metrics on this split mean nothing; `warning`: look at it; `note`: a reader should know it.
        what: What was found, with counts.
        where: An example.
        remedy: What to do about it.
    """

    check: str
    severity: Severity
    what: str
    where: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.check}: {self.what} ({self.where}); {self.remedy}"
