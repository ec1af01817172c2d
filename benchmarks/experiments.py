"""Do experiments and off-policy estimates keep the error rates they promise?

    python benchmarks/experiments.py [--runs 10000] [--obd FOLDER]

Experiments are simulated user by user: each user buys with a probability of their arm. An experiment is looked at 200
times and ends at the first look whose interval leaves out 0. Off-policy estimates are made on simulated logs whose
truth is known; with `--obd`, also on the sample of the Open Bandit Dataset (Saito et al. 2021, CC BY 4.0): the folder
`obp/dataset/obd` of the wheel of obp 0.4.1, unpacked. There the policy "BTS" is judged on the log of the policy
"random": its probability of an item at a position is the mean of the propensities in its own log; its own log also tells
what it really earned.
"""

from __future__ import annotations

import argparse
import math
from datetime import date
from pathlib import Path
from statistics import NormalDist

import numpy as np

from genre.evaluation.online.experiments import ArmOutcome, always_valid_effect, check_assignment
from genre.evaluation.online.offpolicy import Estimate, LoggedShows, doubly_robust, ips, mean_rewards, snips
from genre.evaluation.online.show_files import judge_files

LOOKS = 200
RATE = 0.1
LIFT = 0.1
POWER, LEVEL = 0.8, 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--obd", type=Path, help="the folder obp/dataset/obd")
    options = parser.parse_args()
    print(f"`python benchmarks/experiments.py --runs {options.runs}`, {date.today():%-d %B %Y}\n")
    experiments(options.runs)
    assignments()
    simulated_logs()
    if options.obd:
        open_bandit(options.obd)


def experiments(runs: int) -> None:
    """A/A experiments over twice the planned users, and experiments with a true effect over 1.8 times as many."""
    rng = np.random.default_rng(0)
    better = RATE * (1 + LIFT)
    z = NormalDist().inv_cdf(1 - LEVEL / 2) + NormalDist().inv_cdf(POWER)
    planned = math.ceil(z**2 * (RATE * (1 - RATE) + better * (1 - better)) / (LIFT * RATE) ** 2)  # of a fixed end
    false = np.isfinite(stops(rng, RATE, RATE, planned, 2.0, runs)).mean()
    found = stops(rng, RATE, better, planned, 1.8, max(runs // 10, 100))
    print("| experiments | measured | wanted |")
    print("|---|--:|--:|")
    print(f"| false winners of {runs:,} A/A experiments, {LOOKS} looks each | {false:.3f} | .01 to .05 |")
    print(f"| users an arm of the test at a fixed end, +{LIFT:.0%} on {RATE}, 80 % power | {planned:,} | |")
    print(f"| median end with +{LIFT:.0%}, by that number | {np.median(found):.2f} | at most 1.20 |")
    print(f"| found by 1.8 times that number | {np.isfinite(found).mean():.3f} | at least .80 |\n")


def stops(rng: np.random.Generator, first: float, second: float, planned: int, length: float, runs: int) -> np.ndarray:
    """Return the users an arm at which each experiment ends, by the planned number; infinite: no winner. [runs]"""
    step = int(planned * length / LOOKS)
    out = np.full(runs, np.inf)
    for run in range(runs):
        bought = rng.binomial(step, [[first], [second]], (2, LOOKS)).cumsum(axis=1).tolist()
        for look in range(LOOKS):
            users = (look + 1) * step
            arms = (ArmOutcome(users, sums[look], sums[look]) for sums in bought)
            if always_valid_effect(*arms, planned=planned).decided:
                out[run] = users / planned
                break
    return out


def assignments() -> None:
    """Wrong and right splits of 20,000 users, looked at 200 times."""
    rng = np.random.default_rng(1)
    flagged = {}
    for share, runs in ((0.52, 100), (0.5, 1000)):
        flags = 0
        for _ in range(runs):
            first = rng.binomial(20_000 // LOOKS, share, LOOKS).cumsum()
            total = 20_000 // LOOKS * np.arange(1, LOOKS + 1)
            looks = zip(first.tolist(), (total - first).tolist(), strict=True)
            flags += any(check_assignment({"a": a, "b": b}, {"a": 1, "b": 1}).flagged for a, b in looks)
        flagged[share] = f"{flags} of {runs:,}"
    print("| users per arm, 20,000 users | flagged | wanted |")
    print("|---|--:|--:|")
    print(f"| split 52 to 48 | {flagged[0.52]} | at least 95 |")
    print(f"| split 50 to 50 | {flagged[0.5]} | at most 1 |\n")


def simulated_logs(runs: int = 1000, shows: int = 5000, items: int = 20) -> None:
    """Logs of a policy that favours some items, to judge one that favours others, with context and known truth."""
    rng = np.random.default_rng(2)
    rate = rng.beta(2, 18, (3, items))  # of clicks, in three kinds of context
    live = _policy(rng, items, 0.3)
    other = _policy(rng, items, 0.1)
    truth = float((other * rate).sum(axis=1).mean())
    found: dict[str, list[Estimate]] = {}
    for run in range(runs):
        context = rng.integers(0, 3, shows)
        shown = (rng.random((shows, 1)) > live[context].cumsum(axis=1)).sum(axis=1).clip(max=items - 1)
        reward = (rng.random(shows) < rate[context, shown]).astype(float)
        means, fold = mean_rewards(reward, shown, items, seed=run)
        log = LoggedShows(
            reward,
            live[context, shown],
            other[context, shown],
            means[fold, shown],
            (means[fold] * other[context]).sum(axis=1),
        )
        for estimate in (ips(log), snips(log), doubly_robust(log)):
            found.setdefault(estimate.name, []).append(estimate)
    print(f"{runs:,} simulated logs of {shows:,} shows, {items} items, three contexts; true reward {truth:.4f}.\n")
    print("| estimator | mean | interval holds the truth | median width | by the width from the true spread |")
    print("|---|--:|--:|--:|--:|")
    for name, rows in found.items():
        values = np.array([row.value for row in rows])
        width = np.median([row.high - row.low for row in rows])
        held = np.mean([row.low <= truth <= row.high for row in rows])
        print(f"| {name} | {values.mean():.4f} | {held:.3f} | {width:.4f} | {width / (2 * 1.96 * values.std()):.2f} |")
    print("\nWanted: held in .93 to .97, and at most 1.30 times the width.\n")


def _policy(rng: np.random.Generator, items: int, floor: float) -> np.ndarray:
    """Probabilities of items by context, a share `floor` of them uniform. [3, items]"""
    return floor / items + (1 - floor) * rng.dirichlet(np.ones(items), 3)


def open_bandit(folder: Path) -> None:
    """Judge BTS on the log of random, campaign by campaign."""
    print("| campaign | estimator | clicks a show | 95 % interval | effective shows | on its own log |")
    print("|---|---|--:|--:|--:|--:|")
    for campaign in ("all", "men", "women"):
        random, bts = (folder / policy / campaign / f"{campaign}.csv" for policy in ("random", "bts"))
        judged = judge_files(random, bts, "click")
        own = judged.own
        assert own is not None
        truth = f"{own.value:.4f} ({own.low:.4f} to {own.high:.4f})"
        for e in judged.estimates:
            interval = f"{e.low:.4f} to {e.high:.4f}"
            print(
                f"| {campaign} | {e.name} | {e.value:.4f} | {interval} | {e.effective:,.0f} of {e.shows:,} | {truth} |"
            )


if __name__ == "__main__":
    main()
