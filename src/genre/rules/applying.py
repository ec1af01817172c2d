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

from genre.arrays import Int32, Int64
from genre.data.durations import DAY
from genre.recommenders.phrasebook import PHRASEBOOKS, Language, Phrasebook
from genre.rules.built_in import AtLeast
from genre.rules.rule_set import NARROW, Limit, RuleSet, Scores


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


class Recipient(NamedTuple):
    """Whom a list is for.

    Attributes:
        k: Length of the list.
        past: What the user had.
        language: Language of the notes, and of what could not be kept.
    """

    k: int
    past: Past = Past(np.empty(0, np.int32))
    language: Language = "en"


def apply_rules(
    rules: RuleSet,
    items: Int32,
    scores: Scores,
    recipients: Sequence[Recipient],
    now: int,
    *,
    exclude_seen: bool = True,
) -> list[RuledList]:
    """Make the lists of some users.

    Args:
        rules: The rules.
        items: Rows of the candidates, best first; they are allowed, and not seen where those are left out; -1 behind
            the last. `[n, m]`
        scores: Their scores, minus infinity behind the last. `[n, m]`
        recipients: Whom the lists are for. `[n]`
        now: The time, in seconds since 1970.
        exclude_seen: Whether a pinned item that the user had is left out.

    Returns:
        The lists, each of length `k` where there are enough candidates. `[n]`
    """
    if rules.days is not None:
        items, scores = _without(items, scores, [_recent(one.past, rules.days, now) for one in recipients])
    lengths = (items >= 0).sum(axis=1).tolist()
    if rules.only_hides:
        ends = [min(one.k, length) for one, length in zip(recipients, lengths, strict=True)]
        return [RuledList(items[at, :end], scores[at, :end], [""] * end, []) for at, end in enumerate(ends)]
    first, before, moves = items[:, : max(one.k for one in recipients)].tolist(), None, rules.added(now)
    if moves is not None and items.size:
        n_best = [min(NARROW * one.k, length) for one, length in zip(recipients, lengths, strict=True)]
        items, scores, before = _moved(items, scores, n_best, moves)
    fits = [rules.holds_for(rule, now)[items] for rule in rules.shares]  # [n, m] each
    known = np.append(scores, np.full((len(scores), 1), math.nan), axis=1)  # the last for a pinned item: place -1
    lists = []
    for at, (rows, length, one) in enumerate(zip(items.tolist(), lengths, recipients, strict=True)):
        draft = _Draft(rules, rows[:length], one.k, now, PHRASEBOOKS[one.language])
        if rules.pins:
            draft.pin(one.past, exclude_seen=exclude_seen)
        for rule, fitting in zip(rules.shares, fits, strict=True):
            draft.reserve(rule, np.flatnonzero(fitting[at, :length]).tolist(), first[at][: one.k])
        draft.fill()
        lists.append(draft.finish(known[at], None if before is None else before[at]))
    return lists


def _recent(past: Past, days: float, now: int) -> Int32:
    """Return the items that the user had so recently that they are not shown again."""
    return past.item if past.timestamp is None else past.item[past.timestamp > now - days * DAY]


def _without(items: Int32, scores: Scores, recent: Sequence[Int32]) -> tuple[Int32, Scores]:
    """Return the candidates without those that each user had recently."""
    gone = np.stack([np.isin(row, had) for row, had in zip(items, recent, strict=True)])  # [n, m]
    left = np.arange(len(items))[:, None], np.argsort(gone, axis=1, kind="stable")
    return np.where(gone, -1, items)[left], np.where(gone, -np.inf, scores)[left]


def _moved(items: Int32, scores: Scores, n_best: Sequence[int], moves: Scores) -> tuple[Int32, Scores, Int64]:
    """Order candidates by scores that are scaled and moved.

    Args:
        items: Rows of the candidates, best first. `[n, m]`
        scores: Their scores. `[n, m]`
        n_best: Of how many candidates the best gets 1 and the last 0. `[n]`
        moves: What is added to the score of each item. `[n_items]`

    Returns:
        The candidates and their scores in the new order, and of each that moves up its place before, else -1.
    """
    ranked, each = -np.sort(-scores, axis=1), np.arange(len(items))[:, None]
    last = ranked[each, np.maximum(n_best, 1)[:, None] - 1]  # [n, 1]
    with np.errstate(invalid="ignore"):  # of a row without candidates
        span = ranked[:, :1] - last
        scaled = np.where(span > 0, (scores - last) / np.where(span > 0, span, 1), 0)
    added = np.where(items >= 0, moves[items], -np.inf)
    order = each, np.argsort(-(scaled + added), axis=1, kind="stable")
    before = np.where(added > 0, np.arange(items.shape[1]), -1)
    return items[order], scores[order], before[order]


class _Draft:
    """A list in the making. Candidates are known by their place among all, best first after boosts."""

    def __init__(self, rules: RuleSet, rows: list[int], k: int, now: int, words: Phrasebook) -> None:
        self.rules, self.rows, self.k, self.now, self.words = rules, rows, k, now, words
        self.pinned: dict[int, int] = {}  # place in the list, from 0 -> row
        self.taken: set[int] = set()  # rows
        self.chosen: list[int] = []  # places among the candidates
        self.notes: dict[int, str] = {}
        self.unkept: list[str] = []
        self.limits, self.most = rules.limits_of(now), [rule.n for rule in rules.limits]
        self.used: dict[Limit, int] = {}  # items that count towards it
        self.free = k

    def pin(self, past: Past, *, exclude_seen: bool) -> None:
        """Give pinned items their places."""
        for rule in self.rules.pins:
            row, place = self.rules.row.get(rule.item, -1), min(rule.place, self.k) - 1
            why = self._why_not(row, place, past, exclude_seen=exclude_seen)
            if why:
                said = self.words.not_at_place.format(rule=rule.label, item=rule.item, place=rule.place, why=why)
                self.unkept.append(said)
            else:
                self.pinned[place] = row
                self.notes[row] = self.words.titles(self.words.placed, [rule.label])
                self._take(row, self.limits(row))
        for limit, n in sorted(self.used.items(), key=lambda pair: pair[0].number):
            most, label = self.most[limit.number], self.rules.limits[limit.number].label
            if n > most:
                words = self.words.too_many_of if limit.category else self.words.too_many
                self.unkept.append(words.format(rule=label, n=n, category=limit.category, most=most))

    def _why_not(self, row: int, place: int, past: Past, *, exclude_seen: bool) -> str:
        """Return why an item cannot have a place, empty where it can; row -1: of no item."""
        if row < 0:
            return self.words.unknown
        if row not in self.rows:  # candidates are allowed, and the user did not have them
            allowed, days = self.rules.allowed(self.now), self.rules.days
            if allowed is not None and not allowed[row]:
                return self.words.hidden
            if (exclude_seen and row in past.item) or (days is not None and row in _recent(past, days, self.now)):
                return self.words.had
        return self.words.pinned_twice if place in self.pinned or row in self.taken else ""

    def reserve(self, rule: AtLeast, fitting: Sequence[int], first: Collection[int]) -> None:
        """Choose what a rule asks for.

        Args:
            rule: The rule.
            fitting: Places of the candidates for which it holds.
            first: Rows that would be in the list without any rule.
        """
        holds, wanted = self.rules.holds_for(rule, self.now), rule.places(self.k)
        have = sum(bool(holds[row]) for row in self.taken)
        for at in fitting:
            if have >= wanted or self.free == 0:
                break
            if self._choose(at):
                have += 1
                if self.rows[at] not in first:
                    self.notes[self.rows[at]] = self.words.titles(self.words.placed, [rule.label])
        if have < wanted:
            self.unkept.append(self.words.too_few.format(rule=rule.label, have=have, wanted=wanted))

    def fill(self) -> None:
        """Fill the places that are free with the best candidates within all limits."""
        for at in range(len(self.rows)):
            if self.free == 0:
                break
            self._choose(at)

    def finish(self, scores: Scores, before: Int64 | None) -> RuledList:
        """Put chosen items in the order of candidates, around those that are pinned.

        Args:
            scores: Scores of the candidates; the last is that of an item that is none.
            before: Their places before boosts, -1 for those without; None: there are no boosts.

        Returns:
            The list.
        """
        places = sorted(self.chosen)  # among the candidates; -1 for a pinned item that is none
        rows = [self.rows[at] for at in places]
        for place, row in self._pins_of(len(rows) + len(self.pinned)):
            rows.insert(place, row)
            places.insert(place, self.rows.index(row) if row in self.rows else -1)
        if before is not None:
            self._note_boosted(places, before)
        notes = [self.notes.get(row, "") for row in rows] if self.notes else [""] * len(rows)
        return RuledList(np.array(rows, np.int32), scores.take(places), notes, self.unkept)

    def _pins_of(self, n: int) -> list[tuple[int, int]]:
        """Return places in a list of `n` items and the rows pinned there; later ones take the last free places."""
        late = sorted(place for place in self.pinned if place >= n)
        at_place = {place: row for place, row in self.pinned.items() if place < n}
        while late:
            n -= 1
            if n not in at_place:
                at_place[n] = self.pinned[late.pop()]
        return sorted(at_place.items())

    def _note_boosted(self, places: Sequence[int], before: Int64) -> None:
        """Say of items that boosts moved up that they did."""
        for place, at in enumerate(places):
            if at >= 0 and place < before[at] and self.rows[at] not in self.notes:
                row = self.rows[at]
                self.notes[row] = self.words.titles(self.words.moved_up, [self.rules.booster(row, self.now)])

    def _choose(self, at: int) -> bool:
        """Choose a candidate unless it is taken or a limit is full; tell whether it was chosen."""
        row = self.rows[at]
        if row in self.taken:
            return False
        limits, used, most = self.limits(row), self.used, self.most
        for limit in limits:
            if used.get(limit, 0) >= most[limit.number]:
                return False
        self.chosen.append(at)
        self._take(row, limits)
        return True

    def _take(self, row: int, limits: Sequence[Limit]) -> None:
        self.taken.add(row)
        self.free -= 1
        for limit in limits:
            self.used[limit] = self.used.get(limit, 0) + 1
