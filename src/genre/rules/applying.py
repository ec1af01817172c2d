"""What rules do to a list: candidates in, best first; the list that keeps the rules out.

In this order: items that may not be shown leave (`hide`, `only`, `not_within`); scores move (`boost`, `bury`); pinned
items get their places (`pin`); places are kept for `at_least`; the others are filled by score within `at_most`. An
earlier rule wins over a later one, and what could not be kept is said. Does not know how candidates are found.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from genre.arrays import Int32, Int64
from genre.data.durations import DAY
from genre.recommenders.phrasebook import PHRASEBOOKS, Language, Phrasebook
from genre.rules.built_in import AtLeast, AtMost
from genre.rules.rule_set import NARROW, RuleSet, Scores


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


def apply_rules(
    rules: RuleSet,
    items: Int32,
    scores: Scores,
    k: int,
    now: int,
    *,
    past: Past = NOTHING,
    exclude_seen: bool = True,
    language: Language = "en",
) -> RuledList:
    """Make the list of one user.

    Args:
        rules: The rules.
        items: Rows of the candidates, best first; they are allowed, and not seen where those are left out. `[n]`
        scores: Their scores. `[n]`
        k: Length of the list.
        now: The time, in seconds since 1970.
        past: What the user had.
        exclude_seen: Whether a pinned item that the user had is left out.
        language: Language of the notes, and of what could not be kept.

    Returns:
        The list, of length `k` where there are enough candidates.
    """
    if rules.only_hides:
        return RuledList(items[:k], scores[:k], [""] * len(items[:k]), [])
    recent = _recent(rules, past, now)
    if recent:
        kept = ~np.isin(items, list(recent))
        items, scores = items[kept], scores[kept]
    moves, order = rules.added(now), None
    if moves is not None:
        added = moves[items]
        order = np.argsort(-(_scaled(scores, k) + added), kind="stable")
    draft = _Draft(rules, items if order is None else items[order], k, now, PHRASEBOOKS[language])
    if rules.pins:
        draft.pin(past.item if exclude_seen else NOTHING.item, recent)
    for rule in rules.shares:
        draft.reserve(rule, first=items[:k])
    draft.fill()
    rows, places = draft.finish()
    if order is not None:
        draft.note_boosted(places, order, added[order])
    known = np.append(scores if order is None else scores[order], math.nan)  # the last for a pinned one: place -1
    notes = [draft.notes.get(row, "") for row in rows] if draft.notes else [""] * len(rows)
    return RuledList(np.array(rows, np.int32), known[places], notes, draft.unkept)


def _recent(rules: RuleSet, past: Past, now: int) -> set[int]:
    """Return the items that the user had so recently that they are not shown again."""
    if rules.days is None:
        return set()
    if past.timestamp is None:
        return set(past.item.tolist())
    return set(past.item[past.timestamp > now - rules.days * DAY].tolist())


def _scaled(scores: Scores, k: int) -> Scores:
    """Scale scores so that the best of `NARROW * k` candidates gets 1 and the last of them 0; others are below."""
    ranked = np.sort(scores)[::-1][: NARROW * k]
    span = ranked[0] - ranked[-1] if len(ranked) else 0.0
    return np.asarray((scores - ranked[-1]) / span) if span > 0 else np.zeros(len(scores))


class _Draft:
    """A list in the making. Candidates are known by their place among all, best first after boosts."""

    def __init__(self, rules: RuleSet, items: Int32, k: int, now: int, words: Phrasebook) -> None:
        self.rules, self.k, self.now, self.words = rules, k, now, words
        self.items = items
        self.rows: list[int] = items.tolist()
        self.pinned: dict[int, int] = {}  # place in the list, from 0 -> row
        self.taken: set[int] = set()  # rows
        self.chosen: list[int] = []  # places among the candidates
        self.notes: dict[int, str] = {}
        self.unkept: list[str] = []
        self.limits = [_Limit(rule, rules, now) for rule in rules.limits]
        self.free = k

    def pin(self, seen: Int32, recent: Collection[int]) -> None:
        """Give pinned items their places; `seen` and `recent`: rows of those that the user had."""
        allowed = self.rules.allowed(self.now)
        for rule in self.rules.pins:
            row, place = self.rules.row.get(rule.item), min(rule.place, self.k) - 1
            if row is None:
                why = self.words.unknown
            elif allowed is not None and not allowed[row]:
                why = self.words.hidden
            elif row in recent or (seen == row).any():
                why = self.words.had
            elif place in self.pinned or row in self.taken:
                why = self.words.pinned_twice
            else:
                self.pinned[place] = row
                self.notes[row] = self.words.titles(self.words.placed, [rule.label])
                self._take(row)
                continue
            said = self.words.not_at_place.format(rule=rule.label, item=rule.item, place=rule.place, why=why)
            self.unkept.append(said)
        for limit in self.limits:
            self.unkept += limit.broken(self.words)

    def reserve(self, rule: AtLeast, first: Int32) -> None:
        """Choose what a rule asks for; `first`: items that would be in the list without any rule."""
        holds, wanted = self.rules.holds_for(rule, self.now), rule.places(self.k)
        have = sum(bool(holds[row]) for row in self.taken)
        for at in holds[self.items].nonzero()[0].tolist():
            if have >= wanted or self.free == 0:
                break
            if self._choose(at, self.rows[at]):
                have += 1
                if self.rows[at] not in first:
                    self.notes[self.rows[at]] = self.words.titles(self.words.placed, [rule.label])
        if have < wanted:
            self.unkept.append(self.words.too_few.format(rule=rule.label, have=have, wanted=wanted))

    def fill(self) -> None:
        """Fill the places that are free with the best candidates within all limits."""
        for at, row in enumerate(self.rows):
            if self.free == 0:
                break
            self._choose(at, row)

    def finish(self) -> tuple[list[int], list[int]]:
        """Put chosen items in the order of candidates, around those that are pinned.

        Returns:
            Their rows and their places among the candidates; -1 for a pinned item that was none.
        """
        places = sorted(self.chosen)
        rows = [self.rows[at] for at in places]
        if not self.pinned:
            return rows, places
        n = len(places) + len(self.pinned)
        late = sorted(place for place in self.pinned if place >= n)  # of a list that came out shorter
        at_place = {place: row for place, row in self.pinned.items() if place < n}
        for place in range(n - 1, -1, -1):
            if late and place not in at_place:
                at_place[place] = self.pinned[late.pop()]
        for place, row in sorted(at_place.items()):
            rows.insert(place, row)
            places.insert(place, self.rows.index(row) if row in self.rows else -1)
        return rows, places

    def note_boosted(self, places: Sequence[int], order: npt.NDArray[np.intp], added: Scores) -> None:
        """Say of items that boosts moved up that they did; `added`: what was added to each candidate."""
        for place, at in enumerate(places):
            if at >= 0 and added[at] > 0 and place < order[at] and self.rows[at] not in self.notes:
                row = self.rows[at]
                self.notes[row] = self.words.titles(self.words.moved_up, [self.rules.booster(row, self.now)])

    def _choose(self, at: int, row: int) -> bool:
        """Choose a candidate, the item `row`, unless it is taken or a limit is full; tell whether it was chosen."""
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
        self.label, self.most = rule.label, rule.n
        self.used: dict[str, int] = {}
        self.full: set[str] = set()
        self.holds = rules.holds_for(rule, now) if rule.where or rule.items else None
        self.categories = None if rule.per is None else rules.fields.categories(rule.per)

    def _keys(self, row: int) -> Sequence[str]:
        if self.holds is not None and not self.holds[row]:
            return ()
        return ("",) if self.categories is None else self.categories[row]

    def full_for(self, row: int) -> bool:
        keys = self._keys(row)
        return not self.full.isdisjoint(keys) if self.most else len(keys) > 0

    def count(self, row: int) -> None:
        for key in self._keys(row):
            n = self.used[key] = self.used.get(key, 0) + 1
            if n >= self.most:
                self.full.add(key)

    def broken(self, words: Phrasebook) -> list[str]:
        """Say where pinned items alone are more than the limit."""
        return [
            (words.too_many_of if key else words.too_many).format(rule=self.label, n=n, category=key, most=self.most)
            for key, n in self.used.items()
            if n > self.most
        ]
