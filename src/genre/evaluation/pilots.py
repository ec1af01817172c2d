"""What blends and rankers will take, measured on a few histories before a search begins them.

Knows recommenders; does not know what is searched, nor how much time is left.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.recommenders.base import Recommender
from genre.recommenders.blend import Blend
from genre.recommenders.candidate_features import count
from genre.recommenders.candidate_network import Examples, train_network
from genre.recommenders.ranker import Ranker, find_candidates

PILOT = 64  # histories
BY_LENGTH = 2.0  # weights by length of histories take so many times as long as one row of weights


@dataclass(frozen=True)
class RankerCosts:
    """What a ranker takes, in CPU seconds.

    Attributes:
        first: The first stage, its weights and all counts, for train and for train without its last items.
        history: A history that it learns from: candidates, features, and all passes of all networks over it.
        ranking: A history that it answers.
    """

    first: float
    history: float
    ranking: float


def pilot_blend(blend: Blend, fold: Fold) -> tuple[Blend, float]:
    """Weigh a blend on a few histories.

    Args:
        blend: Of fitted recommenders.
        fold: Held-out interactions.

    Returns:
        The blend, and the CPU seconds that each history took.
    """
    blend = replace(blend, histories=PILOT)
    began = time.process_time()
    blend.weigh(blend.recommenders, fold)
    return blend, (time.process_time() - began) / min(PILOT, len(fold.users()))


def ranker_costs(
    ranker: Ranker,
    members: Sequence[Recommender],
    fitting: float,
    train: Dataset,
    validation: Fold,
    *,
    weighs: bool = True,
) -> RankerCosts:
    """Measure what a ranker takes on a few histories, with a first stage that is fitted already.

    Args:
        ranker: The ranker with its options.
        members: What its first stage is made of or something like it, fitted.
        fitting: CPU seconds of all fits of its members, on train and on train without its last items.
        train: The training part.
        validation: Held-out interactions of that part.
        weighs: Whether the weights of its first stage are still to be fitted.

    Returns:
        What it takes.
    """
    blend, weighing = pilot_blend(Blend(tuple(members), exclude_seen=ranker.exclude_seen), validation)
    began = time.process_time()
    counts = count(train, ranker.context)
    counting = time.process_time() - began

    sample = validation.sample(PILOT, 0)
    users = sample.users()
    history, targets = sample.histories(users), sample.target.history(users)
    began = time.process_time()
    how: dict[str, Any] = {"exclude_seen": ranker.exclude_seen, "context": ranker.context}
    found = find_candidates(blend, counts, history, ranker.candidates, **how)
    features = found.features - found.features.mean(axis=(0, 1))
    features /= np.maximum(features.std(axis=(0, 1)), 1e-6)
    finding = (time.process_time() - began) / len(users)

    began = time.process_time()
    taught = np.flatnonzero(np.isfinite(found.base[:, 0]))  # a history without a liked item has no candidates
    examples = Examples(features[taught], found.base[taught], np.zeros(len(taught), np.int64))
    train_network(examples, replace(ranker.training, epochs=1), seed=0)
    step = (time.process_time() - began) / max(len(taught), 1)
    last = targets.item[targets.indptr[1:] - 1]
    is_target = (found.items == last[:, None]) & np.isfinite(found.base)
    hits = float(np.mean(is_target.any(axis=1)))  # others teach nothing

    weighed = 0.0
    if weighs and isinstance(ranker.first, Blend) and ranker.first.fits_weights:
        by_length = 1 if ranker.first.length_buckets == 1 else BY_LENGTH
        weighed = by_length * weighing * min(ranker.first.histories, len(validation.users()))
    return RankerCosts(
        first=fitting + weighed + 2 * counting,
        history=finding + hits * ranker.networks * ranker.epochs * step,
        ranking=finding + ranker.networks * step,
    )
