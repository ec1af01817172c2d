"""The verdict of a run in plain words: which recommender to use, and whether it is better than popular items.

Knows the plain values of `report.json`; computes no test of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genre.display import counted
from genre.evaluation.leaderboard import compared_by, rank_key
from genre.evaluation.resampling import SIGNIFICANCE_LEVEL

Row = Mapping[str, Any]
LEVEL = f"{100 * SIGNIFICANCE_LEVEL:g} %"


@dataclass(frozen=True)
class Verdict:
    """What a run found.

    Attributes:
        use: The recommender to use: the best on the validation part.
        against: How it compares with the baseline, such as `not better than popularity at 5 %`.
        good: Whether that speaks for the recommender.
        lines: What the verdict rests on, a sentence each.
    """

    use: str
    against: str
    good: bool
    lines: tuple[str, ...]


def verdict(report: Mapping[str, Any]) -> Verdict:
    """Read the verdict from the values of a report.

    The baseline is the best list of popular items; without one, the best of the other recommenders. What is not
    significantly different is called not better, whatever its mean.

    Args:
        report: The values of `report.json`.

    Returns:
        The verdict.
    """
    label, best = report["primary"], report["best"]
    rows = compared_by(report["leaderboard"], label, best=best)
    used = next(row for row in rows if row["name"] == best)
    popular = [row for row in rows if row["name"] in report.get("popularity", ())]
    others = [row for row in rows if row is not used]
    lines = [_value_line(used, label)]
    if not others:
        return Verdict(best, "there is no other recommender to compare it with", False, tuple(lines))
    if used in popular:
        first, what = others[0], "popular items"
    else:
        first = (popular or others)[0]
        what = first["name"]
    p = _p_value(report, rows, used, first)
    lines.append(_difference_line(used, first, label, p))
    lines += _equals_line(report, rows, used, first)
    better = rank_key(used["values"][label], label) < rank_key(first["values"][label], label)
    certain = p is not None and p <= SIGNIFICANCE_LEVEL
    if used in popular:
        against = "popular items are hard to beat here: no other recommender was better on the validation part"
        if certain and not better:
            against = f"on the test part {first['name']} is better than {what} at {LEVEL}"
        return Verdict(best, against, False, tuple(lines))
    if p is None:
        words = "higher" if better else "not better"
        return Verdict(best, f"{words} than {what}; too few users for a test", False, tuple(lines))
    if certain:
        return Verdict(best, f"{'better' if better else 'worse'} than {what} at {LEVEL}", better, tuple(lines))
    return Verdict(best, f"not better than {what} at {LEVEL}", False, tuple(lines))


def _p_value(report: Mapping[str, Any], rows: Sequence[Row], one: Row, other: Row) -> float | None:
    """Return the p value of a pair: that of the table where one of them is its first, else that of all pairs."""
    for first, second in ((one, other), (other, one)):
        if first is rows[0] and second["p"] is not None and rows[0]["name"] == report["leaderboard"][0]["name"]:
            return float(second["p"])
    pairs = report.get("significance") or {"names": []}
    names = pairs["names"]
    if one["name"] not in names or other["name"] not in names:
        return None
    p = pairs["p"][names.index(one["name"])][names.index(other["name"])]
    return None if p is None else float(p)


def _value_line(row: Row, label: str) -> str:
    ends = row["intervals"].get(label)
    interval = f", 95 % interval {_number(ends[0])} to {_number(ends[1])}" if ends and None not in ends else ""
    users = row["counts"].get("users")
    over = f", over {counted(users, 'user')}" if users else ""
    return f"{row['name']} has {label} {_number(row['values'][label])} on the test part{interval}{over}."


def _difference_line(used: Row, other: Row, label: str, p: float | None) -> str:
    said = f"{other['name']} has {_number(other['values'][label])}."
    if p is None:
        return said
    chance = "less than 1 %" if p < 0.01 else f"{100 * p:.0f} %"
    return f"{said} If the two were equally good, a difference this large would come up in {chance} of tests."


def _equals_line(report: Mapping[str, Any], rows: Sequence[Row], used: Row, baseline: Row) -> list[str]:
    """Name the recommenders that the test does not tell from the one to use, and the cheapest of them."""
    pairs = ((row, _p_value(report, rows, used, row)) for row in rows if row is not used and row is not baseline)
    equals = [row for row, p in pairs if p is not None and p > SIGNIFICANCE_LEVEL]
    if not equals:
        return []
    names = ", ".join(row["name"] for row in equals)
    timed = [row for row in equals if row["cost"].get("fit_cpu_s") is not None]
    cheapest = min(timed, key=lambda row: row["cost"]["fit_cpu_s"], default=None)
    own = used["cost"].get("fit_cpu_s")
    if cheapest is None or own is None or cheapest["cost"]["fit_cpu_s"] >= own:
        return [f"Not distinguishable from {used['name']} at {LEVEL}: {names}."]
    seconds = [f"{one:.3g}".removeprefix("0") for one in (cheapest["cost"]["fit_cpu_s"], own)]
    cost = f"{cheapest['name']} is the cheapest to fit, {seconds[0]} against {seconds[1]} CPU s"
    return [f"Not distinguishable from {used['name']} at {LEVEL}: {names}; {cost}."]


def _number(value: float) -> str:
    return f"{value:.4f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.3f}"
