"""What follows from the facts of a user's data: the split, the recommenders and their options, each with its reason.

Pure functions from `Facts` to `Choice`; nothing here reads data or writes text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from genre.config.starter_facts import Facts

DENSE_UP_TO = 20_000
"""Items; the weights of `ease` then need 1.6 GB."""
ENOUGH_BY_TIME = 0.2
"""A split by time is taken where it judges at least this share of the users whom a split of each user would judge."""
REPEATED = 0.05
"""From this share of repeated interactions on, lists with items that a user had before are offered."""

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Choice:
    """One entry of a config, and why it is there.

    Attributes:
        values: The entry, as plain values.
        why: The reason, a short sentence without a full stop.
    """

    values: Values
    why: str


def choose_split(facts: Facts) -> Choice:
    """Choose the split in which most users are judged without a look into their future.

    Args:
        facts: What was found.

    Returns:
        The split.
    """
    if facts.has_test:
        return Choice({"kind": "given"}, "the data names its parts")
    by_time, by_last = f"{facts.judged_by_time:,}", f"{facts.judged_by_last:,}"
    if facts.order == "time" and facts.judged_by_time >= ENOUGH_BY_TIME * facts.judged_by_last:
        values = {"kind": "time", "validation": 0.1, "test": 0.1}
        return Choice(values, f"the newest tenth is the test, as in production; {by_time} users have a history before")
    last = Choice({"kind": "leave-one-out"}, f"each user's last item is the test: {by_last} users")
    if facts.order == "time":
        return Choice(last.values, f"{last.why}; the newest tenth (kind: time) would judge {by_time} of them")
    if facts.order == "positions":
        return Choice(last.values, f"times are positions in a history, which are no dates; {last.why}")
    if facts.order == "lines":
        return Choice(last.values, f"the lines of a user are in order; {last.why}")
    values = {"kind": "random", "validation": 0.1, "test": 0.1}
    return Choice(values, "neither times nor an order were found; times would make a more honest test")


def choose_recommenders(facts: Facts) -> list[Choice]:
    """Choose the recommenders to compare: single ones, cheap ones first, and a blend of them at the end.

    Args:
        facts: What was found.

    Returns:
        The entries of `recommenders`.
    """
    single = [*_popular(facts), *_sequential(facts), *_collaborative(facts), *_textual(facts)]
    members = [choice.values for choice in single]
    blend = Choice({"kind": "blend", "recommenders": members}, "their weighted sum; validation fits the weights")
    return [*single, blend, *_ratings(facts)]


def _popular(facts: Facts) -> Iterator[Choice]:
    yield Choice({"kind": "popularity"}, "what everything else has to beat")
    if facts.calendar:
        yield Choice({"kind": "popularity", "half_life_days": 10}, "popular these days: times are dates")


def _sequential(facts: Facts) -> Iterator[Choice]:
    if facts.ordered:
        again = f"adjacent items occur together again {facts.step_repeats:.1f} times as often as in shuffled histories"
        yield Choice({"kind": "transitions"}, again)
        yield Choice({"kind": "transitions"} | LOOKING_BACK, "the same over whole histories")


LOOKING_BACK = {"history_half_life": 15, "distance_power": 0.1, "backward": 1, "source_power": 0.35}


def _collaborative(facts: Facts) -> Iterator[Choice]:
    ease = "ease" if facts.items <= DENSE_UP_TO else "ease_neighbours"
    size = f"{facts.items:,} items" + ("" if ease == "ease" else ", too many for `ease`")
    yield Choice({"kind": ease, "regularization": 300}, f"all items of a history count alike; {size}")
    if facts.ordered:
        yield Choice({"kind": ease, "regularization": 300, "history_half_life": 3}, "the newest items count more")
    yield Choice({"kind": "item_knn", "neighbours": 500, "shrinkage": 10}, "items with the same users")
    yield Choice({"kind": "als", "factors": 64}, "factors, which see further than shared users")


def _textual(facts: Facts) -> Iterator[Choice]:
    if facts.texts:
        values: dict[str, Any] = {"kind": "content"}
        yield Choice(values | ({"history_half_life": 3} if facts.ordered else {}), "reads the text of items")


def _ratings(facts: Facts) -> Iterator[Choice]:
    if facts.rated:
        yield Choice({"kind": "rating_factors"}, "predicts ratings, better and faster than `mlp`")
