"""The shows of a log as another recommender sees them: what `genre offpolicy` judges a run by. Knows no HTTP.

Each place of a list with propensities is one decision: given the items before it, the live run put an item there with
a known probability; the run to judge would have put its own best item that is not yet in the list.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from genre.data.event_kinds import SHOW
from genre.display import counted
from genre.errors import EvaluationError
from genre.evaluation.online.offpolicy import Estimate, LoggedShows, doubly_robust, ips, mean_rewards, snips
from genre.recommenders.base import Recommender
from genre.serving.events.log_reader import LogReader
from genre.serving.events.store import Event, ServedList
from genre.serving.loaded_run import LoadedRun

BATCH = 256


def judge_by_log(loaded: LoadedRun, store: LogReader, name: str, outcome: str) -> list[Estimate]:
    """Estimate what a recommender would have earned a show, had it made the lists of a log.

    Args:
        loaded: The run to judge.
        store: The event log.
        name: Name of the recommender.
        outcome: The kind of event that is the reward, 1 for a show that led to it.

    Returns:
        The estimates of IPS, SNIPS and the doubly robust estimator.

    Raises:
        EvaluationError: Without lists that were made with known probabilities after the run's newest interaction, or
            where they are worth too few shows.
    """
    lists = [
        one
        for one in store.entries(kinds=("list",))
        if isinstance(one, ServedList) and one.propensities and one.user_id is not None and one.items
    ]
    fresh = [one for one in lists if one.timestamp > loaded.newest]
    if not fresh:
        raise EvaluationError(
            f"{counted(len(lists), 'list')} with propensities, none of them from after the newest interaction that run "
            f"{loaded.name!r} was made of: it may have learnt from them. Serve with explore: {{share: 0.05}}, and "
            "judge a run that was made before"
        )
    shows = logged_shows(loaded, store, loaded.models[name].without_llm(), fresh, outcome)
    return [ips(shows), snips(shows), doubly_robust(shows)]


def logged_shows(
    loaded: LoadedRun, store: LogReader, model: Recommender, lists: Sequence[ServedList], outcome: str
) -> LoggedShows:
    """Make shows of lists, as a recommender sees them.

    Args:
        loaded: The run.
        store: The event log.
        model: The recommender.
        lists: Lists with propensities.
        outcome: The kind of event that is the reward.

    Returns:
        A show for each place.
    """
    events = {user: store.events_of(user) for user in {one.user_id for one in lists if one.user_id is not None}}
    led = {
        (event.recommendation_id, event.item_id)
        for of_user in events.values()
        for event in of_user
        if event.kind == outcome
    }
    row = loaded.catalogue.row
    reward, propensity, target, shown, wanted = [], [], [], [], []
    for one, own in _own_lists(loaded, model, lists, events):
        placed = set[int]()
        for item_id, probability in zip(one.items, one.propensities, strict=True):
            item = row.get(item_id, -1)
            best = next((candidate for candidate in own if candidate not in placed), -1)
            reward.append(float((one.recommendation_id, item_id) in led))
            propensity.append(probability)
            target.append(float(item == best >= 0))
            shown.append(item)
            wanted.append(best)
            placed.add(item)
    rewards, n_items = np.array(reward), loaded.n_items + 1  # the last one: an item that the run does not know
    means, fold = mean_rewards(rewards, np.array(shown, np.int64) % n_items, n_items)
    return LoggedShows(
        rewards,
        np.array(propensity),
        np.array(target),
        means[fold, np.array(shown, np.int64)],
        means[fold, np.array(wanted, np.int64)],
    )


def _own_lists(
    loaded: LoadedRun, model: Recommender, lists: Sequence[ServedList], events: dict[str, list[Event]]
) -> Iterator[tuple[ServedList, list[int]]]:
    """Yield each list with the one that the recommender would have made at that time, long enough for every place.

    Rules that hide items are those of the run, as they are at the time of the last list of a batch.
    """
    for start in range(0, len(lists), BATCH):
        batch = lists[start : start + BATCH]
        histories = []
        for one in batch:
            user = str(one.user_id)
            before = [event for event in events[user] if event.timestamp < one.timestamp and event.kind != SHOW]
            histories.append(loaded.user_history(user, before))
        k = min(2 * max(len(one.items) for one in batch), loaded.n_items)
        allowed = None if loaded.rules is None else loaded.rules.allowed(batch[-1].timestamp)
        found = model.recommend(loaded.batch(histories), k=k, candidates=allowed).item
        for one, items in zip(batch, found.tolist(), strict=True):
            yield one, [item for item in items if item >= 0]
