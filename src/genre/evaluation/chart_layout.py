"""What all charts of a report share: a Plotly figure with a title, a text and axes in the colours of the page."""

from __future__ import annotations

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
