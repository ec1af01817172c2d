"""Rules from a config: in `genre recommend`, in lists for everybody, in the report, and what they cost."""

from __future__ import annotations

from pathlib import Path

import pyarrow.csv
import pytest

import genre
from genre.cli.main import main
from genre.errors import ConfigError, DataError
from genre.studies import audit_rules
from small_world import small_config, write_interactions

RULES = """\
rules:
  - {kind: hide, where: {stock: 0}}
  - {kind: pin, item: i15, place: 2, name: campaign}
  - {kind: at_most, n: 1, per: brand}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with rules: i0 is sold out; all items but i15 are of one of two brands."""
    place = tmp_path_factory.mktemp("rules")
    write_interactions(place / "interactions.csv", 24)
    items = [f"i{n},{'x' if n == 15 else 'abc'[n % 2]},{0 if n == 0 else 9}" for n in range(16)]
    (place / "items.csv").write_text("\n".join(["item_id,brand,stock", *items]))
    text = small_config("{kind: ease}").replace("interactions.csv}", "interactions.csv, items: items.csv}")
    text = text.replace("{kind: leave-one-out}", "{kind: random, test: 0.3}")
    (place / "shop.yaml").write_text(text + RULES)
    return genre.run(place / "shop.yaml", runs=place / "runs").folder


def test_lists_of_a_run_keep_its_rules(folder: Path, tmp_path: Path) -> None:
    run = genre.read_run(folder)
    rows = run.recommended(run.history_of(["i2", "i4"]), k=3)
    assert [row.item_id for row in rows][1] == "i15"
    assert rows[1].reason.startswith("placed here by a rule (campaign)")
    assert "i0" not in [row.item_id for row in rows]
    assert len({int(row.item_id[1:]) % 2 for row in rows if row.item_id != "i15"}) == 2
    out = tmp_path / "lists.csv"
    assert main(["recommend", str(folder), "--all", "--out", str(out), "-k", "3"]) == 0
    table = pyarrow.csv.read_csv(out)
    assert "i0" not in table["item_id"].to_pylist()
    pins = [row for row in table.to_pylist() if row["item_id"] == "i15"]
    assert len(pins) > 12
    assert {row["rank"] for row in pins} == {2}


def test_the_audit_says_what_rules_cost(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    none, hide, pin, limit, all_ = audit_rules(folder)
    assert [row.rules for row in (none, hide, pin, limit, all_)] == ["none", "hide", "campaign", "at_most", "all"]
    ease = next(row for row in genre.read_run(folder).report["leaderboard"] if row["name"] == "ease")
    assert none.ndcg == pytest.approx(ease["values"]["ndcg@3"])
    assert none.ndcg > hide.ndcg > all_.ndcg  # i0 is the right answer of some users
    assert none.unkept == hide.unkept == 0 < pin.unkept  # some had the item
    assert main(["audit", str(folder), "--rules"]) == 0
    assert "campaign" in capsys.readouterr().out
    write_interactions(tmp_path / "interactions.csv", 24)
    (tmp_path / "plain.yaml").write_text(small_config("{kind: ease}"))
    with pytest.raises(ConfigError, match="has no rules; add `rules:`"):
        audit_rules(genre.run(tmp_path / "plain.yaml", runs=tmp_path / "runs").folder)


def test_a_rule_over_an_unknown_field_stops_the_run_before_anything_is_learnt(tmp_path: Path) -> None:
    write_interactions(tmp_path / "interactions.csv", 24)
    (tmp_path / "shop.yaml").write_text(small_config("{kind: ease}") + "rules: [{kind: hide, where: {stock: 0}}]\n")
    with pytest.raises(DataError, match=r"rules\[0\] \(hide\): items have no field 'stock'; fields: none"):
        genre.run(tmp_path / "shop.yaml", runs=tmp_path / "runs")
    assert not list(tmp_path.glob("runs/*/recommenders"))
