"""Exploration: a known share of the places of lists is drawn at random, and how likely each item was is noted.

Without it no other recommender can be judged by the shows of this one, since what was not shown cannot be clicked.
Knows candidates and counts of clicks; nothing about users, rules or how a list was scored.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from genre.arrays import Float32, Float64, Int32
from genre.config.serving_options import Explore
from genre.data.event_kinds import CLICK
from genre.serving.events.list_rows import shown_of
from genre.serving.events.log_table import EventStore

POSTERIOR_DRAWS = 64
NEWEST_LISTS = 20_000  # from which clicks a show are counted
SHOWN = "SELECT body FROM log WHERE kind = 'list' ORDER BY seq DESC LIMIT ?"
CLICKED = f"""
SELECT item_id, count(DISTINCT list_id) FROM log
WHERE kind = 'event' AND action = '{CLICK}' AND list_id IS NOT NULL GROUP BY item_id
"""


class Drawn(NamedTuple):
    """A list in which some places were drawn at random.

    Attributes:
        places: Place of each item among the candidates, in the order of the list. `[k]`
        propensities: Probability with which each was put at its place, given those before it. `[k]`
        at_random: Whether the place was drawn. `[k]`
    """

    places: Int32
    propensities: Float64
    at_random: list[bool]


class Explorer:
    """Draws places at random: uniformly over the candidates, or by Thompson sampling of clicks a show.

    Thompson (1933): each item's clicks a show has a Beta posterior; a draw takes one sample of all items and the best
    of the candidates by it. Here the samples are `POSTERIOR_DRAWS` that are drawn once and used until the counts are
    read again, so that the probability of each item is a count of them, exactly.
    """

    def __init__(self, explore: Explore, seed: int | None = None) -> None:
        """Begin without counts.

        Args:
            explore: Share, kind and number of candidates.
            seed: Seed of the draws; None: another one each time.
        """
        self.options = explore
        self._random = np.random.default_rng(seed)
        self._lock = threading.Lock()
        self._samples: dict[str, Float32] = {}
        self._unknown = self._random.beta(1, 1, POSTERIOR_DRAWS).astype(np.float32)

    def learn(self, clicks: Mapping[str, int], shows: Mapping[str, int]) -> None:
        """Draw new samples of the posteriors.

        Args:
            clicks: Clicks by item id.
            shows: Shows by item id.
        """
        known = {*clicks, *shows}
        mean = (sum(clicks.values()) + 1) / (sum(shows.values()) + 20)  # the prior: 20 shows at the mean of all items
        with self._lock:
            self._samples = {
                item: self._random.beta(
                    20 * mean + clicks.get(item, 0),
                    max(20 * (1 - mean), 1e-3) + max(shows.get(item, 0) - clicks.get(item, 0), 0),
                    POSTERIOR_DRAWS,
                ).astype(np.float32)
                for item in known
            }
            self._unknown = self._random.beta(20 * mean, max(20 * (1 - mean), 1e-3), POSTERIOR_DRAWS).astype(np.float32)

    def draw(self, item_ids: list[str], k: int) -> Drawn:
        """Fill the places of a list, one after the other.

        With the share s and the distribution q of the draw over the candidates that are left, the best of them gets its
        place with probability 1 - s + s q, any other one with s q.

        Args:
            item_ids: The candidates, best first. `[m]`
            k: Length of the list.

        Returns:
            The list.
        """
        share, left = self.options.share, list(range(len(item_ids)))
        places, propensities, at_random = [], [], []
        with self._lock:
            thompson = self.options.kind == "thompson"
            samples = np.array([self._samples.get(item, self._unknown) for item in item_ids]) if thompson else None
            draws = self._random.random((k, 2))
        for explore, where in draws[: min(k, len(left))]:
            probabilities = _probabilities(samples, left)
            at = 0
            if explore < share:
                at = min(int(np.searchsorted(np.cumsum(probabilities), where, side="right")), len(left) - 1)
            places.append(left[at])
            propensities.append((1 - share) * (at == 0) + share * float(probabilities[at]))
            at_random.append(bool(explore < share))
            del left[at]
        return Drawn(np.array(places, np.int32), np.array(propensities), at_random)


def _probabilities(samples: Float32 | None, left: list[int]) -> Float64:
    """Return the probability of each candidate that is left; `samples`: of all of them `[m, draws]`."""
    if samples is None:
        return np.full(len(left), 1 / len(left))
    best = samples[left].argmax(axis=0)  # of ties the better candidate
    return np.asarray(np.bincount(best, minlength=len(left)) / samples.shape[1])


def click_counts(store: EventStore) -> tuple[dict[str, int], dict[str, int]]:
    """Count clicks and shows of items.

    Args:
        store: The event log.

    Returns:
        Clicks by item, and shows by item in the newest lists.
    """
    shows: dict[str, int] = {}
    for (body,) in store.query(SHOWN, (NEWEST_LISTS,)):
        shown, _ = shown_of(body) or ((), ())
        for item in shown:
            shows[item] = shows.get(item, 0) + 1
    clicks = {item: min(int(n), shows.get(item, 0)) for item, n in store.query(CLICKED, ())}
    return clicks, shows
