"""Charts of a metric by groups of users or items, as strong as the groups are large, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from genre.display import counted
from genre.evaluation.chart_layout import Chart, chart_of, whiskers
from genre.evaluation.resampling import bootstrap
from genre.evaluation.results import Evaluation

LENGTHS = (
    (0, 0, "none"),
    (1, 5, "1-5"),
    (6, 20, "6-20"),
    (21, 50, "21-50"),
    (51, 100, "51-100"),
    (101, 1 << 60, "over 100"),
)
MOST = 8
"""Recommenders in a chart; bars of more are distinguishable neither by colour nor by width."""
FAINTEST = 0.15  # opacity of the bar of the smallest group
STRENGTH = "The fewer {} a bar is made of, the paler it is."
Z = 1.96  # of a normal distribution, 95 % lie within


def history_length_chart(evaluations: Mapping[str, Evaluation], colours: Mapping[str, str]) -> Chart | None:
    """Draw the first metric with per-user values by the number of interactions in the user's history.

    Args:
        evaluations: Recommender -> its evaluation, best first.
        colours: Recommender -> colour.

    Returns:
        The chart; None without such a metric.
    """
    first = next(iter(evaluations.values()))
    label = next((label for label in first.values if label in first.per_user), None)
    if label is None:
        return None
    lengths = first.history_length
    present = {
        name: found
        for name, found in evaluations.items()
        if label in found.per_user and len(found.history_length) == len(lengths)
    }
    groups = [(name, (lengths >= low) & (lengths <= high)) for low, high, name in LENGTHS]
    groups = [(name, mask) for name, mask in groups if mask.any()]
    counts = [int(mask.sum()) for _, mask in groups]
    titles = [f"{name}<br>{counted(n, 'user')}" for (name, _), n in zip(groups, counts, strict=True)]
    traces = [
        _bars(name, titles, [_mean_with_ends(found.per_user[label][mask]) for _, mask in groups], counts, colours)
        for name, found in islice(present.items(), MOST)
    ]
    about = (
        f"{_shown(present)}{STRENGTH.format('users')} Whiskers are 95 % intervals by bootstrap over users; one user "
        "has none. Users without a history get popular items from every recommender."
    )
    return chart_of(
        f"{label} by length of history", about, traces, x="interactions in the history", y=label, legend=True
    )


def popularity_chart(evaluations: Mapping[str, Evaluation], colours: Mapping[str, str]) -> Chart | None:
    """Draw the recall of rare, middling and popular items.

    Args:
        evaluations: Recommender -> its evaluation, best first.
        colours: Recommender -> colour.

    Returns:
        The chart; None without recall by popularity.
    """
    present = {name: found for name, found in evaluations.items() if found.by_popularity}
    if not present:
        return None
    first = next(iter(present.values()))
    bands = [band for band, found in first.by_popularity.items() if found["targets"]]
    present = {name: found for name, found in present.items() if all(band in found.by_popularity for band in bands)}
    counts = [int(first.by_popularity[band]["targets"]) for band in bands]
    titles = [f"{band}<br>{counted(n, 'target')}" for band, n in zip(bands, counts, strict=True)]
    traces = [
        _bars(name, titles, [_share_with_ends(found.by_popularity[band]) for band in bands], counts, colours)
        for name, found in islice(present.items(), MOST)
    ]
    label = f"recall@{next((int(label.partition('@')[2]) for label in first.values if '@' in label), 10)}"
    about = (
        "Items in bands of popularity, rare ones on the left: the share of relevant items of each band that was found. "
        f"{_shown(present)}{STRENGTH.format('targets')} Whiskers are 95 % intervals (Wilson), as if targets of a user "
        "were independent."
    )
    return chart_of(
        f"{label} by popularity of items", about, traces, x="items, least popular first", y=label, legend=True
    )


class _Estimate(NamedTuple):
    """A value and the ends of its 95 % interval; None where there is none."""

    value: float | None
    low: float | None = None
    high: float | None = None


def _bars(name: str, x: list[str], y: list[_Estimate], counts: Sequence[int], colours: Mapping[str, str]) -> Chart:
    """Return the trace of one recommender's bars with whiskers; the fewer a bar is made of, the paler it is."""
    values = [one.value for one in y]
    shares = np.sqrt(np.asarray(counts) / max(*counts, 1))
    return {
        "type": "bar",
        "name": name,
        "x": x,
        "y": values,
        "marker": {"color": colours[name], "opacity": np.maximum(shares, FAINTEST).round(3).tolist()},
        "error_y": whiskers(values, [(one.low, one.high) for one in y], 1.2) | {"width": 0},
        "hovertemplate": f"{name}, %{{x}}: %{{y:.4f}}<extra></extra>",
    }


def _shown(present: Mapping[str, Evaluation]) -> str:
    """Say that the chart leaves recommenders out, where it does."""
    return f"The best {MOST} of {len(present)} recommenders. " if len(present) > MOST else ""


def _mean_with_ends(values: Any) -> _Estimate:
    """Return the mean over users and its interval by bootstrap."""
    present = values[~np.isnan(values)]
    if len(present) < 2:
        return _Estimate(_mean(values))
    drawn = bootstrap(present[:, None], np.ones((len(present), 1)), np.ones(1))
    low, high = np.percentile(drawn[:, 0], [2.5, 97.5])
    return _Estimate(_mean(values), float(low), float(high))


def _share_with_ends(found: Mapping[str, float]) -> _Estimate:
    """Return a share and its interval: Wilson, "Probable inference", JASA 22 (1927)."""
    share, n = found["recall"], found["targets"]
    if not n or share is None or not np.isfinite(share):
        return _Estimate(None)
    middle, wide = (share + Z**2 / (2 * n)) / (1 + Z**2 / n), Z / (1 + Z**2 / n)
    half = wide * float(np.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2)))
    return _Estimate(share, min(middle - half, share), max(middle + half, share))


def _mean(values: Any) -> float | None:
    present = values[~np.isnan(values)]
    return float(present.mean()) if len(present) else None
