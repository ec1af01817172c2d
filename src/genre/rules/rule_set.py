"""What rules do to a list: candidates in, best first; the list that keeps the rules out.

In this order: items that may not be shown leave (`hide`, `only`, `not_within`); scores move (`boost`, `bury`); pinned
items get their places (`pin`); places are kept for `at_least`; the others are filled by score within `at_most`. An
earlier rule wins over a later one, and what could not be kept is said.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from genre.arrays import Int32, Int64
from genre.data.dataset import Dataset
from genre.data.item_fields import DAY, ItemFields, Mask
from genre.rules.base import Rule
from genre.rules.built_in import AtLeast, AtMost, Boost, Bury, Hide, NotWithin, Only, Pin

Scores = npt.NDArray[np.floating[Any]]
R = TypeVar("R", bound=Rule)

POOL = 200
"""Candidates of a list whose order is changed, at least; 20 * k for long lists."""
NARROW = 4
"""Candidates by the length of a list, where rules only leave some of them out; if they do not suffice, the pool is."""
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


class RuleSet:
    """Rules made ready for the items of a catalogue.

    Attributes:
        rules: The rules.
        fields: The fields of all items.
        row: Row of each item id.
        pins: The `pin` rules.
        shares: The `at_least` rules.
        limits: The `at_most` rules.
    """

    def __init__(self, rules: Sequence[Rule], fields: ItemFields, row: Mapping[str, int]) -> None:
        """Take rules and items.

        Args:
            rules: The rules.
            fields: The fields of all items.
            row: Row of each item id.
        """
        self.rules, self.fields, self.row = tuple(rules), fields, row
        self.pins, self.shares, self.limits = self._of(Pin), self._of(AtLeast), self._of(AtMost)
        self._hide, self._only = self._of(Hide), self._of(Only)
        self._boost = self._of(Boost)
        self._bury = self._of(Bury)
        self._days = max((rule.days for rule in self._of(NotWithin)), default=None)
        self._masks: dict[int, Mask] = {}  # of this hour, by the id of the rule; 0: all that are allowed
        self._hour = -1

    def _of(self, kind: type[R]) -> list[R]:
        return [rule for rule in self.rules if isinstance(rule, kind)]

    def check(self) -> None:
        """Check that items have the fields that rules name.

        Raises:
            DataError: If no item has one; the message suggests a field.
        """
        for at, rule in enumerate(self.rules):
            names = [*rule.where, *([rule.per] if isinstance(rule, AtMost) and rule.per is not None else [])]
            for name in names:
                self.fields.check(name, f"rules[{at}] ({rule.label})")

    @property
    def only_hides(self) -> bool:
        """Whether a list is the best of the items that `allowed` lets in, and nothing else."""
        return len(self._hide) + len(self._only) == len(self.rules)

    def pool(self, k: int, *, wide: bool = True) -> int:
        """Return how many candidates a list is made from.

        Args:
            k: Length of the list.
            wide: False: as few as suffice for most lists; a list that comes out shorter than `k` wants a wide pool.

        Returns:
            `k` where rules only hide, else more.
        """
        if self.only_hides:
            return k
        if not wide and not (self._boost or self._bury):
            return NARROW * k
        return pool_size(k)

    def holds_for(self, rule: Rule, now: int) -> Mask:
        """Return the items for which a rule holds.

        Args:
            rule: One of the rules.
            now: The time, in seconds since 1970.

        Returns:
            The mask, the very same within an hour. `[n_items]`
        """
        masks = self._masks_of(now)
        if id(rule) not in masks:
            masks[id(rule)] = rule.holds_for(self.fields, self.row, now // HOUR * HOUR)
        return masks[id(rule)]

    def allowed(self, now: int) -> Mask | None:
        """Return the items that may be in a list.

        Args:
            now: The time, in seconds since 1970.

        Returns:
            The mask, the very same within an hour; None for all items. `[n_items]`
        """
        if not self._hide and not self._only:
            return None
        masks = self._masks_of(now)
        if 0 not in masks:
            hidden = [self.holds_for(rule, now) for rule in self._hide]
            shown = [self.holds_for(rule, now) for rule in self._only]
            masks[0] = np.logical_and.reduce([*(~mask for mask in hidden), *shown])
        return masks[0]

    def _masks_of(self, now: int) -> dict[int, Mask]:
        if self._hour != now // HOUR:
            self._hour, self._masks = now // HOUR, {}
        return self._masks

    def wanted(self, now: int) -> list[Mask]:
        """Return the items that lists must have some of; candidates should come from these too.

        Args:
            now: The time, in seconds since 1970.

        Returns:
            The allowed items of each `at_least` rule, and those of all `pin` rules. `[n_items]` each
        """
        allowed = self.allowed(now)
        held = [self.holds_for(rule, now) for rule in self.shares]
        pinned = [self.row[rule.item] for rule in self.pins if rule.item in self.row]
        if pinned:
            held.append(np.isin(np.arange(self.fields.n_items), pinned))
        return [mask if allowed is None else mask & allowed for mask in held]

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
        if self.only_hides:
            return RuledList(items[:k], scores[:k], [""] * len(items[:k]), [])
        recent = self._recent(past, now)
        if recent:
            kept = ~np.isin(items, list(recent))
            items, scores = items[kept], scores[kept]
        added, order = None, None
        if self._boost or self._bury:
            added = self._added(items, now)
            order = np.argsort(-(unit(scores) + added), kind="stable")
        draft = _Draft(self, items if order is None else items[order], k, now)
        if self.pins:
            draft.pin(recent.union(past.item.tolist() if exclude_seen else ()))
        for rule in self.shares:
            draft.reserve(rule, first=set(items[:k].tolist()))
        draft.fill()
        rows, places = draft.finish()
        if order is not None and added is not None:
            draft.note_boosted(places, order, added[order])
        known = scores if order is None else scores[order]
        found = np.array([math.nan if at is None else known[at] for at in places], np.float64)
        return RuledList(np.array(rows, np.int32), found, [draft.notes.get(row, "") for row in rows], draft.unkept)

    def booster(self, row: int, now: int) -> str:
        """Return what the first rule that moves an item up is called.

        Args:
            row: Row of the item.
            now: The time, in seconds since 1970.

        Returns:
            Its label.
        """
        return next(rule.label for rule in self._boost if self.holds_for(rule, now)[row])

    def _recent(self, past: Past, now: int) -> set[int]:
        """Return the items that the user had so recently that they are not shown again."""
        if self._days is None:
            return set()
        if past.timestamp is None:
            return set(past.item.tolist())
        return set(past.item[past.timestamp > now - self._days * DAY].tolist())

    def _added(self, items: Int32, now: int) -> Scores:
        """Return what rules add to the scores of candidates. `[n]`."""
        added = np.zeros(len(items))
        for rule in self._boost:
            added += self.holds_for(rule, now)[items] * rule.by
        for bury in self._bury:
            added -= self.holds_for(bury, now)[items] * bury.by
        return added


class _Draft:
    """A list in the making. Candidates are known by their place among all, best first after boosts."""

    def __init__(self, rules: RuleSet, items: Int32, k: int, now: int) -> None:
        self.rules, self.k, self.now = rules, k, now
        self.rows: list[int] = items.tolist()
        self.pinned: dict[int, int] = {}  # place in the list, from 0 -> row
        self.taken: set[int] = set()  # rows
        self.chosen: list[int] = []  # places among the candidates
        self.notes: dict[int, str] = {}
        self.unkept: list[str] = []
        self.limits = [_Limit(rule, rules, now) for rule in rules.limits]
        self.free = k

    def pin(self, had: Collection[int]) -> None:
        """Give pinned items their places."""
        allowed = self.rules.allowed(self.now)
        for rule in self.rules.pins:
            row, place = self.rules.row.get(rule.item), min(rule.place, self.k) - 1
            if row is None:
                why = "not in the catalogue"
            elif allowed is not None and not allowed[row]:
                why = "hidden by another rule"
            elif row in had:
                why = "the user had it"
            elif place in self.pinned or row in self.taken:
                why = "another rule pins the item or the place"
            else:
                self.pinned[place] = row
                self.notes[row] = f"placed here by a rule ({rule.label})"
                self._take(row)
                continue
            self.unkept.append(f"{rule.label}: item {rule.item} is not at place {rule.place}: {why}")
        for limit in self.limits:
            self.unkept += limit.broken()

    def reserve(self, rule: AtLeast, first: Collection[int]) -> None:
        """Choose what a rule asks for; `first`: items that would be in the list without any rule."""
        holds, wanted = self.rules.holds_for(rule, self.now), math.ceil(rule.share * self.k - 1e-9)
        have = sum(bool(holds[row]) for row in self.taken)
        for at, row in enumerate(self.rows):
            if have >= wanted or self.free == 0:
                break
            if holds[row] and self._choose(at):
                have += 1
                if row not in first:
                    self.notes[row] = f"placed here by a rule ({rule.label})"
        if have < wanted:
            self.unkept.append(f"{rule.label}: {have} of {wanted} places; no more items fit it and the other rules")

    def fill(self) -> None:
        """Fill the places that are free with the best candidates within all limits."""
        for at in range(len(self.rows)):
            if self.free == 0:
                break
            self._choose(at)

    def finish(self) -> tuple[list[int], list[int | None]]:
        """Put chosen items in the order of candidates, around those that are pinned.

        Returns:
            Their rows and their places among the candidates; None for a pinned item that was none.
        """
        waiting = iter(sorted(self.chosen))
        places: list[int | None] = []
        n = len(self.chosen) + len(self.pinned)
        late = sorted(place for place in self.pinned if place >= n)  # of a list that came out shorter
        at_place = {place: row for place, row in self.pinned.items() if place < n}
        for place in range(n - 1, -1, -1):
            if late and place not in at_place:
                at_place[place] = self.pinned[late.pop()]
        rows = []
        for place in range(n):
            if place in at_place:
                row = at_place[place]
                rows.append(row)
                places.append(self.rows.index(row) if row in self.rows else None)
            else:
                at = next(waiting)
                rows.append(self.rows[at])
                places.append(at)
        return rows, places

    def note_boosted(self, places: Sequence[int | None], order: npt.NDArray[np.intp], added: Scores) -> None:
        """Say of items that boosts moved up that they did; `added`: what was added to each candidate."""
        for place, at in enumerate(places):
            if at is not None and added[at] > 0 and place < order[at] and self.rows[at] not in self.notes:
                row = self.rows[at]
                self.notes[row] = f"moved up by a rule ({self.rules.booster(row, self.now)})"

    def _choose(self, at: int) -> bool:
        """Choose a candidate unless it is taken or a limit is full; tell whether it was chosen now."""
        row = self.rows[at]
        if row in self.taken:
            return False
        for limit in self.limits:
            if limit.full_for(row):
                return False
        self.chosen.append(at)
        self._take(row)
        return True

    def _take(self, row: int) -> None:
        self.taken.add(row)
        self.free -= 1
        for limit in self.limits:
            limit.count(row)


class _Limit:
    """How much of an `at_most` rule is used up."""

    def __init__(self, rule: AtMost, rules: RuleSet, now: int) -> None:
        self.rule = rule
        self.used: dict[str, int] = {}
        self.holds = rules.holds_for(rule, now) if rule.where or rule.items else None
        self.categories = None if rule.per is None else rules.fields.categories(rule.per)

    def _keys(self, row: int) -> Sequence[str]:
        if self.holds is not None and not self.holds[row]:
            return ()
        return ("",) if self.categories is None else self.categories[row]

    def full_for(self, row: int) -> bool:
        most = self.rule.n
        return any(self.used.get(key, 0) >= most for key in self._keys(row))

    def count(self, row: int) -> None:
        for key in self._keys(row):
            self.used[key] = self.used.get(key, 0) + 1

    def broken(self) -> list[str]:
        """Say where pinned items alone are more than the limit."""
        most = self.rule.n
        over = {key: n for key, n in self.used.items() if n > most}
        return [f"{self.rule.label}: {n} pinned items{key and f' of {key}'}, {most} allowed" for key, n in over.items()]


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
    found = RuleSet(rules, ItemFields(dataset.items), {item_id: row for row, item_id in enumerate(ids)})
    found.check()
    return found


def with_note(reason: str, note: str) -> str:
    """Add what a rule did for an item to the reason for which it is recommended.

    Args:
        reason: A sentence, or an empty text.
        note: A note of `RuledList`, or an empty text.

    Returns:
        Both.
    """
    return "; ".join(part for part in (note, reason) if part)


def pool_size(k: int) -> int:
    """Return how many items are scored so that `k` of them can be chosen in another order.

    Args:
        k: Length of the list.

    Returns:
        Size of the pool.
    """
    return max(POOL, 20 * k)


def unit(values: Scores) -> Scores:
    """Scale to 0..1; all 0 where all are equal.

    Args:
        values: Scores. `[n]`

    Returns:
        The scaled scores. `[n]`
    """
    span = float(values.max() - values.min()) if len(values) else 0.0
    return np.asarray((values - values.min()) / span if span > 0 else np.zeros(len(values)))
