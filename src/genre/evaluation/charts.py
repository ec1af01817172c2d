"""The charts of a report as Plotly figures, without colours of their own for text: the page sets those to its theme."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from genre.evaluation.leaderboard import LEVEL
from genre.evaluation.metrics import metric_of
from genre.evaluation.results import Evaluation

Chart = dict[str, Any]  # title, about, figure: a Plotly figure as plain JSON

PALETTE = ("#3b6cf6", "#e8833a", "#1aa179", "#c2417c", "#8a63d2", "#b0892b", "#2aa5c9", "#d64545", "#6b7a90", "#5d9c3a")
CHEAPEST = 1e-3  # CPU seconds; what costs less is drawn there
NEUTRAL = "#8a93a3"  # to be seen on light and on dark
LENGTHS = (
    (0, 0, "none"),
    (1, 5, "1-5"),
    (6, 20, "6-20"),
    (21, 50, "21-50"),
    (51, 100, "51-100"),
    (101, 1 << 60, "over 100"),
)


def all_charts(report: Mapping[str, Any], judged: Mapping[str, Evaluation]) -> dict[str, Chart]:
    """The charts that this report has the values for, by name."""
    colours = {name: PALETTE[at % len(PALETTE)] for at, name in enumerate(judged)}
    made = {
        "leaderboard": leaderboard(report, colours),
        "cost": cost(report, colours),
        "lengths": by_history_length(judged, colours),
        "popularity": by_popularity(judged, colours),
        "significance": significance(report),
        "search": search(report, colours),
        "importances": importances(report, colours),
        "losses": losses(report, colours),
    }
    return {name: chart for name, chart in made.items() if chart is not None}


def leaderboard(report: Mapping[str, Any], colours: Mapping[str, str]) -> Chart:
    """The first metric with its intervals, a bar a recommender."""
    label = report["primary"]
    rows = [row for row in reversed(report["leaderboard"]) if row["values"].get(label) is not None]
    ends = [row["intervals"].get(label) or [row["values"][label]] * 2 for row in rows]
    values = [row["values"][label] for row in rows]
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": values,
        "y": [row["name"] for row in rows],
        "marker": {"color": [colours[row["name"]] for row in rows]},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [high - value for value, (_, high) in zip(values, ends, strict=True)],
            "arrayminus": [value - low for value, (low, _) in zip(values, ends, strict=True)],
            "thickness": 1.5,
            "color": NEUTRAL,
        },
        "hovertemplate": "%{y}: %{x:.4f}<extra></extra>",
    }
    about = "Bars are means over users; whiskers are 95 % intervals by bootstrap over users."
    return _chart(f"{label} on the test part", about, [bars], x=label, height=90 + 34 * len(rows))


def cost(report: Mapping[str, Any], colours: Mapping[str, str]) -> Chart | None:
    """Quality against CPU seconds of learning; the line joins those that nothing beats in both."""
    label = report["primary"]
    points = [
        (row["cost"]["fit_cpu_s"], row["values"][label], row["name"])
        for row in report["leaderboard"]
        if row["cost"].get("fit_cpu_s") is not None and row["values"].get(label) is not None
    ]
    if len(points) < 2:
        return None
    traces: list[Chart] = []
    sign = 1 if metric_of(label).higher_is_better else -1
    front = [(x, sign * y) for x, y in pareto((x, sign * y) for x, y, _ in points)]
    traces.append(
        {
            "type": "scatter",
            "mode": "lines",
            "x": [x for x, _ in front],
            "y": [y for _, y in front],
            "line": {"dash": "dot", "width": 1.5, "color": NEUTRAL, "shape": "hv"},
            "hoverinfo": "skip",
        }
    )
    for x, y, name in points:
        traces.append(
            {
                "type": "scatter",
                "mode": "markers+text",
                "x": [max(x, CHEAPEST)],
                "y": [y],
                "text": [name],
                "textposition": "top center",
                "cliponaxis": False,
                "marker": {"size": 12, "color": colours[name]},
                "hovertemplate": f"{name}: {x:.2f} CPU s, {y:.4f}<extra></extra>",
            }
        )
    about = "Up is better, left is cheaper. The dotted line is the Pareto front."
    chart = _chart("Quality and cost", about, traces, x="CPU seconds to fit", y=label)
    ends = np.log10([max(x, CHEAPEST) for x, _, _ in points])
    room = 0.2 + 0.15 * float(np.ptp(ends))  # for the names of the outermost points
    chart["figure"]["layout"]["xaxis"] |= {"type": "log", "range": [float(ends.min()) - room, float(ends.max()) + room]}
    if sign < 0:
        chart["figure"]["layout"]["yaxis"]["autorange"] = "reversed"
    return chart


def pareto(points: Iterable[tuple[float, float]]) -> Iterable[tuple[float, float]]:
    """The points (cost, quality) that no other beats in both, by rising cost."""
    best = -np.inf
    for x, y in sorted(points, key=lambda point: (point[0], -point[1])):
        if y > best:
            best = y
            yield max(x, CHEAPEST), y


def by_history_length(judged: Mapping[str, Evaluation], colours: Mapping[str, str]) -> Chart | None:
    """The first per-user metric by how much is known of the user."""
    first = next(iter(judged.values()))
    label = next((label for label in first.values if label in first.per_user), None)
    if label is None:
        return None
    lengths = first.history_length
    groups = [(name, (lengths >= low) & (lengths <= high)) for low, high, name in LENGTHS]
    groups = [(f"{name}<br>{int(mask.sum())} users", mask) for name, mask in groups if mask.any()]
    traces = [
        {
            "type": "bar",
            "name": name,
            "x": [title for title, _ in groups],
            "y": [_mean(found.per_user[label][mask]) for _, mask in groups],
            "marker": {"color": colours[name]},
        }
        for name, found in judged.items()
        if label in found.per_user and len(found.history_length) == len(lengths)
    ]
    about = "Who has no history gets what is popular, whatever the recommender."
    return _chart(
        f"{label} by length of history", about, traces, x="interactions known of the user", y=label, legend=True
    )


def by_popularity(judged: Mapping[str, Evaluation], colours: Mapping[str, str]) -> Chart | None:
    """Recall among the items nobody takes, those everybody takes, and between."""
    having = {name: found for name, found in judged.items() if found.by_popularity}
    if not having:
        return None
    first = next(iter(having.values()))
    bands = [band for band, found in first.by_popularity.items() if found["targets"]]
    titles = [f"{band}<br>{_count(first.by_popularity[band]['targets'])}" for band in bands]
    traces = [
        {
            "type": "bar",
            "name": name,
            "x": titles,
            "y": [found.by_popularity[band]["recall"] for band in bands],
            "marker": {"color": colours[name]},
        }
        for name, found in having.items()
        if all(band in found.by_popularity for band in bands)
    ]
    label = f"recall@{next((int(label.partition('@')[2]) for label in first.values if '@' in label), 10)}"
    about = (
        "Items by their rank in popularity, rare ones left: share of the right answers of each band that were found."
    )
    return _chart(
        f"{label} by popularity of items", about, traces, x="items, least popular first", y=label, legend=True
    )


def _count(targets: float) -> str:
    return f"{int(targets):,} target{'' if targets == 1 else 's'}"


def search(report: Mapping[str, Any], colours: Mapping[str, str]) -> Chart | None:
    """Every trial of the search for options, and the best so far."""
    traces: list[Chart] = []
    for found in report.get("tuning") or []:
        trials = [(at, trial) for at, trial in enumerate(found["trials"], start=1)]
        colour = {"color": colours.get(found["name"], PALETTE[0])}
        points = [(at, trial) for at, trial in trials if trial["value"] is not None]
        line = {"type": "scatter", "mode": "lines", "name": found["name"], "legendgroup": found["name"]}
        best = {"x": [at for at, _ in trials], "y": [trial["best"] for _, trial in trials]}
        traces.append({**line, **best, "line": {**colour, "shape": "hv", "width": 2}, "hoverinfo": "skip"})
        traces.append(
            {
                **line,
                "mode": "markers",
                "showlegend": False,
                "x": [at for at, _ in points],
                "y": [trial["value"] for _, trial in points],
                "text": [_options(trial["options"]) for _, trial in points],
                "marker": {**colour, "size": 7, "opacity": 0.55},
                "hovertemplate": f"{found['name']}, trial %{{x}}: %{{y:.4f}}<br>%{{text}}<extra></extra>",
            }
        )
    if not traces:
        return None
    label = report["tuning"][0]["metric"]
    about = (
        "Dots are trials, lines the best so far, all on the validation part. The first trial is the config as given."
    )
    return _chart("The search for options", about, traces, x="trial", y=f"{label} on validation", legend=True)


def _options(options: Mapping[str, Any]) -> str:
    shown = (
        f"{name}: {value:.4g}" if isinstance(value, float) else f"{name}: {value}" for name, value in options.items()
    )
    return "<br>".join(shown) or "the defaults"


def importances(report: Mapping[str, Any], colours: Mapping[str, str]) -> Chart | None:
    """How much of the metric's variation over the trials each option explains."""
    rows = [
        (f"{found['name']}: {option}", share, found["name"])
        for found in reversed(report.get("tuning") or [])
        for option, share in sorted(found["importances"].items(), key=lambda pair: pair[1])
    ]
    if not rows:
        return None
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": [share for _, share, _ in rows],
        "y": [title for title, _, _ in rows],
        "marker": {"color": [colours.get(name, PALETTE[0]) for _, _, name in rows]},
        "hovertemplate": "%{y}: %{x:.0%}<extra></extra>",
    }
    about = "Share of the metric's variation between trials that each option explains, by recommender (PED-ANOVA)."
    chart = _chart("What matters in the search", about, [bars], x="share", height=90 + 26 * len(rows))
    chart["figure"]["layout"]["xaxis"] |= {"tickformat": ".0%", "rangemode": "tozero"}
    return chart


def _mean(values: Any) -> float | None:
    present = values[~np.isnan(values)]
    return float(present.mean()) if len(present) else None


def significance(report: Mapping[str, Any]) -> Chart | None:
    """The chance of each pair's distance if the two were alike."""
    pairs = report.get("significance")
    if not pairs or len(pairs["names"]) < 2:
        return None
    shown = [
        ["" if p is None or at == other else f"{p:.3f}" for other, p in enumerate(row)]
        for at, row in enumerate(pairs["p"])
    ]
    heat = {
        "type": "heatmap",
        "x": pairs["names"],
        "y": pairs["names"],
        "z": pairs["p"],
        "text": shown,
        "texttemplate": "%{text}",
        "zmin": 0,
        "zmax": 1,
        "colorscale": [[0, "#1aa179"], [LEVEL, "#8fcfb9"], [LEVEL, "#d9dde5"], [1, "#d9dde5"]],
        "showscale": False,
        "hovertemplate": "%{y} and %{x}: p = %{z:.4f}<extra></extra>",
    }
    about = (
        f"p of a paired sign-flip test over users. Green: real at {100 * LEVEL:g} %; grey: cannot be told apart. "
        "Corrected by Holm over all pairs, so stricter than the marks of the table, which compare with the first alone."
    )
    chart = _chart("Which differences are real", about, [heat], height=140 + 44 * len(pairs["names"]))
    chart["figure"]["layout"]["yaxis"]["autorange"] = "reversed"
    return chart


def losses(report: Mapping[str, Any], colours: Mapping[str, str]) -> Chart | None:
    """Training and validation values, epoch by epoch, of what was trained by gradient descent."""
    traces: list[Chart] = []
    for name, entries in report["training"].items():
        by_epoch = {entry["epoch"]: entry for entry in entries if entry["event"] == "epoch"}  # resumed ones stand twice
        epochs = list(by_epoch.values())
        if not epochs:
            continue
        watched = [key for key in epochs[0] if key not in {"time", "event", "model", "epoch", "seconds"}]
        for key in watched:
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines+markers",
                    "name": f"{name}: {'training loss' if key == 'loss' else key}",
                    "x": [entry["epoch"] for entry in epochs],
                    "y": [entry.get(key) for entry in epochs],
                    "line": {"color": colours.get(name, PALETTE[0]), "dash": "solid" if key == "loss" else "dash"},
                }
            )
    if not traces:
        return None
    about = "Solid: the loss it learns from. Dashed: the validation part; the epoch where it is best is kept."
    return _chart("Training", about, traces, x="epoch", y="loss", legend=True)


def _chart(
    title: str,
    about: str,
    traces: list[Chart],
    *,
    x: str = "",
    y: str = "",
    height: int = 360,
    legend: bool = False,
) -> Chart:
    axis = {"automargin": True, "zeroline": False}
    layout = {
        "height": height,
        "margin": {"l": 10, "r": 10, "t": 10, "b": 10},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "showlegend": legend,
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "bargap": 0.3,
        "xaxis": {**axis, "title": {"text": x}},
        "yaxis": {**axis, "title": {"text": y}},
    }
    return {"title": title, "about": about, "figure": {"data": traces, "layout": layout}}
