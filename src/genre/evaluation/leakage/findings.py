"""What an audit says: one value a finding. Knows nothing about how it was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """error: a number judged on this split means nothing. warning: look at it. note: a reader should know.

    check: the name of the check. what: what was found, with counts. where: an example. remedy: what to do.
    """

    check: str
    severity: Severity
    what: str
    where: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.check}: {self.what} ({self.where}); {self.remedy}"
