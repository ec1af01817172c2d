"""A dialogue in words that narrows a catalogue down: it keeps conditions over turns and asks what narrows most.

After each turn it says how many items are left, what it understood, and asks about the field that is expected to leave
the fewest, or that nothing fits and which condition to give up. No language model is used. Knows facets and sentences,
nothing about users, recommenders or where dialogues are kept.

What an answer would be is estimated from the catalogue: a value is wanted as often as items have it, and bounds are
where the items' numbers are. So there is no question about a field on which the few items left already do well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from genre.data.item_fields import Between, Condition, Dated, Filter, Mask, NoneOf, OneOf
from genre.serving.search.facets import Facet
from genre.serving.search.sentences import Heard, SentenceReader, Statement

MOST_QUESTIONS = 8
FEWEST_REMOVED = 0.05  # expected share of the candidates that an answer removes, for a question to be worth it
WANTED = 0.5  # chance that an answer is a condition; else anything will do
WANTED_MORE = 0.2  # the same where a condition on the field is known
MOST_VALUES = 100  # of a facet, for the expectation
CHOICES = 12

QUESTIONS = {
    "available": "Where must it be available: which services do you have?",
    "genre": "Is there a genre that it must be, or must not be?",
    "duration": "How long may it be?",
    "rating": "How high must it be rated at least?",
    "age": "Which age ratings are fine?",
    "day": "From which years may it be?",
    "price": "What may it cost at most?",
    "language": "In which language?",
}
"""What a field is about -> the question. Without values of items: those are in `choices`, as data."""


@dataclass(frozen=True)
class Question:
    """A question about one field.

    Attributes:
        field: Name of the field.
        text: The question.
        choices: Values that candidates have, the most frequent first; or smallest and largest.
        expected: How many candidates an answer is expected to leave.
    """

    field: str
    text: str
    choices: tuple[str | float, ...]
    expected: float


@dataclass(frozen=True)
class GivenUp:
    """A condition that could be given up.

    Attributes:
        condition: The condition, in words.
        candidates: How many items would fit without it.
    """

    condition: str
    candidates: int


@dataclass
class Dialogue:
    """What is known after some turns: plain values, and ids of items, since a catalogue may change meanwhile.

    Attributes:
        statements: The conditions.
        topics: Fields that a question was about, or about which anything will do.
        question: Field of the question that is open, or None.
        liked: Ids of items that the user named as examples.
        excluded: Ids of items that the user has seen or refused.
        shown: Ids of the items of the last turn, best first.
        wishes: Words that are no condition.
        enough: Whether the user wants no more questions.
    """

    statements: list[Statement] = field(default_factory=list)
    topics: list[str] = field(default_factory=list)
    question: str | None = None
    liked: list[str] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    wishes: str = ""
    enough: bool = False

    def hear(self, text: str, reader: SentenceReader, item_ids: Sequence[str]) -> None:
        """Take in what the user says.

        Args:
            text: One or several sentences.
            reader: Reads sentences.
            item_ids: Id of each row.
        """
        heard = reader.read(text, self.question)
        if heard.restart:
            self.__init__()  # type: ignore[misc]
        self.question = None
        self.enough |= heard.enough
        self.topics += [name for name in heard.settled | heard.dropped if name not in self.topics]
        self._take_over(heard)
        self.liked += [item_ids[row] for row in heard.liked]
        refused = {"none": [], "first": self.shown[:1], "all": self.shown}[heard.refused]
        if refused and heard.liked:  # not that one, more like ...
            refused = [item_id for item_id in refused if item_id not in self.liked]
        self.excluded += [*(item_ids[row] for row in heard.excluded), *refused]
        self.wishes = f"{self.wishes} {heard.wishes}".strip()

    def _take_over(self, heard: Heard) -> None:
        """Add statements; a new one goes before earlier ones that it contradicts."""
        said = {one.field for one in heard.statements}
        dropped = heard.dropped | (said if heard.replaces else set())
        kept = [one for one in self.statements if one.field not in dropped]
        for new in heard.statements:
            kept = [old for old in kept if old != new and not (old.field == new.field and _opposed(old, new))]
            kept.append(new)
        self.statements = kept

    def filter(self) -> Filter:
        """Return the conditions.

        Returns:
            What items have to fulfil.
        """
        return frozenset((one.field, one.condition) for one in self.statements)

    def understood(self) -> list[str]:
        """Return the conditions in words.

        Returns:
            Such as `runtime: at most 120`.
        """
        return [describe_condition(one) for one in self.statements]

    def ask(self, reader: SentenceReader, candidates: Mask) -> Question | None:
        """Choose the next question, and keep it as the open one.

        Args:
            reader: Has the facets of the items.
            candidates: Items that fulfil everything. `[n_items]`

        Returns:
            The question that is expected to leave the fewest candidates, or None where none is worth it.
        """
        if self.enough or len(self.topics) >= MOST_QUESTIONS or not candidates.any():
            return None
        open_facets = [facet for facet in reader.facets.by_name.values() if self._is_open(facet)]
        left = [(self._expected_share(reader, facet, candidates), at) for at, facet in enumerate(open_facets)]
        if not left or min(left)[0] > 1 - FEWEST_REMOVED:
            return None
        share, at = min(left)
        facet = open_facets[at]
        self.question = facet.name
        self.topics.append(facet.name)
        text = QUESTIONS.get(facet.about, f"Which {facet.name.replace('_', ' ')}?")
        return Question(facet.name, text, _choices(reader, facet, candidates), round(share * int(candidates.sum()), 1))

    def _is_open(self, facet: Facet) -> bool:
        """Tell whether to ask about a facet: there was no question about it, and more can be said about it."""
        if facet.name in self.topics or facet.kind == "name" or facet.about == "count":
            return False
        return facet.several or all(one.field != facet.name for one in self.statements)

    def _expected_share(self, reader: SentenceReader, facet: Facet, candidates: Mask) -> float:
        """Return the share of the candidates that an answer is expected to leave."""
        known = [one for one in self.statements if one.field == facet.name]
        if facet.kind == "category":
            left = _left_by_value(reader, facet, candidates, known)
        else:
            left = _left_by_bound(reader, facet, candidates)
        return 1 - (WANTED_MORE if known else WANTED) * (1 - left)

    def given_up(self, reader: SentenceReader, others: Mask) -> list[GivenUp]:
        """Return which condition could be given up so that something fits.

        Args:
            reader: Has the facets of the items.
            others: Items that are left but for the conditions. `[n_items]`

        Returns:
            Each condition without which there are candidates, most candidates first.
        """
        found = []
        for one in self.statements:
            rest = frozenset((other.field, other.condition) for other in self.statements if other is not one)
            left = others & reader.facets.fields.fulfilling(rest) if rest else others
            if left.any():
                found.append(GivenUp(describe_condition(one), int(left.sum())))
        return sorted(found, key=lambda one: -one.candidates)


def _left_by_value(reader: SentenceReader, facet: Facet, candidates: Mask, known: Sequence[Statement]) -> float:
    """Return the expected share when a value is wanted as often as items have it."""
    wanted = {value for one in known if isinstance(one.condition, OneOf) for value in one.condition.values}
    counts = {value: n for value, n in list(facet.counts.items())[:MOST_VALUES] if value.casefold() not in wanted}
    if not counts:
        return 1.0
    n, total = int(candidates.sum()), sum(counts.values())
    left = (count * int((candidates & reader.facets.held(facet, value)).sum()) for value, count in counts.items())
    return sum(left) / total / n


def _left_by_bound(reader: SentenceReader, facet: Facet, candidates: Mask) -> float:
    """Return the expected share when the bound is that of an item: the least wanted, of lengths and prices the most."""
    fields = reader.facets.fields
    values = fields.days(facet.name) if facet.kind == "day" else fields.numbers(facet.name)
    every = np.sort(values[np.isfinite(values)])
    held = values[candidates]
    if facet.about in ("duration", "price"):
        left = 1 - np.searchsorted(every, held, "left") / len(every)
    else:
        left = np.searchsorted(every, held, "right") / len(every)
    return float(np.where(np.isfinite(held), left, 0.0).mean())


def _choices(reader: SentenceReader, facet: Facet, candidates: Mask) -> tuple[str | float, ...]:
    if facet.kind == "category":
        n = {value: int((candidates & reader.facets.held(facet, value)).sum()) for value in facet.counts}
        return tuple(sorted((value for value in n if n[value]), key=lambda value: -n[value])[:CHOICES])
    fields = reader.facets.fields
    values = (fields.days(facet.name) if facet.kind == "day" else fields.numbers(facet.name))[candidates]
    values = values[np.isfinite(values)]
    ends = (values.min(), values.max()) if len(values) else ()
    return tuple(str(np.datetime64(int(end), "D")) if facet.kind == "day" else float(end) for end in ends)


def _opposed(old: Statement, new: Statement) -> bool:
    """Tell whether a statement takes the place of an earlier one about the same field."""
    before, now = old.condition, new.condition
    if isinstance(before, OneOf | NoneOf) and isinstance(now, OneOf | NoneOf):
        return type(before) is not type(now) and bool(before.values & now.values)
    if isinstance(before, Between) and isinstance(now, Between):
        return (now.low is not None and before.low is not None) or (now.high is not None and before.high is not None)
    return isinstance(before, Dated) and isinstance(now, Dated)


def describe_condition(one: Statement) -> str:
    """Describe a condition in words.

    Args:
        one: The condition.

    Returns:
        Such as `runtime: at most 120` or `genres: not horror`.
    """
    return f"{one.field}: {_describe(one.condition)}"


def _describe(condition: Condition) -> str:
    if isinstance(condition, OneOf | NoneOf):
        names = " or ".join(sorted(condition.values))
        return names if isinstance(condition, OneOf) else f"not {names}"
    if isinstance(condition, Dated):
        ends = [
            f"from {condition.first}" if condition.first else "",
            f"until {condition.last}" if condition.last else "",
        ]
        return " ".join(filter(None, ends))
    if isinstance(condition, Between):
        low, high = _bound(condition.low, "at least", "above"), _bound(condition.high, "at most", "under")
        return " and ".join(filter(None, (low, high)))
    return str(condition)


def _bound(value: float | None, closed: str, strict: str) -> str:
    if value is None:
        return ""
    near = round(value, 6)
    return f"{closed} {value:g}" if near == value else f"{strict} {near:g}"
