"""The charts of a report as Plotly figures. Does not set the colours of text: the page sets those to its theme.

Every chart function takes `report`, the values of `report.json`, and `colours`, recommender -> colour; it returns None
where the report has no values for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from genre.arrays import Float64
from genre.evaluation.chart_layout import NEUTRAL, Chart, bars_of, chart_of, whiskers
from genre.evaluation.group_charts import MOST, history_length_chart, popularity_chart
from genre.evaluation.leaderboard import compared_by
from genre.evaluation.metric_table import metric_of
from genre.evaluation.resampling import SIGNIFICANCE_LEVEL
from genre.evaluation.results import Evaluation

PALETTE = ("#d1552f", "#2f8f93", "#c9962b", "#8566b8", "#5f9344", "#c2527f", "#4a82c9", "#a87a4f", "#8d8479", "#3fa87a")
PLOT_WIDTH, PLOT_HEIGHT = 400.0, 280.0  # pixels in which names have to find room
MARKER, LETTER, LINE = 7.0, 7.0, 14.0  # pixels: half a marker, the width of a letter, the height of a line
LOWEST_COST = 1e-3  # CPU seconds: lower costs are drawn here, since the axis is logarithmic


def all_charts(report: Mapping[str, Any], evaluations: Mapping[str, Evaluation]) -> dict[str, Chart]:
    """Draw every chart that this report has the values for.

    Args:
        report: The values of `report.json`.
        evaluations: Recommender -> its evaluation on the test part, best first.

    Returns:
        Name -> chart.
    """
    colours = {name: PALETTE[at % len(PALETTE)] for at, name in enumerate(evaluations)}
    made = {
        "leaderboard": leaderboard_chart(report, colours),
        "cost": cost_chart(report, colours),
        "lengths": history_length_chart(evaluations, colours),
        "popularity": popularity_chart(evaluations, colours),
        "significance": significance_chart(report),
        "search": search_chart(report, colours),
        "importances": importances_chart(report, colours),
        "losses": losses_chart(report, colours),
        "curve": curve_chart(report, colours),
    }
    return {name: chart for name, chart in made.items() if chart is not None}


def leaderboard_chart(report: Mapping[str, Any], colours: Mapping[str, str]) -> Chart:
    """Draw the primary metric with its intervals, one bar for each recommender.

    Args:
        report: The values of `report.json`.
        colours: Recommender -> colour.

    Returns:
        The chart.
    """
    label = report["primary"]
    rows = compared_by(report["leaderboard"], label, best=report["best"])[::-1]
    ends = [row["intervals"].get(label) or [row["values"][label]] * 2 for row in rows]
    values = [row["values"][label] for row in rows]
    names = [row["name"] for row in rows]
    bars = bars_of(names, values, [colours[name] for name in names], ".4f") | {"error_x": whiskers(values, ends, 1.5)}
    about = "Bars are means over users; whiskers are 95 % intervals by bootstrap over users."
    return chart_of(f"{label} on the test part", about, [bars], x=label, height=90 + 34 * len(rows))


def cost_chart(report: Mapping[str, Any], colours: Mapping[str, str]) -> Chart | None:
    """Draw quality against CPU seconds of training, with the Pareto front.

    Args:
        report: The values of `report.json`.
        colours: Recommender -> colour.

    Returns:
        The chart; None below two recommenders with a cost.
    """
    label = report["primary"]
    points = [
        (row["cost"]["fit_cpu_s"], row["values"][label], row["name"])
        for row in compared_by(report["leaderboard"], label, best=report["best"])
        if row["cost"].get("fit_cpu_s") is not None
    ]
    if len(points) < 2:
        return None
    sign = 1 if metric_of(label).higher_is_better else -1
    front = [(x, sign * y) for x, y in pareto((x, sign * y) for x, y, _ in points)]
    ends = np.log10([max(x, LOWEST_COST) for x, _, _ in points])
    room = 0.2 + 0.15 * float(np.ptp(ends))  # for the names of the outermost points
    places = places_of_names(ends, np.array([sign * y for _, y, _ in points]), [name for *_, name in points], room)
    drawn = zip(points, places, strict=True)
    traces = [_front_line(front), *(_labelled_point(x, y, name, colours[name], at) for (x, y, name), at in drawn)]
    about = "Up is better, left is cheaper. The dotted line is the Pareto front."
    about += "" if all(places) else " Points without room for a name have it under the pointer."
    chart = chart_of("Quality and cost", about, traces, x="CPU seconds to fit", y=label)
    chart["figure"]["layout"]["xaxis"] |= {"type": "log", "range": [float(ends.min()) - room, float(ends.max()) + room]}
    if sign < 0:
        chart["figure"]["layout"]["yaxis"]["autorange"] = "reversed"
    return chart


def _front_line(front: list[tuple[float, float]]) -> Chart:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [x for x, _ in front],
        "y": [y for _, y in front],
        "line": {"dash": "dot", "width": 1.5, "color": NEUTRAL, "shape": "hv"},
        "hoverinfo": "skip",
    }


def places_of_names(x: Float64, y: Float64, names: Sequence[str], room: float) -> list[str]:
    """Find where names can stand beside their points without covering another point or name.

    Args:
        x: Places of the points across. `[n]`
        y: Places of the points upwards; the earlier a point, the sooner it has its name. `[n]`
        names: Their names. `[n]`
        room: What is left free beside the outermost points, in units of `x`.

    Returns:
        A text position of Plotly for each point; empty where there is no room.
    """
    across = (x - x.min() + room) / (np.ptp(x) + 2 * room or 1.0) * PLOT_WIDTH
    up = (y - y.min()) / (np.ptp(y) or 1.0) * PLOT_HEIGHT
    taken = [(a - MARKER, a + MARKER, b - MARKER, b + MARKER) for a, b in zip(across, up, strict=True)]
    places = []
    for a, b, name in zip(across, up, names, strict=True):
        width = LETTER * len(name)
        boxes = {
            "top center": (a - width / 2, a + width / 2, b + MARKER, b + MARKER + LINE),
            "bottom center": (a - width / 2, a + width / 2, b - MARKER - LINE, b - MARKER),
            "middle right": (a + MARKER, a + MARKER + width, b - LINE / 2, b + LINE / 2),
            "middle left": (a - MARKER - width, a - MARKER, b - LINE / 2, b + LINE / 2),
        }
        place = next((at for at, box in boxes.items() if not any(_overlap(box, one) for one in taken)), "")
        places.append(place)
        taken += [boxes[place]] if place else []
    return places


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[1] and b[0] < a[1] and a[2] < b[3] and b[2] < a[3]


def _labelled_point(x: float, y: float, name: str, colour: str, place: str) -> Chart:
    return {
        "type": "scatter",
        "mode": "markers+text" if place else "markers",
        "x": [max(x, LOWEST_COST)],
        "y": [y],
        "text": [name],
        "textposition": place or "top center",
        "cliponaxis": False,
        "marker": {"size": 12, "color": colour},
        "hovertemplate": f"{name}: {x:.2f} CPU s, {y:.4f}<extra></extra>",
    }


def pareto(points: Iterable[tuple[float, float]]) -> Iterable[tuple[float, float]]:
    """Find the Pareto front: the points that no other point beats in both cost and quality.

    Args:
        points: Pairs (cost, quality); lower cost and higher quality are better.

    Yields:
        The points of the front by rising cost, costs at least `LOWEST_COST`.
    """
    best = -np.inf
    for x, y in sorted(points, key=lambda point: (point[0], -point[1])):
        if y > best:
            best = y
            yield max(x, LOWEST_COST), y


def search_chart(report: Mapping[str, Any], colours: Mapping[str, str]) -> Chart | None:
    """Draw every trial of hyperparameter tuning, and the best value so far.

    Args:
        report: The values of `report.json`.
        colours: Recommender -> colour.

    Returns:
        The chart; None where nothing was tuned.
    """
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
        "Dots are trials, lines the best value so far, all on the validation part. "
        "The first trial uses the options of the config."
    )
    return chart_of("Hyperparameter tuning", about, traces, x="trial", y=f"{label} on validation", legend=True)


def _options(options: Mapping[str, Any]) -> str:
    shown = (
        f"{name}: {value:.4g}" if isinstance(value, float) else f"{name}: {value}" for name, value in options.items()
    )
    return "<br>".join(shown) or "the defaults"


def importances_chart(report: Mapping[str, Any], colours: Mapping[str, str]) -> Chart | None:
    """Draw how much of the metric's variance over the trials each option explains.

    Args:
        report: The values of `report.json`.
        colours: Recommender -> colour.

    Returns:
        The chart; None after too few trials.
    """
    rows = [
        (f"{found['name']}: {option}", share, found["name"])
        for found in reversed(report.get("tuning") or [])
        for option, share in sorted(found["importances"].items(), key=lambda pair: pair[1])
    ]
    if not rows:
        return None
    titles, shares, names = (list(column) for column in zip(*rows, strict=True))
    bars = bars_of(titles, shares, [colours.get(name, PALETTE[0]) for name in names], ".0%")
    about = "Share of the metric's variance between trials that each option explains, by recommender (PED-ANOVA)."
    chart = chart_of("Which options matter", about, [bars], x="share", height=90 + 26 * len(rows))
    chart["figure"]["layout"]["xaxis"] |= {"tickformat": ".0%", "rangemode": "tozero"}
    return chart


def significance_chart(report: Mapping[str, Any]) -> Chart | None:
    """Draw the p value of each pair of recommenders.

    Args:
        report: The values of `report.json`.

    Returns:
        The chart; None below two recommenders.
    """
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
        "texttemplate": "%{text}" if len(pairs["names"]) <= MOST else "",  # else too small to read; shown on hovering
        "zmin": 0,
        "zmax": 1,
        "xgap": 3,
        "ygap": 3,
        "colorscale": [
            [0, "rgba(46, 139, 87, 0.75)"],
            [SIGNIFICANCE_LEVEL, "rgba(46, 139, 87, 0.4)"],
            [SIGNIFICANCE_LEVEL, "rgba(143, 133, 119, 0.2)"],
            [1, "rgba(143, 133, 119, 0.2)"],
        ],
        "showscale": False,
        "hovertemplate": "%{y} and %{x}: p = %{z:.4f}<extra></extra>",
    }
    about = (
        f"p value of a paired sign-flip test over users. Green: significant at {100 * SIGNIFICANCE_LEVEL:g} %; grey: "
        "not. Corrected by Holm over all pairs, so stricter than the table's marks, which compare with the best only."
    )
    chart = chart_of("Significance of the differences", about, [heat], height=140 + 44 * len(pairs["names"]))
    chart["figure"]["layout"]["yaxis"]["autorange"] = "reversed"
    return chart


def losses_chart(report: Mapping[str, Any], colours: Mapping[str, str]) -> Chart | None:
    """Draw training loss and validation metric, epoch by epoch, of the models trained by gradient descent.

    Args:
        report: The values of `report.json`.
        colours: Recommender -> colour.

    Returns:
        The chart; None without such a model.
    """
    traces: list[Chart] = []
    for name, entries in report["training"].items():
        by_epoch = {
            entry["epoch"]: entry for entry in entries if entry["event"] == "epoch"
        }  # an epoch repeated after a resume is logged twice
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
    about = "Solid: training loss. Dashed: metric on the validation part; the weights of its best epoch are kept."
    return chart_of("Training", about, traces, x="epoch", y="loss", legend=True)


def curve_chart(report: Mapping[str, Any], colours: Mapping[str, str]) -> Chart | None:
    """Draw the learning curve: quality on the validation part against the users that were learnt from.

    Args:
        report: The values of `report.json`.
        colours: Recommender -> colour.

    Returns:
        The chart; None where all users were learnt from.
    """
    curve = report.get("learning_curve")
    if not curve:
        return None
    points, name = curve["points"], curve["name"]
    ends = [point["interval"] or [point["value"]] * 2 for point in points]
    values = [point["value"] for point in points]
    line = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": [point["users"] for point in points],
        "y": values,
        "error_y": whiskers(values, ends, 1.5),
        "line": {"color": colours.get(name, PALETTE[0])},
        "hovertemplate": f"{name}, %{{x:,}} users: %{{y:.4f}}<extra></extra>",
    }
    about = (
        f"{name}, learnt from a quarter, a half and all of the users that were drawn of {curve['every']:,} "
        "(train_users). Where it still rises at the end, more users are worth their cost."
    )
    return chart_of("Quality by users learnt from", about, [line], x="users", y=f"{curve['metric']} on validation")
