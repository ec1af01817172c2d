"""The charts of a report as Plotly figures, without colours of their own for text: the page sets those to its theme."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from genre.evaluation.evaluation import Evaluation
from genre.evaluation.metrics import metric_of

Chart = dict[str, Any]  # title, about, figure: a Plotly figure as plain JSON

PALETTE = ("#3b6cf6", "#e8833a", "#1aa179", "#c2417c", "#8a63d2", "#b0892b", "#2aa5c9", "#d64545", "#6b7a90", "#5d9c3a")
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
        "significance": significance(report),
        "losses": losses(report, colours),
    }
    return {name: chart for name, chart in made.items() if chart is not None}


def _primary(report: Mapping[str, Any]) -> str:
    return str(report["primary"])


def leaderboard(report: Mapping[str, Any], colours: Mapping[str, str]) -> Chart:
    """The first metric with its intervals, a bar a recommender."""
    label = _primary(report)
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
        },
        "hovertemplate": "%{y}: %{x:.4f}<extra></extra>",
    }
    about = "Bars are means over users; whiskers are 95 % intervals by bootstrap over users."
    return _chart(f"{label} on the test part", about, [bars], x=label, height=90 + 34 * len(rows))


def cost(report: Mapping[str, Any], colours: Mapping[str, str]) -> Chart | None:
    """Quality against CPU seconds of learning; the line joins those that nothing beats in both."""
    label = _primary(report)
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
            "line": {"dash": "dot", "width": 1.5, "color": "#8a93a3", "shape": "hv"},
            "hoverinfo": "skip",
        }
    )
    for x, y, name in points:
        traces.append(
            {
                "type": "scatter",
                "mode": "markers+text",
                "x": [max(x, 1e-3)],
                "y": [y],
                "text": [name],
                "textposition": "top center",
                "marker": {"size": 12, "color": colours[name]},
                "hovertemplate": f"{name}: {x:.2f} CPU s, {y:.4f}<extra></extra>",
            }
        )
    about = "Up is better, left is cheaper. The dotted line is the Pareto front."
    chart = _chart("Quality and cost", about, traces, x="CPU seconds to fit", y=label)
    chart["figure"]["layout"]["xaxis"]["type"] = "log"
    if sign < 0:
        chart["figure"]["layout"]["yaxis"]["autorange"] = "reversed"
    return chart


def pareto(points: Iterable[tuple[float, float]]) -> Iterable[tuple[float, float]]:
    """The points (cost, quality) that no other beats in both, by rising cost."""
    best = -np.inf
    for x, y in sorted(points, key=lambda point: (point[0], -point[1])):
        if y > best:
            best = y
            yield max(x, 1e-3), y


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


def _mean(values: Any) -> float | None:
    present = values[~np.isnan(values)]
    return float(present.mean()) if len(present) else None


def significance(report: Mapping[str, Any]) -> Chart | None:
    """The chance of each pair's distance if the two were alike."""
    pairs = report.get("significance")
    if not pairs or len(pairs["names"]) < 2:
        return None
    shown = [["" if p is None else f"{p:.3f}" for p in row] for row in pairs["p"]]
    heat = {
        "type": "heatmap",
        "x": pairs["names"],
        "y": pairs["names"],
        "z": pairs["p"],
        "text": shown,
        "texttemplate": "%{text}",
        "zmin": 0,
        "zmax": 0.2,
        "colorscale": [[0, "#1aa179"], [0.25, "#8fcfb9"], [1, "#d9dde5"]],
        "showscale": False,
        "hovertemplate": "%{y} and %{x}: p = %{z:.4f}<extra></extra>",
    }
    about = (
        "p of a paired sign-flip test over users, Holm-corrected. Green: a real difference; grey: cannot be told apart."
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
        "legend": {"orientation": "h", "y": 1.12, "x": 0},
        "bargap": 0.3,
        "xaxis": {**axis, "title": {"text": x}},
        "yaxis": {**axis, "title": {"text": y}},
    }
    return {"title": title, "about": about, "figure": {"data": traces, "layout": layout}}
