"""What follows from the facts of a user's data: the split, the recommenders and their options, each with its reason.

Pure functions from `Facts` to `Choice`; nothing here reads data or writes text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from genre.config.experiment import EvaluationOptions
from genre.config.starter_facts import Facts
from genre.domains.packs import load_domain
from genre.recommenders.context_features import RECENT

DENSE_UP_TO = 20_000
"""Items; the weights of `ease` then need 1.6 GB."""
NEIGHBOURS_UP_TO = 100_000
"""Items up to which `ease_neighbours` pays."""
NEIGHBOUR_SECONDS, NEIGHBOUR_BYTES = 0.003, 50_000.0
"""CPU seconds and memory that an item costs in a fit of `ease_neighbours`, by `costs.json`."""
RANKED_PAIRS = 2_000_000_000
"""Pairs of an evaluated user and an item that each recommender ranks in a part, about; 20 to 200 ns of CPU each."""
FEWEST_EVALUATED = 10_000
"""Users that are evaluated at least, where there are so many: with a deviation of .3 half an interval is .006."""
ENOUGH_BY_TIME = 0.2
"""A split by time is taken where it judges at least this share of the users whom a split of each user would judge."""
MOST_FOR_BPR = 500_000
"""Interactions up to which another kind of factors costs little."""
FOR_RANKER = (5_000, 500_000)
"""Interactions between which a learnt second stage is worth its time in a first run."""
LEAST_LENGTH = 4
"""Interactions of the median user from which on most train histories have a last item to learn from."""
SHARING = 0.5
"""From this share of titles on that share words with others, words are read as they are."""
FOR_NETWORK = (50_000, 1_000_000)
"""Interactions between which a network is worth its time in a first run."""
TELLING = 1.6
"""From so many times the repeats of shuffled histories on, steps tell that the newest items count most."""
LONG = 20
"""Interactions of the median user from which on histories are long."""
ENOUGH_FOR_BUCKETS = 1_000
"""Users from which on a blend has weights for three lengths of histories."""
IN_BASKETS = 0.3
"""From this share of steps on that are at one time, times tell baskets."""
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
    if facts.form == "impressions":
        values = {"kind": "time", "validation": 0.1, "test": 0.1}
        return Choice(values, "the newest tenth of the impressions is the test, each whole")
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
    single = [*_popular(facts), *_sequential(facts), *_collaborative(facts), *_textual(facts), *_trade(facts)]
    single += _networks(facts)
    members = [choice.values for choice in single]
    return [*single, _blend(facts, members), *_second_stage(facts), *_ratings(facts)]


def judged_users(facts: Facts) -> int:
    """Return how many users the test part has, about.

    Args:
        facts: What was found.

    Returns:
        A number of users.
    """
    by_time = choose_split(facts).values["kind"] == "time"
    return facts.judged_by_time if by_time else facts.judged_by_last


def choose_evaluated_users(facts: Facts) -> int | None:
    """Choose how many users are evaluated, where ranking the whole catalogue for the default number takes too long.

    Args:
        facts: What was found.

    Returns:
        The option `evaluation.users`; None where the default holds, or where no more users are evaluated.
    """
    if facts.form == "impressions":
        return None
    users = max(FEWEST_EVALUATED, 1000 * round(RANKED_PAIRS / max(facts.items, 1) / 1000))
    judged = judged_users(facts)
    return users if users < min(EvaluationOptions().users or judged, judged) else None


def leaves_out_neighbours(facts: Facts) -> bool:
    """Tell whether the catalogue is too large for every kind of `ease`.

    Args:
        facts: What was found.

    Returns:
        True where a first config names none of them.
    """
    return facts.items > NEIGHBOURS_UP_TO


def _blend(facts: Facts, members: list[Values]) -> Choice:
    """Return a blend, with weights for short and long histories where enough users are there to fit them on."""
    shown = {"learn_from": "impressions"} if facts.form == "impressions" else {}
    values = {"kind": "blend", **shown}
    if judged_users(facts) < ENOUGH_FOR_BUCKETS:
        return Choice(values | {"recommenders": members}, "their weighted sum; validation fits the weights")
    why = "their sum, weighted for short, middling and long histories by validation"
    return Choice(values | {"length_buckets": 3, "recommenders": members}, why)


def _popular(facts: Facts) -> Iterator[Choice]:
    yield Choice({"kind": "popularity"}, "what everything else has to beat")
    if facts.calendar:
        yield Choice({"kind": "popularity", "half_life_days": 3}, "popular these days, since times are dates")
        yield Choice({"kind": "popularity", "half_life_days": 30}, "popular these months")


def _sequential(facts: Facts) -> Iterator[Choice]:
    if facts.ordered:
        yield Choice(
            {"kind": "transitions"}, f"pairs of items in a row repeat {facts.step_repeats:.1f} times a shuffle's"
        )
        yield Choice({"kind": "transitions"} | LOOKING_BACK, "what follows what over whole histories")


LOOKING_BACK = {"history_half_life": 15, "distance_power": 0.1, "backward": 1, "source_power": 0.35}
WALK = {"similarity": "rp3beta", "neighbours": 500, "alpha": 0.6, "beta": 0.3}
FACTORS = {"kind": "als", "factors": 64}


def _collaborative(facts: Facts) -> Iterator[Choice]:
    ease = "ease" if facts.items <= DENSE_UP_TO else "ease_neighbours"
    size = f"{facts.items:,} items" + ("" if ease == "ease" else ", too many for `ease`")
    if not leaves_out_neighbours(facts):
        yield Choice({"kind": ease, "regularization": 300}, f"all items of a history count alike; {size}")
        if facts.ordered:
            yield Choice({"kind": ease, "regularization": 300} | _decay(facts), "the newest items count more")
    walk = {"kind": "item_knn"} | WALK
    yield Choice(walk, "items with the same users, by a random walk")
    if facts.ordered:
        yield Choice(walk | _decay(facts), "the same, from the newest items above all")
    yield Choice(FACTORS, "factors, which see further than shared users")
    if facts.interactions <= MOST_FOR_BPR:
        yield Choice({"kind": "bpr", "loss": "softmax", "regularization": 0.1}, "factors learnt by ranking")


def _textual(facts: Facts) -> Iterator[Choice]:
    if len(facts.blocks) > 1:
        for name in facts.blocks:
            yield Choice({"kind": "content", "block": name} | _decay(facts), f"reads the {name} of items")
    elif facts.blocks:
        yield Choice({"kind": "content"} | _decay(facts), f"reads the {next(iter(facts.blocks))} of items")
    if facts.shared_words >= SHARING:
        yield Choice({"kind": "shared_words"}, f"words that {facts.shared_words:.0%} of the titles share with others")
    if facts.texts and facts.ordered:
        values = {"kind": "smoothed", "recommender": {"kind": "transitions"}}
        yield Choice(values, "what follows items that read alike")


def keeps_repeats(facts: Facts) -> bool:
    """Tell whether users are to get again what they had: they or their trade say so, and they do it.

    Args:
        facts: What was found.

    Returns:
        True where repeats are kept, recommended and judged.
    """
    if facts.exclude_seen is not None:
        return facts.form == "table" and not facts.exclude_seen
    policy = {} if facts.domain is None else load_domain(facts.domain).config.get("evaluation", {})
    return facts.form == "table" and facts.ordered and facts.repeats >= REPEATED and policy.get("exclude_seen") is False


def _trade(facts: Facts) -> Iterator[Choice]:
    """Yield what the trade needs beside the rest, as far as the data has what it reads."""
    pack = [] if facts.domain is None else load_domain(facts.domain).config.get("recommenders", [])
    entries = {entry["kind"]: entry for entry in pack}
    if keeps_repeats(facts) and facts.ordered:
        yield Choice(entries.get("repeat", {"kind": "repeat"}), f"{facts.repeats:.0%} repeat an item of the same user")
    if facts.calendar and ("together" in entries or facts.tied >= IN_BASKETS):
        why = f"items of one basket; {facts.tied:.0%} of the steps are within one time"
        yield Choice(entries.get("together", {"kind": "together"}), why)
    if facts.calendar and "fresh" in entries:
        yield Choice(entries["fresh"], "new items first")
    if facts.people:
        yield Choice({"kind": "follow"}, "items are users: whom to follow, by whom they follow")
        if facts.taste is not None:
            values = {"kind": "follow", "taste": facts.taste}
            yield Choice(values, f"the same, and who shares {facts.taste!r} of users")
    if facts.friends is not None:
        yield Choice({"kind": "friends", "field": facts.friends}, f"{facts.friends!r} of users names other users")


def _second_stage(facts: Facts) -> Iterator[Choice]:
    """Yield a ranker over what reads the newest items, where there is an order, and one that reads the clock, too."""
    low, high = FOR_RANKER
    if not facts.ordered or not low <= facts.interactions <= high or facts.length < LEAST_LENGTH:
        return
    steps = {"kind": "transitions", "source_power": 0.35, "target_power": 0.15}
    members: list[Values] = [steps, {"kind": "item_knn"} | WALK | _decay(facts)]
    if facts.texts:
        members = [steps, {"kind": "content"} | _decay(facts), {"kind": "smoothed", "recommender": steps}]
    if facts.shared_words >= SHARING:
        members.append({"kind": "shared_words"})
    if not facts.texts or facts.length >= LONG:  # texts say more of short histories than factors do
        members.append(FACTORS)
    if facts.blocks:  # others need many epochs, and a ranker learns its members twice
        members += [choice.values for choice in _networks(facts)]
    first = {"kind": "blend", "recommenders": members}
    seen = {"exclude_seen": False} if keeps_repeats(facts) else {}
    reads = {"context": [*facts.context]} if facts.context else {}
    why = "learns to order the candidates of a blend anew"
    why += f", in the circumstances of a request ({', '.join(facts.context)})" if facts.context else ""
    yield Choice({"kind": "ranker"} | seen | reads | {"first": first}, why)
    if facts.clock:
        reads = {"context": [RECENT, *facts.context]}
        why = "the same with what is popular just before a request, whose time a service knows"
        yield Choice({"kind": "ranker"} | seen | reads | {"first": first}, why)


def _networks(facts: Facts) -> Iterator[Choice]:
    """Yield a network where the test is the next item of each user, and items have texts or histories are long."""
    low, high = FOR_NETWORK
    if not facts.torch or facts.items > DENSE_UP_TO or choose_split(facts).values["kind"] != "leave-one-out":
        return
    if facts.blocks and facts.length >= LEAST_LENGTH and FOR_RANKER[0] <= facts.interactions <= high:
        values = {"kind": "sasrec", "items": "text_start", "learning_rate": 0.003, "epochs": 10, "patience": 3}
        yield Choice(values, "a network, minutes of CPU, that reads histories and texts")
    elif facts.length >= LONG and low <= facts.interactions <= high:
        values = {"kind": "sasrec", "learning_rate": 0.002, "epochs": 20, "patience": 3}
        yield Choice(values, "a network, minutes of CPU, that reads the order of long histories")


def _decay(facts: Facts) -> dict[str, float]:
    """Return a half-life of a sixth of the median history, where histories have an order that tells something."""
    if not facts.ordered:
        return {}
    if facts.step_repeats < TELLING:
        return {"history_half_life": 20}
    return {"history_half_life": round(min(max(facts.length / 6, 1.5), 10.0), 1)}


def _ratings(facts: Facts) -> Iterator[Choice]:
    if facts.rated:
        yield Choice({"kind": "rating_factors"}, "predicts ratings, better and faster than `mlp`")
