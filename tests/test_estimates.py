"""What a run will cost: the estimate follows measured runs, unknown kinds are named, and too large runs are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

import genre
from genre import estimates
from genre.cli.main import main
from genre.config.sections import resolve
from genre.errors import DataError
from genre.estimates import SECONDS, DataSizes, estimate_fit
from genre.recommenders.base import Recommender
from lines import Lines
from small_world import write_interactions

CONFIG = """\
name: small
data: {kind: files, interactions: interactions.csv}
split: {kind: leave-one-out}
recommenders: [{kind: popularity}, {kind: als, factors: 4}, {kind: sasrec, epochs: 1}]
evaluation: {k: 3, metrics: [ndcg]}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    write_interactions(tmp_path / "interactions.csv", 20)
    (tmp_path / "small.yaml").write_text(CONFIG)
    return tmp_path / "small.yaml"


def facts_of(row: dict) -> DataSizes:
    return DataSizes(row["users"], row["items"], row["interactions"], row["pairs"])


@pytest.mark.parametrize("kind", SECONDS)
def test_the_largest_measured_run_is_estimated_within_a_factor_of_two_and_a_half(kind: str) -> None:
    rows = [row for row in estimates._measured() if row["kind"] == kind]
    largest = max(rows, key=lambda row: row["interactions"])
    model = resolve(Recommender, kind)(**largest["options"])
    found = estimate_fit(model, facts_of(largest), rows)
    assert found is not None
    measured = max(largest["cpu_seconds"], estimates.LEAST_SECONDS)
    assert 1 / 2.5 <= found[0] / measured <= 2.5


def test_more_work_costs_more() -> None:
    rows, facts = estimates._measured(), DataSizes(1e5, 1e4, 1e7, 2e9)
    few, many = (estimate_fit(genre.ALS(iterations=n), facts, rows) for n in (4, 8))
    assert few is not None
    assert many is not None
    assert many[0] == pytest.approx(2 * few[0])
    ease = [estimate_fit(genre.EASE(), DataSizes(1e5, items, 1e7, 2e9), rows) for items in (1e4, 2e4)]
    assert ease[1][1] > 3 * ease[0][1] - ease[0][1]  # type: ignore[index]


def test_what_large_data_takes_follows_the_options_that_keep_it_small() -> None:
    rows, large = estimates._measured(), DataSizes(1e6, 2e5, 2.5e7, 1e9)

    def cost(model: Recommender, facts: DataSizes = large) -> tuple[float, float]:
        found = estimate_fit(model, facts, rows)
        assert found is not None
        return found

    assert cost(genre.MLP())[0] == cost(genre.MLP(), DataSizes(3e6, 2e5, 2.5e7, 1e9))[0], "by rows"
    assert cost(genre.MLP(most_steps=10**9))[0] > 2 * cost(genre.MLP())[0]
    assert cost(genre.Transitions())[1] < 10e9, "measured: 4"
    assert cost(genre.Transitions(neighbours=100))[1] < 0.6 * cost(genre.Transitions())[1]


def test_a_blend_is_evaluated_by_each_of_its_members() -> None:
    rows, facts = estimates._measured(), DataSizes(1e5, 1e4, 1e7, 2e9)
    members = genre.Popularity(), genre.ALS()
    each = [estimates._evaluation_seconds(one, facts, 1e4, rows) for one in members]
    assert estimates._evaluation_seconds(genre.Blend(members), facts, 1e4, rows) == pytest.approx(sum(each))


def test_the_plan_is_printed_and_nothing_is_learnt(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(config), "--runs", str(config.parent / "runs")]) == 0
    said = capsys.readouterr().out
    assert "Plan: " in said
    assert "GB of memory at the peak; this machine has" in said
    assert "not measured: sasrec" in said
    assert not list(config.parent.glob("runs/*/recommenders"))


def test_what_cannot_fit_is_refused_unless_the_caller_insists(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimates, "machine_memory", lambda: 10**6)
    small = ["recommenders=[{kind: popularity}, {kind: als, factors: 4}]"]
    with pytest.raises(DataError, match="learn from fewer users \\(train_users\\), or run with --anyway"):
        genre.run(config, overrides=small, runs=config.parent / "runs")
    log = Lines()
    assert genre.run(config, overrides=small, runs=config.parent / "runs", anyway=True, log=log).recommenders
    assert any(line.startswith("Plan: ") for line in log.lines)
