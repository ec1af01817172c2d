"""The report of a run as one self-contained HTML file with charts by Plotly and a diagram by Mermaid, readable offline.

Knows the plain values of `report.json` and the evaluations; does not know how they were made.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from genre.downloads import fetch_wheel_files
from genre.errors import NotAvailable
from genre.evaluation import charts
from genre.evaluation.leaderboard import describe_repeats, tables
from genre.evaluation.results import Evaluation
from genre.evaluation.run_verdict import verdict
from genre.log import SILENT, Log
from genre.recommenders.wording import describe_wording

MERMAID = "artoo-mermaid==11.16.0"
MERMAID_FILES = {
    "artoo_mermaid/assets/mermaid.min.js": "74d7c46dabca328c2294733910a8aa1ed0c37451776e8d5295da38a2b758fb9b"
}


def write_report(
    path: Path,
    report: Mapping[str, Any],
    evaluations: Mapping[str, Evaluation],
    *,
    diagram: str,
    config: str,
    log: Log = SILENT,
) -> None:
    """Write the HTML report of a run.

    Args:
        path: The file to write.
        report: The values of `report.json`.
        evaluations: Recommender -> its evaluation on the test part, best first.
        diagram: The pipeline as Mermaid text.
        config: The full config as YAML.
        log: Where a missing Mermaid script is reported.

    Raises:
        NotAvailable: When Jinja2 or Plotly is not installed.
    """
    try:
        from jinja2 import Environment, StrictUndefined
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise NotAvailable(f"the report needs {error.name}: pip install 'genre-rec[report]'") from error

    template = resources.files("genre.evaluation").joinpath("report.html").read_text("utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"short": short, "tally": describe_wording}
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}
    page = environment.from_string(template).render(
        report=report,
        verdict=verdict(report),
        tables=tables(report["leaderboard"], best=report["best"]),
        repeats=describe_repeats(report["leaderboard"]),
        charts=charts.all_charts(report, evaluations),
        diagram=diagram,
        config=config,
        plotly=get_plotlyjs(),
        mermaid=_mermaid(log),
    )
    path.write_text(page, encoding="utf-8")


def _mermaid(log: Log) -> str:
    """Return Mermaid's script; empty when it cannot be downloaded: the page then shows the diagram as text."""
    try:
        folder = fetch_wheel_files(MERMAID, MERMAID_FILES, log=log)
    except NotAvailable as error:
        log.line(f"report: the diagram is shown as text, since {error}")
        return ""
    return (folder / next(iter(MERMAID_FILES))).read_text("utf-8")


def short(value: float | None, digits: int = 4) -> str:
    """Format a number: `.2808`, `1.03`, `12,345`, or a dash for None.

    Args:
        value: The number.
        digits: Decimal places of numbers below 1; larger ones get one less.

    Returns:
        The text.
    """
    if value is None:
        return "-"
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{digits}f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.{digits - 1}f}"
