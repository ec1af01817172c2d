"""The arms of an uplift experiment: the same recommender with and without each thing a language model added.

Every arm has a placebo: the same texts, shuffled between items or users. Knows nothing about how arms are judged.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from genre.data.dataset import Features
from genre.data.folds import Split
from genre.features.augmentation import Augmented
from genre.features.base import Encoder, digest_texts, item_features
from genre.features.text import render
from genre.log import SILENT, Log
from genre.recommenders.base import Recommender, within
from genre.recommenders.profiled import Profiled
from genre.recommenders.second_stage import SecondStage
from genre.recommenders.synthetic import COLUMNS, Source, SyntheticHistory

PLACEBO = "placebo"
INVENTIONS: dict[str, Source] = {"synthetic": "history", "chain": "profile"}


@dataclass(frozen=True, eq=False)
class Arm:
    """One condition: data to learn from, and who learns."""

    split: Split
    recommender: Recommender


def arms(
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
    """without, summaries, profiles, synthetic, chain, and `placebo ...` of each, as far as `made` has their texts.

    split: without any column of `made`. recommender: what each arm fits; it reads item features if it reads text.
    made: augmentation of `split.train`; synthetic: items invented from histories, chain: from profiles as well.
    seed: of the shuffling.
    """
    rng = np.random.default_rng(seed)
    plain = _encoded(split, encoder, log)
    out = {"without": Arm(plain, recommender)}
    for name, used in (("", made), (f"{PLACEBO} ", shuffled(made, rng))):
        if _has(used.items, "summary"):
            out[f"{name}summaries"] = Arm(_encoded(_with_items(split, used), encoder, log), recommender)
        if _has(used.users, "profile"):
            vectors = _profiles(split, used, encoder, log)
            out[f"{name}profiles"] = Arm(plain.with_features(users=vectors), Profiled(recommender, profile_weight))
        for arm, source in INVENTIONS.items():
            if _has(used.users, COLUMNS[source]):
                stage = SyntheticHistory(recommender, synthetic_weight, made_from=source)
                out[f"{name}{arm}"] = Arm(_with_users(plain, used), stage)
    return out


def plain(recommender: Recommender) -> Recommender:
    """A recommender without the stages that use what a language model added, wherever they stand in it."""
    while isinstance(recommender, SecondStage):
        recommender = recommender.first
    old = {option.name: getattr(recommender, option.name) for option in dataclasses.fields(recommender) if option.init}  # type: ignore[arg-type]
    new = {name: _plain(value) for name, value in old.items()}
    changed = {name: value for name, value in new.items() if value != old[name]}
    return dataclasses.replace(recommender, **changed) if changed else recommender  # type: ignore[type-var]


def _plain(value: Any) -> Any:
    """An option, the recommenders in it plain."""
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return plain(value) if isinstance(value, Recommender) else value


def weights(recommenders: Sequence[Recommender]) -> dict[str, float]:
    """`profile_weight` and `synthetic_weight` of `arms`, where the recommenders of a config say them."""
    found: dict[str, float] = {}
    for one in (inner for recommender in recommenders for inner in within(recommender)):
        if isinstance(one, Profiled):
            found.setdefault("profile_weight", one.weight)
        if isinstance(one, SyntheticHistory):
            found.setdefault("synthetic_weight", one.weight)
    return found


def shuffled(made: Augmented, rng: np.random.Generator) -> Augmented:
    """The same texts, each with another item or user; who has one and who has none stays."""
    return dataclasses.replace(made, items=_moved(made.items, rng), users=_moved(made.users, rng))


def _has(columns: dict[str, pa.Array], name: str) -> bool:
    """Whether there is a text in that column."""
    return name in columns and columns[name].null_count < len(columns[name])


def _moved(columns: dict[str, pa.Array], rng: np.random.Generator) -> dict[str, pa.Array]:
    """Each column moved within the rows that have it, those of the same rows alike."""
    orders: dict[bytes, pa.Array] = {}
    out = {}
    for name, column in columns.items():
        has = column.is_valid().to_numpy(zero_copy_only=False)
        if has.tobytes() not in orders:
            whole, having = np.arange(len(has)), np.flatnonzero(has)
            whole[having] = rng.permutation(having)
            orders[has.tobytes()] = pa.array(whole)
        out[name] = column.take(orders[has.tobytes()])
    return out


def _encoded(split: Split, encoder: Encoder, log: Log) -> Split:
    return split.with_features(items=item_features(split.train, encoder, log=log))


def _profiles(split: Split, made: Augmented, encoder: Encoder, log: Log) -> Features:
    """The vector of each user's profile, zero without one, in the space of the items without any new column."""
    table = pa.table({name: column for name, column in made.users.items() if name in ("profile", "interests")})
    texts = render(table)
    encoder.fit(split.train.items, log=log)
    return Features(encoder.encode_texts(texts, log=log), digest_texts([encoder.fingerprint, *texts]))


def _with_items(split: Split, made: Augmented) -> Split:
    return dataclasses.replace(made, users={}).apply_split(split)


def _with_users(split: Split, made: Augmented) -> Split:
    return dataclasses.replace(made, items={}).apply_split(split)
