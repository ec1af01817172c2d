"""The leak detector: what in a split, in its texts or in what was fitted on it already knows the answers.

`audit` runs every check and returns findings, worst first; an honest split is silent. The checks are short functions
in `leakage_rows.py`, `leakage_ties.py`, `leakage_texts.py` and `leakage_origins.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from genre.data.folds import Split
from genre.evaluation.leakage.findings import Finding
from genre.evaluation.leakage.origins import Derived, refitted
from genre.evaluation.leakage.origins import check as origins
from genre.evaluation.leakage.rows import check as rows
from genre.evaluation.leakage.texts import check as texts
from genre.evaluation.leakage.ties import tied_times
from genre.preprocessing.entity_splits import StrongSplit
from genre.preprocessing.splits import LeaveOneOut, Splitter, TimeSplit
from genre.recommenders.base import Recommender

__all__ = ["Derived", "Finding", "Promise", "audit", "promise_of", "refitted"]

Promise = Literal["global", "user", "none"]

_ORDER = ("error", "warning", "note")


def promise_of(splitter: Splitter) -> Promise:
    """What a kind of split promises about time: see `audit`."""
    if isinstance(splitter, TimeSplit):
        return "global"
    by_time = isinstance(splitter, LeaveOneOut) or (isinstance(splitter, StrongSplit) and splitter.order == "time")
    return "user" if by_time else "none"


def audit(
    split: Split,
    *,
    order: Promise = "global",
    recommenders: Mapping[str, Recommender] | None = None,
    derived: Sequence[Derived] = (),
    user_texts: Mapping[str, Sequence[str]] | None = None,
    probe: Callable[[], Recommender] | None = None,
    seed: int = 0,
) -> list[Finding]:
    """All findings, errors first; no error means that no check found a leak.

    order: what the split promises about time: nothing in train is later than any target (`global`), no history is
    later than the same user's target (`user`, leave-one-out), or nothing (`none`, random).
    recommenders: fitted ones, by name: what they counted must be in train. derived: whatever else was computed from
    interactions (scalers, profiles), each with the function that makes it. user_texts: name -> one text a user.
    probe: makes a cheap recommender that shows how far a metric moves when tied times are shuffled; None: only the
    share of ties is told.
    """
    findings = [
        *rows(split, order),
        *tied_times(split, probe, seed=seed),
        *texts(split, user_texts or {}),
        *origins(split, recommenders or {}, derived),
    ]
    return sorted(findings, key=lambda finding: _ORDER.index(finding.severity))
