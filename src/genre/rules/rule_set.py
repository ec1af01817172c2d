"""The rules of a shop made ready for a catalogue: for which items each holds, and which candidates lists need.

What rules do to a list of candidates is in `applying.py`. Knows no list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from genre.data.dataset import Dataset
from genre.data.durations import HOUR
from genre.data.item_fields import ItemFields, Mask
from genre.recommenders.listing import Among
from genre.rules.base import Rule
from genre.rules.built_in import AtLeast, AtMost, Boost, Bury, Hide, NotWithin, Only, Pin

Scores = npt.NDArray[np.floating[Any]]
R = TypeVar("R", bound=Rule)

POOL = 200
"""Candidates of a list whose order is changed, at least; 20 * k for long lists."""
NARROW = 4
"""Candidates by the length of a list; if rules leave too few of them, the pool is."""
MOST_MOVES = 4
"""Sums of boosts whose items are looked for one by one."""


@dataclass(frozen=True, eq=False)
class _Wanted:
    """Items that lists may have some of.

    Attributes:
        mask: The items. `[n_items]`
        n_items: Their number.
        enough: How many of the best of them suffice for a list, by its length; None: as many as a pool has.
    """

    mask: Mask
    n_items: int
    enough: Callable[[int], int] | None


class Limit(NamedTuple):
    """Items of which a list has at most so many.

    Attributes:
        number: Number of the `at_most` rule, from 0.
        category: A category of its field; empty where the rule counts all its items together.
    """

    number: int
    category: str


@dataclass(eq=False)
class _Hour:
    """What rules want within one hour; each part is made when it is first used.

    Attributes:
        number: Hours since 1970: ages are counted to the hour, so that masks are made once an hour.
        masks: The items for which a rule holds, by its id; at 0 all that are allowed.
        wanted: What `RuleSet.wanted` looks for.
        added: What rules add to the score of each item.
        limits: What `RuleSet.limits_of` returns.
    """

    number: int
    masks: dict[int, Mask] = field(default_factory=dict)
    wanted: list[_Wanted] | None = None
    added: Scores | None = None
    limits: Callable[[int], tuple[Limit, ...]] | None = None


class RuleSet:
    """Rules made ready for the items of a catalogue.

    Attributes:
        rules: The rules.
        fields: The fields of all items.
        row: Row of each item id.
        pins: The `pin` rules.
        shares: The `at_least` rules.
        limits: The `at_most` rules.
        days: Days within which an item that a user had is not shown again, None where no rule says so.
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
        self.days = max((rule.days for rule in self._of(NotWithin)), default=None)
        self._hour = _Hour(-1)

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
        """Return how many of the best items a list is made from, before those of `wanted`.

        Args:
            k: Length of the list.
            wide: False: as few as suffice for most lists; a list that comes out shorter than `k` wants a wide pool.

        Returns:
            `k` where rules only hide, else more.
        """
        if self.only_hides:
            return k
        return pool_size(k) if wide else NARROW * k

    def holds_for(self, rule: Rule, now: int) -> Mask:
        """Return the items for which a rule holds.

        Args:
            rule: One of the rules.
            now: The time, in seconds since 1970.

        Returns:
            The mask, the very same within an hour. `[n_items]`
        """
        masks = self._at(now).masks
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
        masks = self._at(now).masks
        if 0 not in masks:
            hidden = [self.holds_for(rule, now) for rule in self._hide]
            shown = [self.holds_for(rule, now) for rule in self._only]
            masks[0] = np.logical_and.reduce([*(~mask for mask in hidden), *shown])
        return masks[0]

    def _at(self, now: int) -> _Hour:
        hour = self._hour
        if hour.number != now // HOUR:
            hour = self._hour = _Hour(now // HOUR)
        return hour

    def wanted(self, now: int, k: int, *, wide: bool = True, within: Mask | None = None) -> list[Among]:
        """Return what lists may have some of, wherever it is in the catalogue.

        The best items are in the pool. Of the others, those can be in a list to whose scores rules add more than to
        those of some other items, and those of `at_least` and `pin` rules.

        Args:
            now: The time, in seconds since 1970.
            k: Length of the lists.
            wide: False: as few as suffice for most lists, as in `pool`.
            within: The only items that may be recommended; None: all that are allowed. `[n_items]`

        Returns:
            Allowed items and how many of them to look for.
        """
        hour = self._at(now)
        if hour.wanted is None:
            hour.wanted = self._make_wanted(now)
        pool, found, whole = self.pool(k, wide=wide), [], np.zeros(self.fields.n_items, bool)
        for one in hour.wanted:
            n = pool if one.enough is None else one.enough(k)
            if n < one.n_items:
                found.append((n, one.mask))
            else:
                whole |= one.mask
        if whole.any():  # all of these items, found by one query
            found.append((int(np.count_nonzero(whole)), whole))
        within = None if within is self.allowed(now) else within
        return [Among(n, mask if within is None else mask & within) for n, mask in found]

    def _make_wanted(self, now: int) -> list[_Wanted]:
        in_order = not (self.limits or self.days)  # the best of them are those to take
        added, allowed = self.added(now), self.allowed(now)
        found: list[tuple[Mask, Callable[[int], int] | None]] = [
            (self.holds_for(rule, now), rule.places if in_order and added is None else None) for rule in self.shares
        ]
        pinned = [self.row[rule.item] for rule in self.pins if rule.item in self.row]
        if pinned:
            found.append((np.isin(np.arange(self.fields.n_items), pinned), lambda _: len(pinned)))
        if added is not None:
            least, *values = np.unique(added)  # of the items with the least added, the best are in the pool
            if len(values) <= MOST_MOVES:
                found += [(added == value, (lambda k: k) if in_order else None) for value in values]
            else:
                found.append((added > least, None))
        masks = [(mask if allowed is None else mask & allowed, enough) for mask, enough in found]
        return [_Wanted(mask, int(np.count_nonzero(mask)), enough) for mask, enough in masks]

    def added(self, now: int) -> Scores | None:
        """Return what rules add to the score of each item, of scores scaled to 0..1.

        Args:
            now: The time, in seconds since 1970.

        Returns:
            The sums, the very same within an hour; None where no rule moves items. `[n_items]`
        """
        if not (self._boost or self._bury):
            return None
        hour = self._at(now)
        if hour.added is None:
            moves = [(rule, rule.by) for rule in self._boost] + [(rule, -rule.by) for rule in self._bury]
            hour.added = np.sum([self.holds_for(rule, now) * by for rule, by in moves], axis=0)
        return hour.added

    def limits_of(self, now: int) -> Callable[[int], tuple[Limit, ...]]:
        """Return what finds the limits that an item counts towards.

        Args:
            now: The time, in seconds since 1970.

        Returns:
            A function of the row of an item, which looks each up once an hour.
        """
        hour = self._at(now)
        if hour.limits is None:
            hour.limits = cache(partial(self._limits, now))
        return hour.limits

    def _limits(self, now: int, row: int) -> tuple[Limit, ...]:
        found: list[Limit] = []
        for number, rule in enumerate(self.limits):
            if (rule.where or rule.items) and not self.holds_for(rule, now)[row]:
                continue
            categories = ("",) if rule.per is None else self.fields.categories(rule.per)[row]
            found += [Limit(number, category) for category in categories]
        return tuple(found)

    def booster(self, row: int, now: int) -> str:
        """Return what the first rule that moves an item up is called.

        Args:
            row: Row of the item.
            now: The time, in seconds since 1970.

        Returns:
            Its label.
        """
        return next(rule.label for rule in self._boost if self.holds_for(rule, now)[row])


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


def pool_size(k: int) -> int:
    """Return how many items are scored so that `k` of them can be chosen in another order.

    Args:
        k: Length of the list.

    Returns:
        Size of the pool.
    """
    return max(POOL, 20 * k)
