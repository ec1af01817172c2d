"""What a ranker knows of a candidate in the context of a request: its hours, its devices, its recent popularity.

Counts come from one training part. Knows no model that reads the features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from genre.arrays import Float32, Int32, Int64
from genre.data.context import TIME_NAMES, Context, Texts, tells_requests, time_texts
from genre.data.dataset import Dataset
from genre.data.durations import DAY, HOUR
from genre.errors import DataError
from genre.options import nearest

RECENT = "recent"
"""The name of context for how popular a candidate was just before the request."""
HALF_LIVES = (1.0, 7.0, 30.0)  # days, of recent popularity
SHRINKAGE = 5.0  # interactions of an item that count as spread like all others'
LEAST = 0.01  # interactions, in a logarithm
MOST_VALUES = 1_000  # of one name of context, the most frequent

Feature = tuple[str, npt.NDArray[np.floating]]


class ContextCounts(NamedTuple):
    """What is counted of contexts in a training part.

    Attributes:
        values: The values of all names as `name=value`.
        lift: Logarithm of how much oftener an item is taken in the context of a value than items are. `[n_items, n]`
        starts: Item `i` was taken at `times[starts[i]:starts[i + 1]]`; empty unless `recent` is wanted. `[n_items + 1]`
        times: Seconds since 1970, ascending for each item. `[n_interactions]`
        decayed: Interactions of the item up to and with each time, halved by `HALF_LIVES`. `[3, n_interactions]`
    """

    values: list[str]
    lift: Float32
    starts: Int64
    times: Int64
    decayed: Float32


def count_contexts(dataset: Dataset, names: Sequence[str]) -> ContextCounts:
    """Count in which contexts items are taken.

    With n_iv the likes of item i in the context of value v, n_i all of them, and p_v the share of v of all likes,

        lift(i, v) = log((n_iv + SHRINKAGE p_v) / ((n_i + SHRINKAGE) p_v))

    Args:
        dataset: A training part.
        names: `hour`, `weekday`, `month`, `recent`, or context columns of the data.

    Returns:
        Its counts.

    Raises:
        DataError: The data does not know a name.
    """
    _check(dataset, names)
    liked, n_items = dataset.where(dataset.weight > 0), dataset.n_items
    total = np.bincount(liked.item, minlength=n_items)[:, None].astype(np.float64)  # [n_items, 1]
    found, lifts = list[str](), [np.zeros((n_items, 0), np.float32)]
    for name in (one for one in names if one != RECENT):
        texts, row = _texts(liked, name)
        distinct, code = np.unique(texts, return_inverse=True)
        often = np.bincount(code[row], minlength=len(distinct))
        kept = np.sort(np.argsort(-often, kind="stable")[:MOST_VALUES])
        kept = kept[(distinct[kept] != "") & (often[kept] > 0)]
        column = np.where(distinct == "", len(kept) + 1, len(kept))  # behind the kept values: rare ones, unknown ones
        column[kept] = np.arange(len(kept))
        cell = liked.item.astype(np.int64) * (len(kept) + 2) + column[code[row]]
        count = np.bincount(cell, minlength=n_items * (len(kept) + 2)).reshape(n_items, -1)
        known = total - count[:, -1:]  # likes whose context is known
        share = often[kept] / max(often[kept].sum(), 1)
        lifts.append(np.log((count[:, :-2] + SHRINKAGE * share) / ((known + SHRINKAGE) * share)).astype(np.float32))
        found += [f"{name}={value}" for value in distinct[kept]]
    none = np.zeros(0, np.int64)
    recent = _recent(liked) if RECENT in names else (none, none, np.zeros((len(HALF_LIVES), 0), np.float32))
    return ContextCounts(found, np.concatenate(lifts, axis=1), *recent)


def context_features(
    counts: ContextCounts, names: Sequence[str], context: Context | None, n: int, items: Int32
) -> Iterator[Feature]:
    """Return the features of candidates in the contexts of requests; zero where a context is not known.

    Args:
        counts: Of the training part.
        names: As for `count_contexts`.
        context: Of each request, or None.
        n: How many requests there are.
        items: Candidates of each `[n, k]`.

    Yields:
        Name and values `[n, k]`.
    """
    place = {value: at for at, value in enumerate(counts.values)}
    known, row = (items >= 0) & (items < len(counts.lift)), np.minimum(items, len(counts.lift) - 1)
    for name in names:
        if name == RECENT:
            time = None if context is None else context.time
            yield from _recent_features(counts, np.full(n, -1) if time is None else time, items)
            continue
        texts = None if context is None else context.of(name)
        if texts is None or not place:
            yield f"context {name}", np.zeros(items.shape)
            continue
        code = np.array([place.get(f"{name}={text}", -1) for text in texts], np.int64)[:, None]
        yield f"context {name}", np.where(known & (code >= 0), counts.lift[row, code], 0)


def _check(dataset: Dataset, names: Sequence[str]) -> None:
    known = (*TIME_NAMES, RECENT, *dataset.context_names)
    for name in names:
        if name not in known:
            raise DataError(
                f"ranker: context: the data has no {name!r}{nearest(name, known)}; there are {', '.join(known)}; name "
                "a column of the interactions by data.columns.context"
            )
    timed = [name for name in names if name in (*TIME_NAMES, RECENT)]
    if timed and not tells_requests(dataset.timestamp):
        raise DataError(f"ranker: context: {timed[0]} needs times of a clock; this data has an order at most")


def _texts(dataset: Dataset, name: str) -> tuple[Texts, Int64]:
    """Return the few texts of one name of context, empty where unknown, and which of them each interaction has."""
    if name in dataset.context_names and dataset.context is not None:
        return dataset.context_texts(name), dataset.context.astype(np.int64)
    assert dataset.timestamp is not None  # as `_check` says
    hours, row = np.unique(dataset.timestamp // HOUR, return_inverse=True)  # millions of interactions have few hours
    return time_texts(name, hours * HOUR), row


def _recent(liked: Dataset) -> tuple[Int64, Int64, Float32]:
    """Return row starts, times and decayed counts of the interactions of each item, as `ContextCounts` holds them."""
    assert liked.timestamp is not None
    order = np.lexsort((liked.timestamp, liked.item))
    item, times = liked.item[order], liked.timestamp[order]
    starts = np.searchsorted(item, np.arange(liked.n_items + 1)).astype(np.int64)
    gap = np.diff(times, prepend=times[:1])
    gap[starts[:-1][starts[:-1] < len(item)]] = np.iinfo(np.int64).max  # the first of an item has nothing before it
    decayed = np.empty((len(HALF_LIVES), len(item)), np.float32)
    for row, days in enumerate(HALF_LIVES):
        falls = np.exp2(-gap / (days * DAY)).tolist()
        decayed[row] = [*accumulate(falls, lambda count, fall: count * fall + 1, initial=0.0)][1:]
    return starts, times, decayed


def _recent_features(counts: ContextCounts, time: Int64, items: Int32) -> Iterator[Feature]:
    """Yield the logarithms of the decayed counts just before each request, at the latest at the end of the data."""
    if not len(counts.times):
        for days in HALF_LIVES:
            yield f"context recent {days:g} days", np.full(items.shape, np.log(LEAST))
        return
    end = counts.times[counts.starts[1:] - 1].max() + 1  # the last time of each item; of one without, that of another
    now = np.where((time < 0) | (time > end), end, time)[:, None]
    row = np.minimum(items, len(counts.starts) - 2)
    first = counts.starts[row]
    last = _first_not_before(now, counts.times, first, counts.starts[row + 1]) - 1  # [n, k]
    there = (items < len(counts.starts) - 1) & (last >= first)
    at = np.where(there, last, 0)
    elapsed = now - counts.times[at]
    for days, decayed in zip(HALF_LIVES, counts.decayed, strict=True):
        before = decayed[at] * np.exp2(-elapsed / (days * DAY))
        yield f"context recent {days:g} days", np.log(np.where(there, before, 0) + LEAST)


def _first_not_before(now: Int64, times: Int64, low: Int64, high: Int64) -> Int64:
    """Return where the first of the sorted `times[low:high]` is that is not before `now`, else `high`; by bisection."""
    while (looking := low < high).any():
        middle = np.where(looking, (low + high) // 2, 0)
        earlier = times[middle] < now
        low, high = np.where(looking & earlier, middle + 1, low), np.where(looking & ~earlier, middle, high)
    return low
