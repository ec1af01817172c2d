"""The verdict: which recommender to use, and whether it is better than popular items, in plain words."""

from __future__ import annotations

from typing import Any

import pytest

from genre.evaluation.run_verdict import verdict


def row(name: str, value: float, p: float | None, cost: float | None = None, users: int = 153) -> dict[str, Any]:
    return {
        "name": name,
        "values": {"ndcg@10": value},
        "intervals": {"ndcg@10": [value - 0.04, value + 0.04]},
        "p": p,
        "counts": {"users": users, "targets": 1},
        "cost": {} if cost is None else {"fit_cpu_s": cost},
    }


def report(best: str, *rows: dict[str, Any], popularity: tuple[str, ...] = ("popularity",)) -> dict[str, Any]:
    names = [one["name"] for one in rows]
    p = [[0.5 for _ in names] for _ in names]
    pairs = {"label": "ndcg@10", "names": names, "p": p}
    return {
        "best": best,
        "primary": "ndcg@10",
        "leaderboard": list(rows),
        "popularity": popularity,
        "significance": pairs,
    }


@pytest.mark.parametrize(
    ("best", "second", "p", "said", "good"),
    [
        ("blend", "popularity", 0.4, "not better than popularity at 5 %", False),
        ("blend", "popularity", 0.004, "better than popularity at 5 %", True),
        ("blend", "popularity", None, "higher than popularity; too few users for a test", False),
        ("popularity", "blend", 0.4, "popular items are hard to beat here", False),
    ],
)
def test_it_compares_with_popular_items(best: str, second: str, p: float | None, said: str, good: bool) -> None:  # noqa: FBT001
    values = report(best, row(best, 0.2859, None), row(second, 0.2808, p))
    if p is None:
        values["significance"]["p"] = [[None, None], [None, None]]
    found = verdict(values)
    assert found.use == best
    assert found.against.startswith(said)
    assert found.good is good


def test_it_says_what_it_rests_on() -> None:
    rows = (
        row("blend", 0.2859, None, 4.0),
        row("popularity", 0.2808, 0.43),
        row("ease", 0.27, 0.2, 0.25),
        row("knn", 0.1, 0.001),
    )
    first, second, third = verdict(report("blend", *rows)).lines
    assert first == "blend has ndcg@10 .2859 on the test part, 95 % interval .2459 to .3259, over 153 users."
    assert second.startswith("popularity has .2808.")
    assert "43 % of tests" in second
    assert third == "Not distinguishable from blend at 5 %: ease; ease is the cheapest to fit, .25 against 4 CPU s."


def test_the_best_on_validation_may_be_worse_in_the_test() -> None:
    values = report("blend", row("popularity", 0.3, None), row("blend", 0.2, 0.01))
    assert verdict(values).against == "worse than popularity at 5 %"
    values = report("popularity", row("blend", 0.3, None), row("popularity", 0.2, 0.01))
    assert verdict(values).against == "on the test part blend is better than popular items at 5 %"


def test_without_popular_items_it_compares_with_the_best_of_the_others() -> None:
    values = report("ease", row("ease", 0.3, None), row("knn", 0.2, 0.01), row("als", 0.1, 0.01), popularity=())
    assert verdict(values).against == "better than knn at 5 %"
    alone = verdict(report("ease", row("ease", 0.3, None), popularity=()))
    assert alone.against == "there is no other recommender to compare it with"
    assert len(alone.lines) == 1
