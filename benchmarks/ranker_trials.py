"""Second stages that were tried on amazon-beauty beside the one of `ranker`, on the validation part alone.

    OMP_NUM_THREADS=1 python benchmarks/ranker_trials.py --data ../shared/data [--trials plain dropout ...] [--users 8000]

The first stage is the blend of `quality.py` without its network: learnt from train, weighed on the validation part. What a
ranker reads of its candidates is computed once, with the members fitted without the last items, or without the last two;
then networks of the same form as `CandidateNetwork`, in torch, with 15 epochs, learn from it. One target a user, the last
item of train but for `two targets`, which learns from the last two, with members that saw neither. ndcg@10 and recall@10 of
a seeded sample of validation users, a target that is no candidate counts as a miss. The test is not read.
"""

from __future__ import annotations

import argparse
import copy
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from quality import BEAUTY_BLEND
from quality_measures import read

from genre.arrays import Float32, Int64
from genre.data.dataset import Dataset
from genre.data.folds import Fold, hold_out_last
from genre.data.history import History
from genre.recommenders.base import Recommender
from genre.recommenders.candidate_features import Counts, count
from genre.recommenders.ranker import REMEDY, find_candidates

CANDIDATES, EPOCHS, RATE, BATCH, HIDDEN = 200, 15, 3e-3, 128, 32


@dataclass(frozen=True)
class Trial:
    """What differs: share of hidden units dropped, networks averaged, targets of a user."""

    dropout: float = 0.0
    networks: int = 2
    targets: int = 1


TRIALS = {
    "plain": Trial(),
    "dropout": Trial(dropout=0.2),
    "two targets": Trial(targets=2),
    "six networks": Trial(networks=6),
}


@dataclass(frozen=True)
class Seen:
    """Features `[n, k, n_features]` of candidates, their first scores `[n, k]`, and the place of the target, or -1."""

    features: Float32
    base: Float32
    place: Int64


def seen(first: Recommender, counts: Counts, histories: History, target: Int64, *, learnt: bool) -> Seen:
    parts = []
    for rows, block in histories.blocks(256):
        found = find_candidates(first, counts, block, CANDIDATES, exclude_seen=True)
        there = np.isfinite(found.base)
        hit = (found.items == target[rows, None]) & there
        place = np.where(hit.any(axis=1), hit.argmax(axis=1), -1)
        kept = (place >= 0) & (there.sum(axis=1) > 1) if learnt else np.ones(len(place), bool)
        parts.append((found.features[kept], found.base[kept], place[kept]))
    return Seen(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def of_targets(first: Recommender, data: Dataset, folds: list[Fold]) -> Seen:
    """Examples of the targets of some folds, by members and counts of one part that none of them is in."""
    counts, parts = count(data), []
    for fold in folds:
        users = np.unique(fold.target.user)
        parts.append(seen(first, counts, fold.histories(users), fold.target.history(users).item, learnt=True))
    return Seen(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("features", "base", "place")))


def learn(examples: Seen, asked: Seen, trial: Trial, seed: int) -> Float32:
    """Scores of the candidates of other histories, by a network that starts as the first stage."""
    known = examples.features[np.isfinite(examples.base)]
    center, spread = known.mean(axis=0, dtype=np.float64), known.std(axis=0, dtype=np.float64)
    scaled, other = (
        torch.from_numpy(((one - center) / np.where(spread > 1e-6, spread, 1)).astype(np.float32))
        for one in (examples.features, asked.features)
    )
    there = torch.from_numpy(np.isfinite(examples.base))
    base, asked_base = (torch.from_numpy(np.where(np.isfinite(one), one, 0)) for one in (examples.base, asked.base))
    place = torch.from_numpy(examples.place)
    torch.manual_seed(seed)
    last = torch.nn.Linear(HIDDEN, 1, bias=False)
    torch.nn.init.zeros_(last.weight)
    dropped = [torch.nn.Dropout(trial.dropout)] if trial.dropout else []
    network = torch.nn.Sequential(torch.nn.Linear(scaled.shape[2], HIDDEN), torch.nn.SiLU(), *dropped, last)
    weight = torch.nn.Parameter(torch.ones(1))
    decayed = [one for one in network.parameters() if one.ndim > 1]
    others = [*(one for one in network.parameters() if one.ndim == 1), weight]
    groups = [{"params": decayed, "weight_decay": 1e-4}, {"params": others, "weight_decay": 0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE)
    steps, step = EPOCHS * -(-len(place) // BATCH), 0
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(place)).split(BATCH):
            for group in optimizer.param_groups:
                group["lr"] = RATE * (1 + np.cos(np.pi * step / steps)) / 2
            step += 1
            scores = (weight * base[rows] + network(scaled[rows])[..., 0]).masked_fill(~there[rows], -1e9)
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(scores, place[rows]).backward()
            optimizer.step()
    network.eval()
    with torch.no_grad():
        found = [
            weight * asked_base[rows] + network(other[rows])[..., 0] for rows in torch.arange(len(other)).split(500)
        ]
    return np.where(np.isfinite(asked.base), torch.cat(found).numpy(), -np.inf)


def measured(scores: Float32, place: Int64) -> tuple[float, float]:
    """ndcg@10 and recall@10 of one target a history."""
    own = scores[np.arange(len(scores)), np.maximum(place, 0)]
    rank = (scores > own[:, None]).sum(axis=1)
    hit = (place >= 0) & (rank < 10)
    return float(np.where(hit, 1 / np.log2(rank + 2), 0).mean()), float(hit.mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--trials", nargs="+", choices=list(TRIALS), default=list(TRIALS))
    parser.add_argument("--users", type=int, default=8000, help="users of validation")
    options = parser.parse_args()
    torch.set_num_threads(1)
    parts = read("amazon-beauty", options.data)
    full = copy.copy(BEAUTY_BLEND).fit(parts.train, validation=parts.validation)
    fold = parts.validation.sample(options.users, 0)
    users = fold.users()
    asked = seen(full, count(parts.train), fold.histories(users), fold.target.history(users).item, learnt=False)
    last = hold_out_last(parts.train, remedy=REMEDY, whole_basket=True)
    folds = {1: [last], 2: [last, hold_out_last(last.context, remedy=REMEDY, whole_basket=True)]}
    examples: dict[int, Seen] = {}
    print("| trial | histories | ndcg@10 | recall@10 | mean ndcg@10 of one network | CPU s of networks |")
    print("|---|--:|--:|--:|--:|--:|")
    print("| the blend | | " + " | ".join(f"{value:.4f}" for value in measured(asked.base, asked.place)) + " | | |")
    for name in options.trials:
        trial = TRIALS[name]
        if trial.targets not in examples:
            left = folds[trial.targets][-1].context
            examples[trial.targets] = of_targets(full.refit_members(left), left, folds[trial.targets])
        learnt, began = examples[trial.targets], time.process_time()
        scores = [learn(learnt, asked, trial, seed) for seed in range(trial.networks)]
        spent = time.process_time() - began
        together = measured(np.sum(scores, axis=0), asked.place)
        alone = np.mean([measured(one, asked.place)[0] for one in scores])
        values = " | ".join(f"{value:.4f}" for value in (*together, alone))
        print(f"| {name} | {len(learnt.place):,} | {values} | {spent:.0f} |", flush=True)


if __name__ == "__main__":
    main()
