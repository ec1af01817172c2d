"""Uplift: a planted effect is found, a placebo wins no more often than its nominal rate, costs are those of the arm."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest

from genre.arrays import Float32
from genre.data.dataset import Dataset
from genre.data.folds import Split
from genre.data.ids import Ids
from genre.data.words import words
from genre.errors import EvaluationError
from genre.evaluation.arms import build_arms, shuffle_texts, stage_weights, without_second_stages
from genre.evaluation.resampling import SIGNIFICANCE_LEVEL as LEVEL
from genre.evaluation.results import Evaluation
from genre.evaluation.uplift import Gain, Uplift, evaluate_arms, uplift, user_segments
from genre.features.augmented_columns import Augmented
from genre.features.base import Encoder
from genre.log import SILENT, Log
from genre.preprocessing.splits import LeaveOneOut
from genre.recommenders.blend import Blend
from genre.recommenders.content import Content
from genre.recommenders.popularity import Popularity
from genre.recommenders.profiled import Profiled
from genre.recommenders.synthetic import SyntheticHistory

ORIGIN = {"genre.model": "test", "genre.prompt_hash": "0", "genre.cutoff": "untimed"}


@dataclass(eq=False)
class Words(Encoder):
    """Counts words, hashed to 64 places."""

    def encode_texts(self, texts: Sequence[str], *, log: Log = SILENT) -> Float32:
        out = np.zeros((len(texts), 64), np.float32)
        for row, text in enumerate(texts):
            for word in words(text):
                out[row, zlib.crc32(word.encode()) % 64] += 1
        return out


def planted(n_users: int = 120, n_items: int = 60, topics: int = 6) -> tuple[Split, Augmented]:
    """Users stay within one topic; titles say nothing of it, summaries, profiles and invented items do."""
    rng = np.random.default_rng(1)
    user = np.repeat(np.arange(n_users), 6)
    topic = np.arange(n_items) % topics
    item = np.concatenate([rng.choice(np.flatnonzero(topic == u % topics), 6, replace=False) for u in range(n_users)])
    user_ids, item_ids = Ids(f"u{u}" for u in range(n_users)), Ids(f"i{i}" for i in range(n_items))
    titles = [f"{rng.choice(['blue', 'red', 'green', 'old'])} {rng.choice(['stone', 'river', 'wood'])}" for _ in topic]
    data = Dataset.from_arrays(
        user=user,
        item=item,
        timestamp=np.tile(np.arange(6), n_users) + 1_000,
        user_ids=user_ids,
        item_ids=item_ids,
        items=pa.table({"item_id": item_ids.values, "title": titles}),
        name="planted",
    )
    names = ["space", "castle", "crime", "love", "music", "war"]
    split = LeaveOneOut().split(data)
    fresh = [next(i for i in np.flatnonzero(topic == u % topics) if i not in item[user == u]) for u in range(n_users)]
    made = Augmented(
        items={"summary": pa.array([f"a tale of {names[t]}" for t in topic])},
        users={
            "profile": pa.array([f"likes a tale of {names[u % topics]}" for u in range(n_users)]),
            "synthetic_item": pa.array([item_ids[int(i)] for i in fresh]),
            "synthetic_chained_item": pa.array([item_ids[int(i)] for i in fresh]),
        },
        provenance=dict.fromkeys(("summary", "profile", "synthetic_item", "synthetic_chained_item"), ORIGIN),
    )
    return split, made


def test_a_planted_effect_is_found_and_the_placebo_is_not() -> None:
    split, made = planted()
    conditions = build_arms(split, Content(whitening=0.0), Words(), made, profile_weight=0.5)
    assert list(conditions) == [
        "without",
        *("summaries", "profiles", "synthetic", "chain"),
        *("placebo summaries", "placebo profiles", "placebo synthetic", "placebo chain"),
    ]
    found = uplift(evaluate_arms(conditions, k=10), label="ndcg@10", cost={"summaries": 3.0})
    gain = next(gain for gain in found.gains if gain.arm == "summaries" and gain.segment == "all")
    assert gain.wins
    assert gain.low > 0.1
    assert gain.cost_per_point == pytest.approx(3.0 / (gain.difference / 0.01))
    assert not [name for name in found.winners() if name.startswith("placebo")]
    assert found.warnings() == []
    assert "| **summaries** | all | 120 |" in found.table()


def test_profiles_help_who_has_items_that_speak_the_same_language() -> None:
    split, made = planted()
    spoken = dataclasses.replace(made, users={}).apply_split(split)
    users = dataclasses.replace(made, items={})
    found = uplift(evaluate_arms(build_arms(spoken, Popularity(), Words(), users, profile_weight=0.5)))
    assert "profiles in all" in found.winners()
    assert "placebo profiles in all" not in found.winners()


def test_shuffling_moves_texts_and_nothing_else() -> None:
    made = Augmented(
        items={"summary": pa.array(["a", None, "c", "d", None]), "topics": pa.array(["1", None, "3", "4", None])}
    )
    moved = shuffle_texts(made, np.random.default_rng(3)).items
    texts = moved["summary"].to_pylist()
    assert sorted(text for text in texts if text) == ["a", "c", "d"]
    assert [text is None for text in texts] == [False, True, False, False, True], "who has none has none"
    pairs = zip(texts, moved["topics"].to_pylist(), strict=True)
    assert set(pairs) == {("a", "1"), ("c", "3"), ("d", "4"), (None, None)}


def test_texts_of_other_users_are_moved_too() -> None:
    """A chained item may be somebody's who has no profile, and the other way round."""
    n = 40
    made = Augmented(
        users={
            "profile": pa.array([f"p{user}" if user < 10 else None for user in range(n)]),
            "synthetic_chained_item": pa.array([f"i{user}" if user >= 5 else None for user in range(n)]),
        }
    )
    moved = shuffle_texts(made, np.random.default_rng(0)).users
    for name, column in made.users.items():
        before, after = column.to_pylist(), moved[name].to_pylist()
        assert [text is None for text in before] == [text is None for text in after]
        assert sorted(filter(None, before)) == sorted(filter(None, after))
        assert sum(a == b for a, b in zip(before, after, strict=True) if a) < n / 4


def evaluation(name: str, values: np.ndarray, lengths: np.ndarray) -> Evaluation:  # type: ignore[type-arg]
    n = len(values)
    return Evaluation(
        name=name,
        values={"ndcg@10": float(values.mean())},
        warm={},
        users=np.arange(n, dtype=np.int32),
        per_user={"ndcg@10": values},
        ratings=np.zeros(n, np.int64),
        history_length=lengths,
        counts={},
        fold_digest="q",
    )


def test_a_placebo_wins_no_more_often_than_its_nominal_rate() -> None:
    """Two hundred experiments in which no arm does anything but noise: at most the nominal share has any winner."""
    rng = np.random.default_rng(7)
    lengths = rng.integers(0, 30, 150)
    false = 0
    for round_ in range(200):
        base = rng.random(150)
        noisy = {f"placebo {n}": evaluation(f"{n}", base + rng.normal(0, 0.1, 150), lengths) for n in range(3)}
        found = uplift({"without": evaluation("without", base, lengths), **noisy}, seed=round_)
        false += bool(found.winners())
    assert false / 200 <= LEVEL + 2 * (LEVEL * (1 - LEVEL) / 200) ** 0.5, "nominal rate and two standard errors"


def test_a_winning_placebo_is_a_warning() -> None:
    lengths = np.full(100, 5)
    base = evaluation("without", np.zeros(100), lengths)
    better = evaluation("placebo summaries", np.full(100, 0.1), lengths)
    same = uplift({"without": base, "placebo summaries": evaluation("same", np.zeros(100), lengths)})
    assert {gain.changed for gain in same.gains} == {0}
    assert "| no user differs |" in same.table()
    (warning, *_) = uplift({"without": base, "placebo summaries": better}).warnings()
    assert "do not trust" in warning


def test_segments_are_by_history() -> None:
    found = user_segments(np.array([0, 1, 10, 11, 0]), 10)
    assert {name: rows.tolist() for name, rows in found.items()} == {
        "all": [0, 1, 2, 3, 4],
        "cold": [0, 4],
        "short (1-10)": [1, 2],
        "warm (>10)": [3],
    }
    assert list(user_segments(np.array([50, 60]), 10)) == ["all", "warm (>10)"]


def test_what_cannot_be_compared_is_said() -> None:
    lengths = np.full(10, 5)
    base = evaluation("without", np.zeros(10), lengths)
    with pytest.raises(EvaluationError, match="an arm 'without'"):
        uplift({"summaries": base})
    with pytest.raises(EvaluationError, match="other targets"):
        uplift({"without": base, "x": dataclasses.replace(base, fold_digest="other")})
    with pytest.raises(EvaluationError, match="no recall@5"):
        uplift({"without": base, "x": base}, label="recall@5")


def test_stages_are_taken_off_and_their_weights_found_wherever_they_stand() -> None:
    inner = Profiled(SyntheticHistory(Content(), 0.6), 0.2)
    blend = Blend((Popularity(), inner))
    bare = without_second_stages(Profiled(blend, 0.9))
    assert isinstance(bare, Blend)
    assert [type(member) for member in bare.recommenders] == [Popularity, Content]
    assert stage_weights([Popularity(), blend]) == {"profile_weight": 0.2, "synthetic_weight": 0.6}
    untouched = Blend((Popularity(), Content()))
    assert without_second_stages(untouched) is untouched


def test_an_arm_without_any_text_is_none() -> None:
    split, made = planted()
    empty = {name: pa.nulls(len(column), column.type) for name, column in made.users.items()}
    found = build_arms(split, Content(), Words(), dataclasses.replace(made, users=empty))
    assert list(found) == ["without", "summaries", "placebo summaries"]


def test_an_arm_that_equals_its_placebo_is_named() -> None:
    def gain(arm: str, value: float) -> Gain:
        return Gain(arm, "all", 100, 0.1, value, value - 0.1, 0.0, 0.2, 5, 0.5, 0.0, None)

    same = Uplift("ndcg@10", "money", (gain("summaries", 0.12), gain("placebo summaries", 0.12)))
    assert "summaries and its placebo gain the same" in same.blind_spots()[0]
    assert Uplift("ndcg@10", "money", (gain("summaries", 0.12), gain("placebo summaries", 0.11))).blind_spots() == []
