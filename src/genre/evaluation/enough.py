"""Is there enough data for recommendations to be learnt and judged? Does not know models.

Where one of these figures is too low, rules of a person, or a list of popular items, do as well as GENRE.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from genre.data.folds import Split
from genre.display import counted
from genre.evaluation.leakage.findings import Finding

LEAST_USERS = 100  # with shared tastes to learn from
LEAST_LENGTH = 2.0  # interactions of the mean user in train: with one, no two items share a user
LEAST_JUDGED = 100  # users with a target: the 95 % interval of a hit rate is then ± .1


def check_enough(split: Split) -> Iterator[Finding]:
    """Find what there is too little of.

    Args:
        split: The parts.

    Yields:
        Warnings, with the figure.
    """
    train, test = split.train, split.test.target
    lengths = np.bincount(train.user, minlength=train.n_users)
    users, judged = int((lengths > 0).sum()), len(np.unique(test.user[test.liked()]))
    if users < LEAST_USERS:
        yield _warning("too-few-users", f"{counted(users, 'user')} in train, fewer than {LEAST_USERS}", POPULAR)
    if users and (mean := len(train) / users) < LEAST_LENGTH:
        yield _warning("short-histories", f"{mean:.1f} interactions of the mean user in train", TEXT)
    if judged < LEAST_JUDGED:
        wide = f"a hit rate is known to ± {0.98 / max(judged, 1) ** 0.5:.2f}"
        yield _warning("too-few-targets", f"{counted(judged, 'user')} with a liked target: {wide}", MORE)


POPULAR = "GENRE is hardly the right tool: list popular items or let a person choose"
TEXT = "recommend by text alone (content) or popular items; what users share cannot be learnt"
MORE = "take a larger test part, and do not choose between recommenders by it"


def _warning(check: str, what: str, remedy: str) -> Finding:
    return Finding(check, "warning", what, "all of the data", remedy)
