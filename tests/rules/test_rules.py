"""Rules: what a list must keep, checked by a plain reading of each rule, over generated rules and catalogues."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genre.arrays import Float32
from genre.data.dataset import Dataset
from genre.data.durations import DAY
from genre.data.folds import Fold
from genre.data.history import History
from genre.data.ids import Ids
from genre.data.item_fields import ItemFields
from genre.errors import DataError, OptionError
from genre.log import Log
from genre.recommenders.base import Recommender
from genre.recommenders.ease import EASE
from genre.recommenders.phrasebook import Language
from genre.rules.applying import Past, Recipient, RuledList, apply_rules
from genre.rules.base import Rule, parse_where
from genre.rules.built_in import AtLeast, AtMost, Boost, Bury, Hide, NotWithin, Only, Pin
from genre.rules.recommending import merged, recommend_by_rules
from genre.rules.rule_set import RuleSet, rules_for
from genre.testing import toy_dataset
from sizes import sized

NOW = 1_800_000_000
N_ITEMS = 40
GENRES = ["war", "love", "farce"]


def catalogue(seed: int = 0) -> dict[str, list[Any]]:
    rng = np.random.default_rng(seed)
    return {
        "brand": [str(rng.choice(["acme", "Bolt", "core"])) for _ in range(N_ITEMS)],
        "genres": [
            "|".join(rng.choice(["war", "love", "farce"], rng.integers(1, 3), replace=False)) for _ in range(N_ITEMS)
        ],
        "stock": [int(rng.integers(0, 4)) for _ in range(N_ITEMS)],
        "added": [NOW - int(rng.integers(0, 90)) * DAY for _ in range(N_ITEMS)],
    }


def made(rules: list[Rule], columns: dict[str, list[Any]]) -> RuleSet:
    ids = [f"i{n}" for n in range(N_ITEMS)]
    fields = ItemFields(pa.table({"item_id": ids, **columns}))
    return RuleSet(tuple(rules), fields, {one: n for n, one in enumerate(ids)})


def applied(
    rules: list[Rule],
    k: int = 8,
    seed: int = 0,
    past: Past | None = None,
    *,
    seen: bool = True,
    language: Language = "en",
) -> RuledList:
    """The list that rules make of all items, best first by number, without those that are hidden or had."""
    columns = catalogue(seed)
    ready = made(rules, columns)
    allowed = ready.allowed(NOW)
    rows = np.arange(N_ITEMS, dtype=np.int32) if allowed is None else np.flatnonzero(allowed).astype(np.int32)
    past = past or Past(np.empty(0, np.int32))
    if seen:
        rows = rows[~np.isin(rows, past.item)]
    scores = 100.0 - rows
    recipients = [Recipient(k, past, language)]
    return apply_rules(ready, rows[None], scores[None], recipients, NOW, exclude_seen=seen)[0]


# --- each rule alone ----------------------------------------------------------------------------------


def test_without_an_effect_the_list_is_the_best_candidates() -> None:
    found = applied([Hide(where={"stock": 99})])
    assert found.items.tolist() == list(range(8))
    assert found.scores.tolist() == [100.0 - n for n in range(8)]
    assert found.notes == [""] * 8
    assert found.unkept == []


def test_hidden_items_are_in_no_list_and_only_leaves_the_others_out() -> None:
    columns = catalogue()
    hidden = applied([Hide(where={"stock": 0}, items=("i3", "unknown"))], k=N_ITEMS)
    assert set(hidden.items.tolist()) == {n for n in range(N_ITEMS) if columns["stock"][n] != 0 and n != 3}
    only = applied([Only(where={"brand": ["ACME", "bolt"], "stock": {"min": 1}})], k=N_ITEMS)
    assert set(only.items.tolist()) == {
        n for n in range(N_ITEMS) if columns["brand"][n] in ("acme", "Bolt") and columns["stock"][n] >= 1
    }


def test_ages_count_from_now_over_numbers_dates_and_texts() -> None:
    times = [NOW - 10 * DAY, NOW - 40 * DAY, NOW + DAY]
    texts = np.array(times, "datetime64[s]").astype(str).tolist()
    for column in (times, texts, [one[:10] for one in texts], np.array(times, "datetime64[s]").tolist()):
        fields = ItemFields(pa.table({"item_id": ["a", "b", "c"], "added": column}))
        newer = fields.fulfilling(parse_where({"added": {"newer_than": 30}}), NOW)
        assert newer.tolist() == [True, False, True]
        older = fields.fulfilling(parse_where({"added": {"older_than": 30}}), NOW)
        assert older.tolist() == [False, True, False]
    nothing = ItemFields(pa.table({"item_id": ["a"], "added": ["soon"]}))
    assert not nothing.fulfilling(parse_where({"added": {"newer_than": 1e9}}), NOW).any()


def test_a_boost_of_one_moves_the_last_of_four_times_the_list_above_all_others_and_says_so() -> None:
    found = applied([Boost(items=("i31", "i35"), by=1.0, name="sale")])
    assert found.items.tolist()[:2] == [0, 31]  # a tie: the better score first
    assert found.items.tolist().index(35) == 6  # 4 of 31 steps below the last of the 32, and again a tie
    assert [found.notes[at] for at in (1, 6)] == ["moved up by a rule (sale)"] * 2


def test_a_bury_of_one_moves_below_all_others() -> None:
    found = applied([Bury(items=("i0",), by=1.0)], k=N_ITEMS)
    assert found.items.tolist()[-1] == 0 or found.items.tolist()[-2] == 0


def test_pinned_items_have_their_place_and_their_own_score() -> None:
    found = applied([Pin(item="i20", place=3), Pin(item="i2", place=1)])
    assert found.items.tolist() == [2, 0, 20, 1, 3, 4, 5, 6]
    assert found.scores[2] == 80.0
    assert found.notes[2] == "placed here by a rule (pin)"
    assert applied([Pin(item="i20", place=30)], k=4).items.tolist() == [0, 1, 2, 20]


@pytest.mark.parametrize(
    ("rules", "why", "in_chinese"),
    [
        (
            [Pin(item="x")],
            "pin: item x is not at place 1: not in the catalogue",
            "pin：条目 x 不在第 1 位：不在目录中",
        ),
        (
            [Pin(item="i5", name="top"), Hide(items=("i5",))],
            "top: item i5 is not at place 1: hidden by another rule",
            "top：条目 i5 不在第 1 位：被另一条规则隐藏",
        ),
        (
            [Pin(item="i1")],
            "pin: item i1 is not at place 1: the user had it",
            "pin：条目 i1 不在第 1 位：该用户已有",
        ),
        (
            [Pin(item="i5"), Pin(item="i6")],
            "pin: item i6 is not at place 1: another rule pins the item or the place",
            "pin：条目 i6 不在第 1 位：另一条规则固定了该条目或该位置",
        ),
        (
            [AtLeast(where={"stock": 99}, share=0.5)],
            "at_least: 0 of 4 places; no more items fit it and the other rules",
            "at_least：4 个位置中只有 0 个；没有更多条目同时符合它和其他规则",
        ),
        (
            [Pin(item="i5"), Pin(item="i6", place=2), AtMost(items=("i5", "i6"), n=1)],
            "at_most: 2 pinned items, 1 allowed",
            "at_most：固定了 2 个条目，至多允许 1 个",
        ),
        (
            [Pin(item="i5"), AtMost(n=0, per="brand", items=("i5",))],
            "at_most: 1 pinned items of BRAND, 0 allowed",
            "at_most：固定了 1 个属于 BRAND 的条目，至多允许 0 个",
        ),
    ],
)
def test_what_cannot_be_kept_is_said(rules: list[Rule], why: str, in_chinese: str) -> None:
    brand, past = catalogue()["brand"][5].casefold(), Past(np.array([1], np.int32))
    assert applied(rules, past=past).unkept == [why.replace("BRAND", brand)]
    assert applied(rules, past=past, language="zh").unkept == [in_chinese.replace("BRAND", brand)]


def test_an_item_had_within_days_is_not_shown_again() -> None:
    past = Past(np.array([0, 1, 2], np.int32), np.array([NOW - 40 * DAY, NOW - 10 * DAY, NOW + DAY]))
    found = applied([NotWithin(days=30)], past=past, seen=False)
    assert found.items.tolist() == [0, 3, 4, 5, 6, 7, 8, 9]
    without_times = applied([NotWithin(days=30)], past=past._replace(timestamp=None), seen=False)
    assert without_times.items.tolist() == list(range(3, 11))


def test_at_least_reserves_places_and_says_which() -> None:
    columns = catalogue()
    found = applied([AtLeast(where={"brand": "core"}, share=0.5)])
    core = [columns["brand"][n] == "core" for n in found.items.tolist()]
    assert sum(core) >= 4
    plain = sum(columns["brand"][n] == "core" for n in range(8))
    assert sum(note == "placed here by a rule (at_least)" for note in found.notes) == max(4 - plain, 0)


# --- all of them together -----------------------------------------------------------------------------

WHERE = st.sampled_from(
    [
        {"brand": "acme"},
        {"brand": ["bolt", "core"]},
        {"genres": "war"},
        {"stock": {"max": 1}},
        {"added": {"newer_than": 20}},
        {"added": {"older_than": 45}, "stock": {"min": 1}},
    ]
)
BY = st.sampled_from([0.1, 0.25, 0.5, 1.0, 3.0])
RULES = st.one_of(
    WHERE.map(lambda where: Hide(where=where)),
    WHERE.map(lambda where: Only(where=where)),
    st.builds(lambda where, by: Boost(where=where, by=by), WHERE, st.floats(0.1, 3)),
    st.builds(lambda where, by: Bury(where=where, by=by), WHERE, st.floats(0.1, 3)),
    st.builds(lambda item, place: Pin(item=f"i{item}", place=place), st.integers(0, N_ITEMS + 2), st.integers(1, 12)),
    st.builds(lambda n, per: AtMost(n=n, per=per), st.integers(0, 4), st.sampled_from(["brand", "genres"])),
    st.builds(lambda n, where: AtMost(n=n, where=where), st.integers(0, 4), WHERE),
    st.builds(lambda share, where: AtLeast(share=share, where=where), st.floats(0.05, 1), WHERE),
    st.builds(lambda days: NotWithin(days=days), st.floats(1, 60)),
)


@settings(max_examples=sized(300, 100_000))
@given(
    rules=st.lists(RULES, max_size=5),
    k=st.integers(1, 12),
    seed=st.integers(0, 5),
    had=st.lists(st.integers(0, N_ITEMS - 1), unique=True, max_size=8),
    seen=st.booleans(),
)
def test_no_rule_is_broken_or_the_list_says_which(
    rules: list[Rule], k: int, seed: int, had: list[int], *, seen: bool
) -> None:
    columns = catalogue(seed)
    past = Past(np.array(had, np.int32), NOW - np.arange(len(had)) * 10 * DAY)
    found = applied(rules, k, seed, past, seen=seen)
    rows = found.items.tolist()
    assert len(rows) == len(set(rows)) <= k
    assert len(found.notes) == len(rows) == len(found.scores)
    if seen:
        assert not set(rows) & set(had)
    for rule in rules:
        broken = _broken(rule, rules, rows, k, columns, past)
        assert not broken or any(one.startswith(f"{rule.label}:") for one in found.unkept), (rule, rows, found.unkept)
        if isinstance(rule, (Hide, Only, NotWithin)):
            assert not broken


@settings(max_examples=sized(50, 5000), deadline=None)
@given(
    rules=st.lists(RULES, max_size=4), ks=st.lists(st.integers(1, 12), min_size=2, max_size=4), seed=st.integers(0, 5)
)
def test_lists_made_together_are_those_made_one_by_one(rules: list[Rule], ks: list[int], seed: int) -> None:
    rng, ready = np.random.default_rng(seed), made(rules, catalogue(seed))
    items, scores = np.full((len(ks), N_ITEMS), -1, np.int32), np.full((len(ks), N_ITEMS), -np.inf)
    recipients, alone = [], []
    for at, k in enumerate(ks):
        n = int(rng.integers(0, N_ITEMS))
        rows, had = np.split(rng.permutation(N_ITEMS).astype(np.int32), [n])
        items[at, :n], scores[at, :n] = rows, -np.sort(-rng.integers(0, 9, n))
        recipients.append(Recipient(k, Past(had, NOW - rng.integers(0, 60, len(had)) * DAY), "zh" if k % 2 else "en"))
        alone += apply_rules(ready, items[at : at + 1, :n], scores[at : at + 1, :n], recipients[-1:], NOW)
    for one, other in zip(apply_rules(ready, items, scores, recipients, NOW), alone, strict=True):
        np.testing.assert_array_equal(one.items, other.items)
        np.testing.assert_array_equal(one.scores, other.scores)
        assert (one.notes, one.unkept) == (other.notes, other.unkept)


def _broken(rule: Rule, rules: list[Rule], rows: list[int], k: int, columns: dict[str, list[Any]], past: Past) -> bool:
    """Whether a list breaks a rule, read as a person would."""
    holds = [row for row in rows if _holds(rule.where, row, columns)]
    if isinstance(rule, Hide):
        return bool(holds)
    if isinstance(rule, Only):
        return len(holds) < len(rows)
    if isinstance(rule, NotWithin):
        assert past.timestamp is not None
        late = {int(i) for i, t in zip(past.item, past.timestamp, strict=True) if NOW - t < rule.days * DAY}
        return bool(late & set(rows))
    if isinstance(rule, Pin):
        row, pinned = int(rule.item[1:]), {int(one.item[1:]) for one in rules if isinstance(one, Pin)}
        if row not in rows:
            return True
        behind = rows[rows.index(row) + 1 :]  # pinned items end a list that is shorter than their places
        return rows.index(row) != rule.place - 1 and not set(behind) <= pinned
    if isinstance(rule, AtLeast):
        return len(holds) < math.ceil(rule.share * k - 1e-9)
    if isinstance(rule, AtMost):
        groups = [columns[rule.per][row].casefold().split("|") for row in rows] if rule.per else [[""] for _ in holds]
        counts: dict[str, int] = {}
        for group in (one for many in groups for one in many):
            counts[group] = counts.get(group, 0) + 1
        return any(n > rule.n for n in counts.values())
    return False


def _holds(where: dict[str, Any], row: int, columns: dict[str, list[Any]]) -> bool:
    for name, wanted in where.items():
        value = columns[name][row]
        if isinstance(wanted, dict):
            days = (NOW - value) / DAY if name == "added" else None
            fits = {
                "min": lambda b, v=value: v >= b,
                "max": lambda b, v=value: v <= b,
                "newer_than": lambda b, d=days: d < b,
                "older_than": lambda b, d=days: d > b,
            }
            if not all(fits[key](bound) for key, bound in wanted.items()):
                return False
        else:
            names = [one.casefold() for one in (wanted if isinstance(wanted, list) else [wanted])]
            if not set(str(value).casefold().split("|")) & set(names):
                return False
    return True


# --- over a recommender -------------------------------------------------------------------------------


def test_what_a_rule_asks_for_is_found_beyond_the_best_candidates() -> None:
    """The toy users like items of their own parity; half of each list must be of the other one all the same."""
    data = toy_dataset()
    rules = rules_for([AtLeast(where={"genres": "castles"}, share=0.5), Pin(item="i11", place=2)], data)
    assert rules is not None
    ease = EASE(10.0).fit(data)
    lists = recommend_by_rules(ease, data.history([0, 2]), rules, NOW, k=4)
    genres = data.items["genres"].to_pylist()
    for one in lists:
        assert sum(genres[row] == "castles" for row in one.items) >= 2
        assert not one.unkept or 11 in data.history([0, 2]).item
        assert np.isfinite(one.scores).all()


@given(st.lists(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), max_size=6), min_size=1, max_size=3))
def test_candidates_of_several_queries_are_there_once_best_first(queries: list[list[tuple[int, int]]]) -> None:
    """Of an item that several queries found, the score of the first counts."""
    found, best = [], dict[int, int]()
    for query in queries:
        pairs = sorted(dict(query).items(), key=lambda pair: -pair[1])
        best = dict(pairs) | best
        items, scores = np.full((1, 7), -1, np.int32), np.full((1, 7), -np.inf)
        items[0, : len(pairs)], scores[0, : len(pairs)] = [item for item, _ in pairs], [score for _, score in pairs]
        found.append((items, scores))
    items, scores = merged(found)
    n = len(best)
    assert dict(zip(items[0, :n].tolist(), scores[0, :n].tolist(), strict=True)) == best
    assert scores[0, :n].tolist() == sorted(best.values(), reverse=True)
    assert (items[0, n:] == -1).all()
    assert (scores[0, n:] == -np.inf).all()


@dataclass(eq=False)
class Given(Recommender):
    """A recommender of given scores, the same for every history, that counts how often it is called."""

    scores: tuple[float, ...] = ()

    answers_empty: ClassVar[bool] = True

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        raise NotImplementedError

    def _score(self, history: History) -> Float32:
        self.calls = getattr(self, "calls", 0) + 1
        return np.tile(np.array(self.scores, np.float32), (len(history), 1))


@settings(max_examples=sized(60, 5000), deadline=None)
@given(
    moves=st.lists(
        st.builds(lambda kind, where, by: kind(where=where, by=by), st.sampled_from([Boost, Bury]), WHERE, BY),
        min_size=1,
        max_size=2,
    ),
    others=st.sampled_from([[], [Hide(where={"stock": 0})], [Pin(item="i3", place=2)]]),
    k=st.integers(1, 5),
    seed=st.integers(0, 2**16),
)
def test_moved_items_are_found_as_if_all_were_candidates(
    moves: list[Rule], others: list[Rule], k: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    scores = (rng.permutation(N_ITEMS) + rng.random(N_ITEMS)).astype(np.float32)
    model = Given(tuple(scores.tolist()))
    model.item_ids_, model.popularity_ = Ids([f"i{n}" for n in range(N_ITEMS)]), np.zeros(N_ITEMS, np.float32)
    ready = made([*moves, *others], catalogue(seed % 6))
    history = History.of([rng.choice(N_ITEMS, 3, replace=False).tolist()], N_ITEMS)
    (found,) = recommend_by_rules(model, history, ready, NOW, k=k)
    assert model.calls == 1
    allowed = ready.allowed(NOW)
    kept = np.ones(N_ITEMS, bool) if allowed is None else allowed.copy()
    kept[history.item] = False
    rows = np.argsort(-scores, kind="stable").astype(np.int32)
    rows = rows[kept[rows]]
    recipients = [Recipient(k, Past(history.item))]
    (expected,) = apply_rules(ready, rows[None], scores[rows][None], recipients, NOW)
    assert found.items.tolist() == expected.items.tolist()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Hide(), "hide: holds for no item"),
        (lambda: AtMost(n=1), "at_most: give `per`"),
        (lambda: Hide(where={"stock": {"min": "a"}}), "where.stock: bounds are numbers"),
        (lambda: Hide(where={"stock": {"least": 1}}), "where.stock: found {'least': 1}; expected a value"),
        (lambda: Hide(where={"stock": []}), "where.stock: found"),
        (lambda: Hide(where={"stock": None}), "where.stock: found None"),
        (lambda: Boost(where={"stock": 1}, by=0.0), "by: "),
        (lambda: Pin(item="a", place=0), "place: "),
    ],
)
def test_rules_that_say_nothing_are_refused(make: Any, message: str) -> None:
    with pytest.raises(OptionError) as error:
        make()
    assert message in str(error.value)


def test_a_field_that_items_do_not_have_is_refused_with_the_nearest() -> None:
    for rule in (Hide(where={"genre": "war"}), AtMost(n=1, per="genre")):
        with pytest.raises(DataError, match=r"rules\[0\] \(\w+\): items have no field 'genre' \(did you mean 'genres'"):
            rules_for([rule], toy_dataset())
