"""The arms of an uplift experiment: one recommender with and without each kind of text that a language model wrote.

Every arm has a placebo: the same texts, shuffled between items or users. Does not know how arms are evaluated.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from genre.data.features import Features
from genre.data.folds import Split
from genre.features.augmented_columns import Augmented
from genre.features.base import Encoder, digest_texts, item_features
from genre.features.text import render
from genre.log import SILENT, Log
from genre.options import options_of
from genre.recommenders.base import Recommender, within
from genre.recommenders.profiled import Profiled
from genre.recommenders.second_stage import SecondStage
from genre.recommenders.synthetic import COLUMNS, Source, SyntheticHistory

PLACEBO = "placebo"
SYNTHETIC_ARMS: dict[str, Source] = {"synthetic": "history", "chain": "profile"}
"""Arm -> what its synthetic interactions were written from."""

ARM_STEPS = {
    "summaries": "summaries",
    "profiles": "profiles",
    "synthetic": "next items",
    "chain": "chained items",
}
"""Arm -> the step of augmentation that writes its texts."""


@dataclass(frozen=True, eq=False)
class Arm:
    """One condition of the experiment.

    Attributes:
        split: The data, with the features of this arm.
        recommender: The recommender to fit on it.
    """

    split: Split
    recommender: Recommender


def build_arms(
    split: Split,
    recommender: Recommender,
    encoder: Encoder,
    made: Augmented,
    *,
    profile_weight: float = 0.3,
    synthetic_weight: float = 0.3,
    seed: int = 0,
    log: Log = SILENT,
) -> dict[str, Arm]:
    """Build the arms `without`, `summaries`, `profiles`, `synthetic`, `chain` and the placebo of each but the first.

    An arm is left out where `made` has no texts for it. `synthetic` adds interactions written from histories, `chain`
    those written from profiles.

    Args:
        split: The split, without any column of `made`.
        recommender: What each arm fits; it uses texts only where it reads item features.
        encoder: Turns texts into features.
        made: Texts written for `split.train`.
        profile_weight: Weight of the profile relative to the history, 0 to 1.
        synthetic_weight: Weight of a synthetic interaction; a real one weighs 1.
        seed: Seed of the shuffles.
        log: Where progress is shown.

    Returns:
        Name -> arm, `without` first.
    """
    rng = np.random.default_rng(seed)
    encoded = _encoded(split, encoder, log)
    out = {"without": Arm(encoded, recommender)}
    for name, used in (("", made), (f"{PLACEBO} ", shuffle_texts(made, rng))):
        if _has(used.items, "summary"):
            out[f"{name}summaries"] = Arm(_encoded(_with_items(split, used), encoder, log), recommender)
        if _has(used.users, "profile"):
            vectors = _profiles(split, used, encoder, log)
            out[f"{name}profiles"] = Arm(encoded.with_features(users=vectors), Profiled(recommender, profile_weight))
        for arm, source in SYNTHETIC_ARMS.items():
            if _has(used.users, COLUMNS[source]):
                stage = SyntheticHistory(recommender, synthetic_weight, made_from=source)
                out[f"{name}{arm}"] = Arm(_with_users(encoded, used), stage)
    return out


def without_second_stages(recommender: Recommender) -> Recommender:
    """Remove the stages that use texts of a language model, at any depth.

    Args:
        recommender: A recommender, or a combination of several.

    Returns:
        The recommender below the stages; unfitted where it had stages.
    """
    while isinstance(recommender, SecondStage):
        recommender = recommender.first
    old = options_of(recommender)
    new = {name: _option_without_stages(value) for name, value in old.items()}
    changed = {name: value for name, value in new.items() if value != old[name]}
    return dataclasses.replace(recommender, **changed) if changed else recommender  # type: ignore[type-var]


def _option_without_stages(value: Any) -> Any:
    """Return the value of an option, with the recommenders in it without stages."""
    if isinstance(value, tuple):
        return tuple(map(_option_without_stages, value))
    return without_second_stages(value) if isinstance(value, Recommender) else value


def stage_weights(recommenders: Sequence[Recommender]) -> dict[str, float]:
    """Find `profile_weight` and `synthetic_weight` of `build_arms` in the stages of recommenders.

    Args:
        recommenders: The recommenders of a config.

    Returns:
        The weights that a stage sets, by name.
    """
    found: dict[str, float] = {}
    for one in (inner for recommender in recommenders for inner in within(recommender)):
        if isinstance(one, Profiled):
            found.setdefault("profile_weight", one.weight)
        if isinstance(one, SyntheticHistory):
            found.setdefault("synthetic_weight", one.weight)
    return found


def shuffle_texts(made: Augmented, rng: np.random.Generator) -> Augmented:
    """Exchange the texts between items and between users; those without a text stay without.

    Args:
        made: The texts.
        rng: Random numbers.

    Returns:
        The same texts in another order.
    """
    return dataclasses.replace(made, items=_shuffle_columns(made.items, rng), users=_shuffle_columns(made.users, rng))


def _has(columns: dict[str, pa.Array], name: str) -> bool:
    """Return whether there is a text in that column."""
    return name in columns and columns[name].null_count < len(columns[name])


def _shuffle_columns(columns: dict[str, pa.Array], rng: np.random.Generator) -> dict[str, pa.Array]:
    """Shuffle each column within the rows that have a text; columns with texts in the same rows alike."""
    orders: dict[bytes, pa.Array] = {}
    out = {}
    for name, column in columns.items():
        has = column.is_valid().to_numpy(zero_copy_only=False)
        if has.tobytes() not in orders:
            order, present = np.arange(len(has)), np.flatnonzero(has)
            order[present] = rng.permutation(present)
            orders[has.tobytes()] = pa.array(order)
        out[name] = column.take(orders[has.tobytes()])
    return out


def _encoded(split: Split, encoder: Encoder, log: Log) -> Split:
    return split.with_features(items=item_features(split.train, encoder, log=log))


def _profiles(split: Split, made: Augmented, encoder: Encoder, log: Log) -> Features:
    """Encode each user's profile, zero without one, in the space of the items without new columns."""
    table = pa.table({name: column for name, column in made.users.items() if name in ("profile", "interests")})
    texts = render(table)
    encoder.fit(split.train.items, log=log)
    return Features(encoder.encode_texts(texts, log=log), digest_texts([encoder.fingerprint, *texts]))


def _with_items(split: Split, made: Augmented) -> Split:
    return dataclasses.replace(made, users={}).apply_split(split)


def _with_users(split: Split, made: Augmented) -> Split:
    return dataclasses.replace(made, items={}).apply_split(split)
