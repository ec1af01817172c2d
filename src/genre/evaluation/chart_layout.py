"""What all charts of a report share: a Plotly figure with its title, text and axes, bars, and intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Chart = dict[str, Any]  # title, about, figure: a Plotly figure as plain JSON
NEUTRAL = "#8f8577"  # visible on a light and on a dark page


def chart_of(
    title: str,
    about: str,
    traces: list[Chart],
    *,
    x: str = "",
    y: str = "",
    height: int = 360,
    legend: bool = False,
) -> Chart:
    """Return a chart.

    Args:
        title: Its title.
        about: What it shows, in a sentence or two.
        traces: The traces of the figure.
        x: Title of the horizontal axis.
        y: Title of the vertical axis.
        height: Height in pixels.
        legend: Whether it has a legend.

    Returns:
        The chart.
    """
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


def bars_of(titles: Sequence[str], values: Sequence[float], colours: Sequence[str], hover: str) -> Chart:
    """Return a trace of horizontal bars.

    Args:
        titles: Name of each bar. `[n]`
        values: Its length. `[n]`
        colours: Its colour. `[n]`
        hover: How a value is shown at the pointer, such as `.4f`.

    Returns:
        The trace.
    """
    shown = {"marker": {"color": colours}, "hovertemplate": f"%{{y}}: %{{x:{hover}}}<extra></extra>"}
    return {"type": "bar", "orientation": "h", "x": values, "y": titles, **shown}


def whiskers(values: Sequence[float | None], ends: Sequence[Sequence[float | None]], width: float) -> Chart:
    """Return the intervals of a trace's values.

    Args:
        values: The values; None where there is none. `[n]`
        ends: Both ends of each interval; None where there is none. `[n]`
        width: Width of the lines in pixels.

    Returns:
        What a trace has as `error_x` or `error_y`.
    """
    of = [(value, *both) for value, both in zip(values, ends, strict=True)]
    return {
        "type": "data",
        "symmetric": False,
        "array": [None if value is None or high is None else high - value for value, _, high in of],
        "arrayminus": [None if value is None or low is None else value - low for value, low, _ in of],
        "thickness": width,
        "color": NEUTRAL,
    }
