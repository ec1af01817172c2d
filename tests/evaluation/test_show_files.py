"""Files of shows of other systems: judged as by hand, refused with the place where they cannot be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from genre.cli.main import main
from genre.errors import EvaluationError
from genre.evaluation.online.show_files import judge_files

RATE = {"1": np.array([0.1, 0.5, 0.2]), "2": np.array([0.3, 0.4, 0.1])}
LIVE = np.array([0.5, 0.3, 0.2])
OTHER = {"1": np.array([0.2, 0.2, 0.6]), "2": np.array([0.1, 0.8, 0.1])}
TRUTH = float(np.mean([OTHER[place] @ RATE[place] for place in RATE]))


def write_shows(path: Path, *, target: bool = False) -> Path:
    """2,000 shows at two positions that hold each item and click in exactly its proportion."""
    lines = [f"item_id,position,click,propensity_score{',target' if target else ''}"]
    for place, rates in RATE.items():
        for item, (live, rate) in enumerate(zip(LIVE, rates, strict=True)):
            n = round(1000 * live)
            end = f"{live}" + (f",{OTHER[place][item]}" if target else "")
            lines += [f"i{item},{place},{int(at < round(n * rate))},{end}" for at in range(n)]
    path.write_text("\n".join(lines) + "\n")
    return path


def write_policy(path: Path, scale: float = 1.0) -> Path:
    rows = [f"{place},i{item},{p * scale}" for place, some in OTHER.items() for item, p in enumerate(some)]
    path.write_text("slot,item,probability\n" + "\n".join(rows) + "\n")
    return path


def test_a_policy_is_judged_by_the_shows_of_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shows, policy = write_shows(tmp_path / "shows.csv"), write_policy(tmp_path / "policy.csv")
    judged = judge_files(shows, policy, "click")
    assert [one.name for one in judged.estimates] == ["IPS", "SNIPS", "DR"]
    weights = np.concatenate([OTHER[place] / LIVE for place in RATE])
    shown = np.tile(LIVE, 2) / 2
    for one in judged.estimates[:2]:
        assert one.value == pytest.approx(TRUTH)
        assert one.effective == pytest.approx(2000 / (shown @ weights**2))
    assert judged.estimates[2].value == pytest.approx(TRUTH, abs=0.01)  # its model is learnt in random folds
    assert (judged.own, judged.notes) == (None, [])
    assert judge_files(shows, write_policy(tmp_path / "half.csv", 0.5), "click").estimates == judged.estimates
    assert main(["offpolicy", "--shows", str(shows), "--policy", str(policy)]) == 0
    out = capsys.readouterr().out
    assert f"IPS: {TRUTH:.4f} (95 % interval " in out
    assert "2,000 shows, worth " in out


def test_a_log_of_the_policy_tells_its_probabilities_and_what_it_earned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shows = write_shows(tmp_path / "shows.csv")
    judged = judge_files(shows, shows, "click")
    assert judged.own is not None
    for one in judged.estimates:
        assert one.value == pytest.approx(judged.own.value, abs=0.01 if one.name == "DR" else 1e-9)
        assert one.effective == pytest.approx(2000)
    assert judged.own.value == pytest.approx(np.mean([LIVE @ RATE[place] for place in RATE]))
    assert main(["offpolicy", "--shows", str(shows), "--policy", str(shows)]) == 0
    assert f"in its own log: {judged.own.value:.4f} (95 % interval {judged.own.low:.4f} to" in capsys.readouterr().out


def test_the_shows_may_say_what_the_policy_would_have_shown(tmp_path: Path) -> None:
    judged = judge_files(write_shows(tmp_path / "shows.csv", target=True), None, "click")
    assert [one.name for one in judged.estimates] == ["IPS", "SNIPS"]
    assert judged.estimates[0].value == pytest.approx(TRUTH)


@pytest.mark.parametrize(
    ("shows", "policy", "message"),
    [
        ("item,click\na,1", "item,probability\na,1", "no column of the propensities; call it propensity or"),
        ("item,clicks,pscore\na,1,1", "item,probability\na,1", "no column of the outcome (did you mean 'clicks'?)"),
        ("item,click,pscore\na,1,1\nb,much,1", "item,probability\na,1", "row 2: click is 'much', which is no number"),
        ("item,click,pscore\na,1,1", "item,probability\na,1.5", "row 1: probability is 1.5; expected 0 to 1"),
        ("item,click,pscore\na,1,1", "item,position,probability\na,1,1", "has positions and"),
        ("item,click,pscore\na,1,0", "item,probability\na,1", "propensity of show 1 is 0.0"),
        ("item,click,pscore\na,1,1", "item,probability\na,1", "1 show is worth 1 of the policy to judge, and 100"),
        ("item,click,pscore\na,1,1", "item,probability\na,0", "no item has a probability above 0"),
        ("item,click,pscore\na,1,1", None, "no column of the policy to judge; call it target"),
    ],
)
def test_what_cannot_be_judged_is_said(shows: str, policy: str | None, message: str, tmp_path: Path) -> None:
    log, other = tmp_path / "shows.csv", tmp_path / "policy.csv"
    log.write_text(shows + "\n")
    if policy is not None:
        other.write_text(policy + "\n")
    with pytest.raises(EvaluationError) as error:
        judge_files(log, None if policy is None else other, "click")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name the run to judge; or a file of shows"),
        (["run", "--policy", "p.csv"], "name the run to judge"),
        (["run", "--shows", "s.csv"], "--shows judges a file, no run; leave out run"),
    ],
)
def test_a_run_or_files_are_judged_not_both(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["offpolicy", *words]) == 2
    assert message in capsys.readouterr().err
