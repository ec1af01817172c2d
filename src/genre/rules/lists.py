"""What rules do to a list: candidates in, best first; the list that keeps the rules out.

In this order: items that may not be shown leave (`hide`, `only`, `not_within`); scores move (`boost`, `bury`); pinned
items get their places (`pin`); places are kept for `at_least`; the others are filled by score within `at_most`. An
earlier rule wins over a later one, and what could not be kept is said.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from genre.arrays import Int32, Int64
from genre.data.dataset import Dataset
from genre.data.item_fields import DAY, ItemFields, Mask
from genre.rules.base import Rule
from genre.rules.kinds import AtLeast, AtMost, Boost, Bury, Hide, NotWithin, Only, Pin

Scores = npt.NDArray[np.floating[Any]]
POOL = 200
"""Candidates of a list, at least; 20 * k for long lists."""
HOUR = 3600
"""Ages are counted to the hour, so that masks are made once an hour."""


class RuledList(NamedTuple):
    """A list that keeps the rules.

    Attributes:
        items: Rows of the items, in their places. `[n]`
        scores: Their scores, NaN for a pinned item that was no candidate. `[n]`
        notes: For each item what a rule did for it, or an empty text. `[n]`
        unkept: Which rules could not be kept, and why.
    """

    items: Int32
    scores: Scores
    notes: list[str]
    unkept: list[str]


class Past(NamedTuple):
    """What a user had.

    Attributes:
        item: Rows of items. `[m]`
        timestamp: Seconds since 1970; None: unknown, which counts as now. `[m]`
    """

    item: Int32
    timestamp: Int64 | None = None


NOTHING = Past(np.empty(0, np.int32))


def rules_for(rules: Sequence[Rule], dataset: Dataset) -> RuleSet | None:
    """Make rules ready for the items of a dataset.

    Args:
        rules: The rules.
        dataset: The data.

    Returns:
        The rules; None where there are none.

    Raises:
        DataError: If a rule names a field that items do not have.
    """
    if not rules:
        return None
    ids = dataset.item_ids.values.to_pylist()
    found = RuleSet(tuple(rules), ItemFields(dataset.items), {item_id: row for row, item_id in enumerate(ids)})
    found.check()
    return found


@dataclass(frozen=True, eq=False)
class RuleSet:
    """Rules made ready for the items of a catalogue.

    Attributes:
        rules: The rules.
        fields: The fields of all items.
        row: Row of each item id.
    """

    rules: tuple[Rule, ...]
    fields: ItemFields
    row: Mapping[str, int]
    _allowed: dict[int, Mask] = field(default_factory=dict)

    def check(self) -> None:
        """Check that items have the fields that rules name.

        Raises:
            DataError: If no item has one; the message suggests a field.
        """
        for at, rule in enumerate(self.rules):
            names = [*rule.where, *([rule.per] if isinstance(rule, AtMost) and rule.per is not None else [])]
            for name in names:
                self.fields.check(name, f"rules[{at}] ({rule.label})")

    def pool(self, k: int) -> int:
        """Return how many candidates a list is made from.

        Args:
            k: Length of the list.

        Returns:
            `k` where rules only hide, else more.
        """
        return k if all(isinstance(rule, (Hide, Only)) for rule in self.rules) else max(POOL, 20 * k)

    def allowed(self, now: int) -> Mask | None:
        """Return the items that may be in a list.

        Args:
            now: The time, in seconds since 1970.

        Returns:
            The mask, the very same within an hour; None for all items. `[n_items]`
        """
        hour = now // HOUR
        if hour not in self._allowed:
            mask = np.ones(self.fields.n_items, bool)
            for rule in self.rules:
                if isinstance(rule, Hide):
                    mask &= ~self.holds_for(rule, now)
                elif isinstance(rule, Only):
                    mask &= self.holds_for(rule, now)
            self._allowed.clear()
            self._allowed[hour] = mask
        return self._allowed[hour] if any(isinstance(rule, (Hide, Only)) for rule in self.rules) else None

    def arrange(
        self, items: Int32, scores: Scores, k: int, now: int, *, past: Past = NOTHING, exclude_seen: bool = True
    ) -> RuledList:
        """Make the list of one user.

        Args:
            items: Rows of the candidates, best first; they are allowed, and not seen where those are left out. `[n]`
            scores: Their scores. `[n]`
            k: Length of the list.
            now: The time, in seconds since 1970.
            past: What the user had.
            exclude_seen: Whether a pinned item that the user had is left out.

        Returns:
            The list, of length `k` where there are enough candidates.
        """
        recent = self._recent(past, now)
        if recent:
            kept = ~np.isin(items, list(recent))
            items, scores = items[kept], scores[kept]
        added = self._added(items, now)
        order = np.argsort(-(unit(scores) + added), kind="stable")
        draft = _Draft(self, k, now)
        draft.pin(recent.union(past.item.tolist() if exclude_seen else ()))
        candidates = items[order].tolist()
        draft.reserve(candidates)
        draft.fill(candidates)
        return draft.finish(items, scores, added)

    def holds_for(self, rule: Rule, now: int) -> Mask:
        """Return the items for which a rule holds.

        Args:
            rule: One of the rules.
            now: The time, in seconds since 1970.

        Returns:
            The mask. `[n_items]`
        """
        return rule.holds_for(self.fields, self.row, now // HOUR * HOUR)

    def wanted(self, now: int) -> list[Mask]:
        """Return the items that lists must have some of; candidates should come from these too.

        Args:
            now: The time, in seconds since 1970.

        Returns:
            The allowed items of each `at_least` rule, and those of all `pin` rules. `[n_items]` each
        """
        allowed = self.allowed(now)
        held = [self.holds_for(rule, now) for rule in self.rules if isinstance(rule, AtLeast)]
        pinned = [self.row[rule.item] for rule in self.rules if isinstance(rule, Pin) and rule.item in self.row]
        if pinned:
            held.append(np.isin(np.arange(self.fields.n_items), pinned))
        return [mask if allowed is None else mask & allowed for mask in held]

    def _recent(self, past: Past, now: int) -> set[int]:
        """Return the items that the user had so recently that they are not shown again."""
        days = max((rule.days for rule in self.rules if isinstance(rule, NotWithin)), default=None)
        if days is None:
            return set()
        if past.timestamp is None:
            return set(past.item.tolist())
        return set(past.item[past.timestamp > now - days * DAY].tolist())

    def _added(self, items: Int32, now: int) -> Scores:
        """Return what rules add to the scores of candidates. `[n]`."""
        added = np.zeros(len(items))
        for rule in self.rules:
            if isinstance(rule, (Boost, Bury)):
                added += self.holds_for(rule, now)[items] * (rule.by if isinstance(rule, Boost) else -rule.by)
        return added


class _Draft:
    """A list in the making: rows that have a place, and those that wait for one."""

    def __init__(self, rules: RuleSet, k: int, now: int) -> None:
        self.rules, self.k, self.now = rules, k, now
        self.pinned: dict[int, int] = {}  # place, from 0 -> row
        self.chosen: list[int] = []  # rows without a place of their own
        self.notes: dict[int, str] = {}
        self.unkept: list[str] = []
        self.limits = [_Limit(rule, rules, now) for rule in rules.rules if isinstance(rule, AtMost)]

    def pin(self, had: Collection[int]) -> None:
        """Give pinned items their places."""
        allowed = self.rules.allowed(self.now)
        for rule in self.rules.rules:
            if not isinstance(rule, Pin):
                continue
            row, place = self.rules.row.get(rule.item), min(rule.place, self.k) - 1
            why = None
            if row is None:
                why = "not in the catalogue"
            elif allowed is not None and not allowed[row]:
                why = "hidden by another rule"
            elif row in had:
                why = "the user had it"
            elif place in self.pinned or row in self.pinned.values():
                why = "another rule pins the item or the place"
            if row is None or why:
                self.unkept.append(f"{rule.label}: item {rule.item} is not at place {rule.place}: {why}")
                continue
            self.pinned[place] = row
            self.notes[row] = f"placed here by a rule ({rule.label})"
            self._count(row)
        for limit in self.limits:
            self.unkept += limit.broken()

    def reserve(self, candidates: Sequence[int]) -> None:
        """Choose what `at_least` asks for: the best candidates that fulfil it and that fill up no limit."""
        for rule in self.rules.rules:
            if not isinstance(rule, AtLeast):
                continue
            holds, wanted = self.rules.holds_for(rule, self.now), math.ceil(rule.share * self.k - 1e-9)
            have = sum(bool(holds[row]) for row in (*self.pinned.values(), *self.chosen))
            for row in candidates:
                if have >= wanted or self._free() == 0:
                    break
                if holds[row] and self._choose(row):
                    self.notes[row] = f"placed here by a rule ({rule.label})"
                    have += 1
            if have < wanted:
                self.unkept.append(f"{rule.label}: {have} of {wanted} places; no more items fit it and the other rules")

    def fill(self, candidates: Sequence[int]) -> None:
        """Fill the places that are free with the best candidates within all limits."""
        for row in candidates:
            if self._free() == 0:
                break
            self._choose(row)

    def finish(self, items: Int32, scores: Scores, added: Scores) -> RuledList:
        """Put chosen items in the order of their scores, around those that are pinned."""
        score = dict(zip(items.tolist(), scores.tolist(), strict=True))
        at = {row: place for place, row in enumerate(items.tolist())}
        value = dict(zip(items.tolist(), (unit(scores) + added).tolist(), strict=True))
        waiting = sorted(self.chosen, key=lambda row: (-value[row], at[row]))
        rows: list[int] = []
        pins = dict(self.pinned)
        while waiting or pins:
            place = len(rows)
            nearest = place if place in pins else min(pins, default=None) if not waiting else None
            rows.append(pins.pop(nearest) if nearest is not None else waiting.pop(0))
        plain = set(items[: self.k].tolist())
        for row in rows:
            if row in self.notes and row in plain and row not in self.pinned.values():
                del self.notes[row]  # it would have been in the list anyway
            if row not in self.notes and row in at and added[at[row]] > 0 and rows.index(row) < at[row]:
                self.notes[row] = f"moved up by a rule ({self._booster(row)})"
        return RuledList(
            np.array(rows, np.int32),
            np.array([score.get(row, np.nan) for row in rows], np.float64),
            [self.notes.get(row, "") for row in rows],
            self.unkept,
        )

    def _booster(self, row: int) -> str:
        found = (r for r in self.rules.rules if isinstance(r, Boost) and self.rules.holds_for(r, self.now)[row])
        return next(found).label

    def _free(self) -> int:
        return self.k - len(self.pinned) - len(self.chosen)

    def _choose(self, row: int) -> bool:
        """Choose a row unless it is chosen already or a limit is full; tell whether it was chosen now."""
        if row in self.chosen or row in self.pinned.values() or any(limit.full_for(row) for limit in self.limits):
            return False
        self.chosen.append(row)
        self._count(row)
        return True

    def _count(self, row: int) -> None:
        for limit in self.limits:
            limit.count(row)


class _Limit:
    """How much of an `at_most` rule is used up."""

    def __init__(self, rule: AtMost, rules: RuleSet, now: int) -> None:
        self.rule, self.used = rule, Counter[str]()
        anywhere = not rule.where and not rule.items
        self.holds = None if anywhere else rules.holds_for(rule, now)
        self.categories = None if rule.per is None else rules.fields.categories(rule.per)

    def _keys(self, row: int) -> Sequence[str]:
        if self.holds is not None and not self.holds[row]:
            return ()
        return ("",) if self.categories is None else self.categories[row]

    def full_for(self, row: int) -> bool:
        return any(self.used[key] >= self.rule.n for key in self._keys(row))

    def count(self, row: int) -> None:
        self.used.update(self._keys(row))

    def broken(self) -> list[str]:
        """Say where pinned items alone are more than the limit."""
        most = self.rule.n
        over = {key: n for key, n in self.used.items() if n > most}
        return [f"{self.rule.label}: {n} pinned items{key and f' of {key}'}, {most} allowed" for key, n in over.items()]


def unit(values: Scores) -> Scores:
    """Scale to 0..1; all 0 where all are equal.

    Args:
        values: Scores. `[n]`

    Returns:
        The scaled scores. `[n]`
    """
    span = float(values.max() - values.min()) if len(values) else 0.0
    return np.asarray((values - values.min()) / span if span > 0 else np.zeros(len(values)))


def with_note(reason: str, note: str) -> str:
    """Add what a rule did for an item to the reason for which it is recommended.

    Args:
        reason: A sentence, or an empty text.
        note: A note of `RuledList`, or an empty text.

    Returns:
        Both.
    """
    return "; ".join(part for part in (note, reason) if part)
