"""Our ranking metrics against ranx on lists made by Hypothesis: the same to 1e-9, user by user.

    python benchmarks/metrics_referee.py        (in an environment with this project, ranx and hypothesis)

Each example is a batch of users with lists of any length and any number of relevant items, listed or not. ranx knows
no ties: it sorts by score, so scores are distinct here; tests/evaluation compares ties with brute force.
"""

from __future__ import annotations

import warnings
from importlib.metadata import version

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from genre.evaluation.metric_table import METRICS
from genre.evaluation.tied_ranks import Ranks
from genre.kernels.ranks import place_targets

NAMES = ("precision", "recall", "f1", "ndcg", "map", "mrr", "hit_rate")
N_ITEMS = 40
EXAMPLES = 300

items = st.integers(0, N_ITEMS - 1)
users = st.tuples(st.lists(items, min_size=1, max_size=30, unique=True), st.sets(items, min_size=1, max_size=25))
worst = dict.fromkeys(NAMES, 0.0)
n_lists = 0


@given(st.lists(users, min_size=1, max_size=30), st.integers(1, 35))
@settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def compare(batch: list[tuple[list[int], set[int]]], k: int) -> None:
    global n_lists
    from ranx import Qrels, Run, evaluate

    qrels = Qrels({f"u{row}": {f"i{item}": 1 for item in wanted} for row, (_, wanted) in enumerate(batch)})
    scored = {
        f"u{r}": {f"i{i}": float(len(shown) - at) for at, i in enumerate(shown)} for r, (shown, _) in enumerate(batch)
    }
    evaluate(qrels, run := Run(scored), [f"{name}@{k}" for name in NAMES])
    ranks = ranks_of(batch, k)
    n_lists += len(batch)
    for name in NAMES:
        theirs = run.scores[f"{name}@{k}"]
        ours = METRICS[name].compute(ranks)
        apart = max(abs(ours[row] - theirs[f"u{row}"]) for row in range(len(batch)))
        worst[name] = max(worst[name], apart)
        assert apart < 1e-9, (name, batch, k)


def ranks_of(batch: list[tuple[list[int], set[int]]], k: int) -> Ranks:
    top = np.full((len(batch), 30), -1, np.int32)
    for row, (shown, _) in enumerate(batch):
        top[row, : len(shown)] = shown
    indptr = np.concatenate([[0], np.cumsum([len(wanted) for _, wanted in batch])]).astype(np.int64)
    wanted = np.array([item for _, wanted in batch for item in sorted(wanted)], np.int32)
    item, n_higher = place_targets(top, indptr, wanted, N_ITEMS)
    return Ranks(k=k, indptr=indptr, item=item, n_higher=n_higher, ties=np.ones_like(n_higher))


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    compare()
    print(f"ranx {version('ranx')}, {EXAMPLES} examples by Hypothesis, {n_lists:,} lists, k from 1 to 35")
    for name, apart in worst.items():
        print(f"  {name:10} largest difference {apart:.1e}")
