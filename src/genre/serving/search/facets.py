"""What items can be filtered by: categories, numbers, days and names, found in their fields. Knows no query.

What a field is about (a length of time, a rating, where an item is available) is read from its name.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from genre.data.item_fields import ItemFields, Mask
from genre.data.words import is_id_or_address, split_categories

Kind = Literal["category", "name", "number", "day"]
SAMPLE = 2_000  # items that decide what a field is
MOST_CATEGORIES = 200
FEWEST_ITEMS = 3  # per category, on average, in a field whose name does not tell
LONGEST_NAME = 60  # characters; longer values are texts to read
NUMBERS = 0.9  # share of the values that are numbers, or days, in a field of such

ABOUT: tuple[tuple[str, str], ...] = (
    ("age", r"content_?rating|certificat|mpaa|parental|age_?(?:rating|limit|group)|^age$"),
    ("count", r"count|votes|popularity|^n_|^num_|rank|budget|revenue"),
    ("rating", r"rating|score|stars|vote_?average"),
    ("duration", r"runtime|duration|running_?time|minutes|^length"),
    ("day", r"date|year|released?$|published"),
    ("price", r"price|cost"),
    ("available", r"service|platform|provider|stream|available|network|channel|store|shop"),
    ("language", r"lang"),
    ("genre", r"genre|categor|topic|department|mood|style"),
    ("maker", r"director|author|artist|writer|creator|composer|brand|studio"),
    ("person", r"cast|actor|actress|starring|people|crew"),
)
"""What a field is about -> how its name reads; the first that fits."""
_PARTS = {"title", "overview", "plot", "description", "summary"}


@dataclass(frozen=True)
class Facet:
    """A field that items can be filtered by.

    Attributes:
        name: Name of the field.
        kind: What its values are; a name is of few items, a category of several.
        about: What it says of an item, a key of `ABOUT`; empty where its name does not tell.
        counts: Number of items by value, the most frequent first; empty for numbers and days.
        several: Whether an item may hold several values.
        low: Smallest number, or first day; None for categories and names.
        high: Largest number, or last day.
    """

    name: str
    kind: Kind
    about: str
    counts: dict[str, int]
    several: bool = False
    low: float | str | None = None
    high: float | str | None = None

    def describe(self, n_values: int) -> dict[str, Any]:
        """Describe the facet.

        Args:
            n_values: How many values, at most.

        Returns:
            `field`, `kind`, `about`, and `min` and `max`, or `n_values` and `values` with numbers of items.
        """
        if self.kind in ("number", "day"):
            return {"field": self.name, "kind": self.kind, "about": self.about, "min": self.low, "max": self.high}
        shown = dict(list(self.counts.items())[:n_values])
        return {
            "field": self.name,
            "kind": self.kind,
            "about": self.about,
            "n_values": len(self.counts),
            "values": shown,
        }


class Facets:
    """The facets of a catalogue.

    Attributes:
        fields: The fields of its items.
    """

    def __init__(self, fields: ItemFields) -> None:
        """Make them; the fields are read when they are first needed.

        Args:
            fields: The fields.
        """
        self.fields = fields

    @cached_property
    def by_name(self) -> dict[str, Facet]:
        """The facets by name of their field."""
        made = (self._facet(name) for name in self.fields.values)
        return {facet.name: facet for facet in made if facet is not None}

    def about(self, *subjects: str) -> Facet | None:
        """Return the facet about a subject.

        Args:
            subjects: Keys of `ABOUT`, the best first.

        Returns:
            The first facet about the first subject that there is, or None.
        """
        found = (facet for subject in subjects for facet in self.by_name.values() if facet.about == subject)
        return next(found, None)

    def held(self, facet: Facet, value: str) -> Mask:
        """Return which items hold a value.

        Args:
            facet: A facet of categories or names.
            value: The value.

        Returns:
            The mask. `[n_items]`
        """
        return np.array([value.casefold() in held for held in self.fields.categories(facet.name)], bool)

    def _facet(self, name: str) -> Facet | None:
        """Return the facet of a field, None where it is a text, an id or the like."""
        values = self.fields.values[name]
        sample = [value for value in values[:SAMPLE] if value is not None and value != []]
        if not sample or is_id_or_address(name) or name in _PARTS or isinstance(sample[0], bool):
            return None
        about = next((about for about, words in ABOUT if re.search(words, name.lower())), "")
        if _share(self.fields.days(name)[:SAMPLE], sample) >= NUMBERS and (about == "day" or _are_days(sample)):
            days = self.fields.days(name)
            return Facet(name, "day", "day", {}, low=_day(np.nanmin(days)), high=_day(np.nanmax(days)))
        if _share(self.fields.numbers(name)[:SAMPLE], sample) >= NUMBERS:
            numbers = self.fields.numbers(name)
            return Facet(name, "number", about, {}, low=float(np.nanmin(numbers)), high=float(np.nanmax(numbers)))
        return self._of_names(name, about, sample)

    def _of_names(self, name: str, about: str, sample: list[Any]) -> Facet | None:
        """Return the facet of a field of categories or names, None where its values are texts."""
        parts = [part for value in sample for part in split_categories(value)]
        if not parts or np.mean([len(part) > LONGEST_NAME for part in parts]) > 0.01:
            return None
        counts = Counter(part for value in self.fields.values[name] for part in split_categories(value))
        n_values = len(set(parts))
        grouped = about in ("available", "genre", "language", "age") or len(parts) >= FEWEST_ITEMS * n_values
        categories = grouped and n_values <= MOST_CATEGORIES and about not in ("person", "maker")
        if not categories and about not in ("person", "maker", "available", "genre", "language"):
            return None  # titles and other texts
        several = any(len(split_categories(value)) > 1 for value in sample)
        return Facet(name, "category" if categories else "name", about, dict(counts.most_common()), several)


def _share(numbers: np.ndarray[Any, np.dtype[np.float64]], sample: list[Any]) -> float:
    return float(np.isfinite(numbers).sum()) / len(sample)


def _are_days(sample: list[Any]) -> bool:
    return all(re.match(r"\d{4}-\d\d-\d\d", str(value)) for value in sample)


def _day(number: float) -> str:
    return str(np.datetime64(int(number), "D"))
