"""What rules cost: accuracy and coverage of the lists on the test part without rules, with each, and with all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from genre.data.folds import Fold
from genre.data.ndcg import ndcg_of_lists
from genre.errors import EvaluationError
from genre.recommenders.base import Recommender
from genre.rules.applying import RuledList
from genre.rules.base import Rule
from genre.rules.recommending import recommend_by_rules
from genre.rules.rule_set import RuleSet

USERS = 2000
"""Users whose lists are measured, at most; a sample of them by the seed."""
BLOCK = 256  # histories that are scored at once


@dataclass(frozen=True)
class RulesCost:
    """Lists that keep some rules.

    Attributes:
        rules: What the rules are called; `none` and `all` for none and all of them.
        ndcg: Mean ndcg@k over the users.
        coverage: Share of the catalogue that is in any of the lists.
        unkept: Share of the lists in which a rule could not be kept.
        users: Number of users.
    """

    rules: str
    ndcg: float
    coverage: float
    unkept: float
    users: int


def rules_cost(
    recommender: Recommender, fold: Fold, rules: RuleSet, now: int, *, k: int, exclude_seen: bool = True, seed: int = 0
) -> list[RulesCost]:
    """Measure lists without rules, with each rule alone, and with all of them.

    Args:
        recommender: A fitted recommender.
        fold: The test part.
        rules: The rules.
        now: The time that ages count from, in seconds since 1970.
        k: Length of the lists.
        exclude_seen: Leave out the items of the history.
        seed: Seed of the sample of users.

    Returns:
        A row without rules, one for each rule, and one for all where there are several.

    Raises:
        EvaluationError: If no user of the test part likes anything.
    """
    target = fold.target.matrix() > 0
    users = np.flatnonzero(np.diff(target.indptr))
    if not len(users):
        raise EvaluationError("rules: no user of the test part has an interaction of weight above 0; use another split")
    if len(users) > USERS:
        users = np.sort(np.random.default_rng(seed).choice(users, USERS, replace=False))
    sets: list[tuple[str, Sequence[Rule]]] = [("none", ()), *((rule.label, (rule,)) for rule in rules.rules)]
    if len(rules.rules) > 1:
        sets.append(("all", rules.rules))
    out = []
    for name, some in sets:
        chosen = RuleSet(some, rules.fields, rules.row)
        lists: list[RuledList] = []
        for start in range(0, len(users), BLOCK):
            history = fold.context.history(users[start : start + BLOCK])
            lists += recommend_by_rules(recommender, history, chosen, now, k=k, exclude_seen=exclude_seen)
        hits = np.zeros((len(users), k), bool)
        for at, (user, found) in enumerate(zip(users.tolist(), lists, strict=True)):
            liked = target.indices[target.indptr[user] : target.indptr[user + 1]]
            hits[at, : len(found.items)] = np.isin(found.items, liked)
        shown = np.unique(np.concatenate([found.items for found in lists]))
        out.append(
            RulesCost(
                name,
                float(ndcg_of_lists(hits, np.diff(target.indptr)[users].astype(np.int64)).mean()),
                len(shown) / fold.target.n_items,
                sum(bool(found.unkept) for found in lists) / len(lists),
                len(users),
            )
        )
    return out
