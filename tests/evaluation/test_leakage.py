"""Every planted leak is found by name; a clean split has no findings."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from genre.data.dataset import Dataset
from genre.data.folds import Fold, Split
from genre.data.ids import Ids
from genre.evaluation.leakage.audit import audit, time_order_of
from genre.evaluation.leakage.findings import Finding
from genre.evaluation.leakage.fitted import Derived, refitted
from genre.evaluation.leakage.ties import together
from genre.preprocessing.entity_splits import ColdItems, ColdUsers, StrongSplit
from genre.preprocessing.scaling import Scaler
from genre.preprocessing.splits import GivenSplit, LeaveOneOut, RandomSplit, Splitter, TimeSplit
from genre.recommenders.ease import EASE
from genre.recommenders.item_knn import ItemKNN
from genre.recommenders.popularity import Popularity
from genre.threads import blas_threads

N_USERS, N_ITEMS = 60, 50


def honest(seed: int = 0, **columns: Any) -> Dataset:
    """Every user takes 20 items at random, distinct moments; ids are in no order of time."""
    rng = np.random.default_rng(seed)
    item = np.concatenate([rng.choice(N_ITEMS, 20, replace=False) for _ in range(N_USERS)])
    names = [" ".join("".join(rng.choice(list("abcdefghij"), 6)) for _ in range(3)) for _ in range(N_ITEMS)]
    items = Ids(f"i{row}" for row in range(N_ITEMS))
    users = Ids(f"u{row}" for row in range(N_USERS))
    return Dataset.from_arrays(
        user=np.repeat(np.arange(N_USERS), 20),
        item=item,
        rating=rng.integers(1, 6, len(item)),
        timestamp=rng.permutation(len(item)) + 1_000_000_000,
        user_ids=users,
        item_ids=items,
        items=pa.table({"item_id": items.values, "title": names, "year": rng.integers(1950, 2000, N_ITEMS)}),
        users=pa.table({"user_id": users.values, "age": rng.integers(10, 80, N_USERS), **columns}),
        rating_scale=(1.0, 5.0, 1.0),
        positive_rating=4.0,
    )


def caught(split: Split, **options: Any) -> dict[str, str]:
    """Check -> severity of all findings."""
    return {finding.check: finding.severity for finding in audit(split, **options)}


def added(data: Dataset, more: Dataset, **changed: Any) -> Dataset:
    """The same dataset with further rows."""
    return dataclasses.replace(together(Fold(data, more))[0], **changed)


@pytest.fixture
def clean() -> Split:
    return TimeSplit().split(honest())


@pytest.mark.parametrize("seed", range(5))
def test_a_clean_split_has_no_findings(seed: int) -> None:
    data = honest(seed)
    by_time = TimeSplit().split(data)
    models = {"popularity": Popularity(), "ease": EASE(regularization=10.0)}
    for model in models.values():
        model.fit(by_time.train)
    made = Derived("scaler", Scaler.fit(by_time.train).shift, lambda part: Scaler.fit(part).shift)
    texts = {"profile": [f"likes {title}" for title in ["nothing at all"] * N_USERS]}
    probe = Popularity
    assert audit(by_time, recommenders=models, derived=[made], user_texts=texts, probe=probe) == []
    assert audit(by_time, derived=[refitted(name, model) for name, model in models.items()]) == []
    one_out = audit(LeaveOneOut().split(data), order="user", probe=probe)
    assert {finding.severity for finding in one_out} <= {"note"}
    assert {finding.severity for finding in audit(RandomSplit().split(data), order="none")} <= {"note", "warning"}


def test_a_test_pair_in_train(clean: Split) -> None:
    some = clean.test.target.where(np.arange(len(clean.test.target)) < 3)
    leaky = dataclasses.replace(clean, train=added(clean.train, some))
    found = {finding.check: finding for finding in audit(leaky)}
    assert found["test-pair-in-train"].severity == "error"
    assert "3 of 120 test interactions are in train too" in found["test-pair-in-train"].what
    assert found["train-after-test"].severity == "error"


def test_a_validation_pair_in_train_and_a_target_in_the_history(clean: Split) -> None:
    leaky = dataclasses.replace(clean, train=added(clean.train, clean.validation.target))
    assert caught(leaky)["validation-pair-in-train"] == "error"
    known = Fold(added(clean.test.context, clean.test.target), clean.test.target)
    assert caught(dataclasses.replace(clean, test=known))["test-pair-in-history"] == "error"


def test_pairs_without_times_are_leaks_and_with_other_times_are_repeats(clean: Split) -> None:
    some = clean.test.target.where(np.arange(len(clean.test.target)) < 3)
    assert some.timestamp is not None
    early = dataclasses.replace(some, timestamp=some.timestamp - 10_000)
    repeated = added(clean.train, early)
    history = Fold(added(clean.test.context, early), clean.test.target)
    found = caught(dataclasses.replace(clean, train=repeated, test=history))
    assert found == {"test-repeats": "note"}
    untimed = TimeSplit().split(honest())
    timeless = dataclasses.replace(
        untimed,
        train=dataclasses.replace(added(untimed.train, some), timestamp=None),
        test=Fold(*(dataclasses.replace(part, timestamp=None) for part in untimed.test)),
    )
    assert caught(timeless)["test-pair-in-train"] == "error"


def test_training_after_the_test_began(clean: Split) -> None:
    split = RandomSplit().split(honest())
    assert caught(split)["train-after-test"] == "error"
    assert caught(split)["history-after-test"] == "error"
    one_out = LeaveOneOut().split(honest())
    assert "history-after-test" not in caught(one_out, order="user")
    assert caught(one_out, order="user")["train-after-test"] == "note"
    assert caught(one_out)["train-after-test"] == "error"


def test_training_rows_that_the_history_lacks(clean: Split) -> None:
    short = Fold(clean.test.context.where(clean.test.context.item != 3), clean.test.target)
    assert caught(dataclasses.replace(clean, test=short))["train-beyond-history"] == "warning"


def test_popularity_and_models_fitted_on_test_rows(clean: Split) -> None:
    everything = together(clean.test)[0]
    for model in (Popularity(), EASE(regularization=10.0), ItemKNN()):
        assert caught(clean, recommenders={"it": model.fit(everything)}) == {"fitted-on-test": "error"}
        assert caught(clean, recommenders={"it": model.fit(clean.test.context)}) == {"fitted-on-validation": "warning"}
        assert caught(clean, derived=[refitted("it", model)]) == {"fitted-on-validation": "warning"}
        assert caught(clean, derived=[refitted("it", model.fit(everything))]) == {"fitted-on-test": "error"}
    decayed = Popularity(half_life_days=0.003)
    assert caught(clean, derived=[refitted("it", decayed.fit(everything))]) == {"fitted-on-test": "error"}


def test_scalers_and_profiles_fitted_on_test_rows(clean: Split) -> None:
    everything = together(clean.test)[0]

    def shift(data: Dataset) -> np.ndarray:
        return Scaler.fit(data, "z-score", per_user=True).shift

    def profiles(data: Dataset) -> np.ndarray:
        return np.asarray(data.matrix().sum(axis=1))

    for make in (shift, profiles):
        assert caught(clean, derived=[Derived("it", make(clean.train), make)]) == {}
        assert caught(clean, derived=[Derived("it", make(everything), make)]) == {"fitted-on-test": "error"}
        assert caught(clean, derived=[Derived("it", make(everything) + 1, make)]) == {"unknown-origin": "warning"}


def test_fields_that_count_the_test(clean: Split) -> None:
    everything = together(clean.test)[0]
    count = np.bincount(everything.item, minlength=N_ITEMS)
    assert everything.rating is not None
    mean = np.bincount(everything.user, everything.rating, N_USERS) / np.bincount(everything.user)
    items = everything.items.append_column("n_ratings", pa.array(count))
    users = everything.users.append_column("mean_rating", pa.array(mean))
    leaky = _with_tables(clean, items=items, users=users)
    assert caught(leaky) == {"item-field-counts-test": "error", "user-field-counts-test": "error"}
    trained = np.bincount(clean.train.item, minlength=N_ITEMS)
    fine = _with_tables(clean, items=everything.items.append_column("n_ratings", pa.array(trained)))
    assert caught(fine) == {}


def test_texts_that_name_a_target(clean: Split) -> None:
    target = clean.test.target
    texts = ["likes nothing"] * N_USERS
    user, item = int(target.user[0]), int(target.item[0])
    texts[user] = f"Loves *{target.titles()[item].upper()}*, of course."
    found = audit(clean, user_texts={"profile": texts})
    assert [(finding.check, finding.severity) for finding in found] == [("targets-in-texts", "error")]
    assert "field 'profile' of users names 1 of" in found[0].what
    in_table = _with_tables(clean, users=clean.train.users.append_column("bio", pa.array(texts)))
    assert caught(in_table) == {"targets-in-texts": "error"}
    known = next(item for item in clean.train.item[clean.train.user == user].tolist())
    texts[user] = f"likes {target.titles()[known]}"  # said of the train part: no leak
    assert caught(clean, user_texts={"profile": texts}) == {}


@pytest.mark.parametrize("near", [False, True])
def test_the_same_item_under_two_ids(near: bool) -> None:  # noqa: FBT001
    data = honest()
    user = int(TimeSplit().split(data).test.target.user[0])
    split = TimeSplit().split(data)
    known = int(split.test.context.item[split.test.context.user == user][0])
    wanted = int(split.test.target.item[split.test.target.user == user][0])
    titles = list(data.titles())
    titles[known] = "The Long Road Home and Back"
    titles[wanted] = "the long road home, and BACK again!" if near else "the long road home: AND back"
    items = data.items.set_column(data.items.column_names.index("title"), "title", pa.array(titles))
    found = audit(_with_tables(split, items=items))
    assert [finding.check for finding in found] == ["duplicate-items"]
    assert found[0].where == (
        f"user {data.user_ids[user]}: item {data.item_ids[wanted]} in the target, "
        f"item {data.item_ids[known]} in the history"
    )
    titles[wanted] = "The Long Road Home and Back 2"  # a sequel is another item
    titles[known] = "The Long Road Home and Back 1"
    items = data.items.set_column(data.items.column_names.index("title"), "title", pa.array(titles))
    assert audit(_with_tables(split, items=items)) == []


def test_duplicate_items_share_every_name_and_are_shown_with_their_user() -> None:
    data = honest()
    split = TimeSplit().split(data)
    user = int(split.test.target.user[0])
    seen = split.test.context.item[split.test.context.user == user].tolist()
    wanted = int(split.test.target.item[split.test.target.user == user][0])
    known = seen[0]
    unrelated = next(item for item in range(N_ITEMS) if item not in {*seen, wanted})
    abstracts = [f"what {title} tells" for title in data.titles()]
    for item in (unrelated, known, wanted):
        abstracts[item] = "No abstract is available"

    def found(titles: list[str], **more: list[str]) -> list[Finding]:
        items = data.items.set_column(data.items.column_names.index("title"), "title", pa.array(titles))
        for name, column in {"abstract": abstracts, **more}.items():
            items = items.append_column(name, pa.array(column))
        return audit(_with_tables(split, items=items))

    assert found(data.titles()) == [], "an abstract that says nothing makes no double of items with names of their own"
    alike = list(data.titles())
    alike[known] = alike[wanted] = "The Same"
    links = [f"https://films.example/{item}" for item in range(N_ITEMS)]
    caught_now = found(alike, link=links)
    assert [finding.check for finding in caught_now] == ["duplicate-items"]
    assert f"item {data.item_ids[known]} in the history" in caught_now[0].where
    assert str(data.item_ids[unrelated]) not in caught_now[0].where.replace(",", "").split()


def test_one_person_with_two_accounts(clean: Split) -> None:
    everything = together(clean.test)[0]
    user = int(clean.test.target.user[0])
    other = (user + 1) % N_USERS
    own = everything.where(everything.user == user)
    assert own.timestamp is not None
    twin = dataclasses.replace(own, user=np.full_like(own.user, other), timestamp=own.timestamp - 5_000)
    train = added(clean.train.where(clean.train.user != other), twin)
    context = added(clean.test.context.where(clean.test.context.user != other), twin)
    target = clean.test.target.where(clean.test.target.user != other)
    wanted = clean.validation.target
    validation = Fold(train, wanted.where(wanted.user != other))
    found = audit(Split(train, validation, Fold(context, target)))
    assert [(finding.check, finding.severity) for finding in found] == [("duplicate-users", "error")]


def test_ids_that_follow_time() -> None:
    data = honest()
    assert data.timestamp is not None
    first = np.full(N_ITEMS, np.iinfo(np.int64).max)
    np.minimum.at(first, data.item, data.timestamp)
    row = np.argsort(np.argsort(first)).astype(np.int32)  # numbered as they came
    numbered = dataclasses.replace(data, item=row[data.item], items=data.items.select(["item_id"]))
    assert caught(TimeSplit().split(numbered)) == {"item-ids-follow-time": "warning"}


def test_tied_times_are_found_with_the_change_of_a_metric() -> None:
    data = honest()
    assert data.timestamp is not None
    tied = dataclasses.replace(data, timestamp=data.timestamp // 200 * 200)
    split = LeaveOneOut().split(tied)
    found = next(f for f in audit(split, order="user", probe=ItemKNN) if f.check == "tied-times")
    assert found.severity == "warning"
    assert "ndcg@10 of ItemKNN is 0." in found.what
    assert "when they are shuffled" in found.what
    assert "tied-times" not in caught(TimeSplit().split(tied))  # a cut by time parts no moment


@pytest.mark.parametrize(
    ("splitter", "order"),
    [
        (TimeSplit(), "global"),
        (LeaveOneOut(), "user"),
        (StrongSplit(), "user"),
        (StrongSplit(order="random"), "none"),
        (ColdUsers(), "none"),
        (ColdItems(), "none"),
        (RandomSplit(), "none"),
    ],
)
def test_every_kind_of_split_keeps_its_promise(splitter: Splitter, order: str) -> None:
    assert time_order_of(splitter) == order
    found = audit(splitter.split(honest()), order=time_order_of(splitter))
    assert [finding for finding in found if finding.severity == "error"] == []


def test_findings_read_as_one_line_and_errors_come_first(clean: Split) -> None:
    finding = Finding("check", "note", "what", "where", "remedy")
    assert str(finding) == "note: check: what (where); remedy"
    severities = [found.severity for found in audit(RandomSplit().split(honest()), order="user")]
    assert severities == sorted(severities, key=("error", "warning", "note").index)
    assert "error" in severities


def _with_tables(split: Split, **tables: pa.Table) -> Split:
    change: Callable[[Dataset], Dataset] = lambda data: dataclasses.replace(data, **tables)  # noqa: E731
    return dataclasses.replace(
        split,
        train=change(split.train),
        validation=Fold(*(change(part) for part in split.validation)),
        test=Fold(*(change(part) for part in split.test)),
    )


def test_what_users_take_again_in_an_order_without_times_is_no_copy() -> None:
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(N_USERS), 20)
    ids = Ids(f"u{row}" for row in range(N_USERS)), Ids(f"i{row}" for row in range(N_ITEMS))
    data = Dataset.from_arrays(user=user, item=rng.integers(0, N_ITEMS, len(user)), user_ids=ids[0], item_ids=ids[1])
    found = caught(LeaveOneOut().split(data), order="user")
    assert "error" not in found.values()
    assert found["test-repeats"] == "note"
    assert caught(RandomSplit().split(data), order="none")["test-pair-in-train"] == "error"


def test_a_split_that_is_given_is_audited() -> None:
    """Its parts are a column of the train part that a fold as a whole does not have."""
    data = dataclasses.replace(honest(), rating=None, rating_scale=None, positive_rating=None)
    part = np.tile(np.repeat([0, 1, 2], [16, 2, 2]), N_USERS).astype(np.int8)
    found = audit(GivenSplit().split(dataclasses.replace(data, part=part)), order="none")
    assert [finding for finding in found if finding.severity == "error"] == []


def test_users_who_are_shown_the_same_are_not_one_person() -> None:
    """Impressions: all users are shown the same news; each chooses others."""
    rng = np.random.default_rng(0)
    shown = np.tile(np.arange(N_ITEMS), N_USERS)
    data = Dataset.from_arrays(
        user=np.repeat(np.arange(N_USERS), N_ITEMS),
        item=shown,
        weight=(rng.random(len(shown)) < 0.2).astype(float),
        timestamp=rng.permutation(len(shown)) + 1_000_000_000,
        user_ids=Ids(f"u{row}" for row in range(N_USERS)),
        item_ids=Ids(f"i{row}" for row in range(N_ITEMS)),
    )
    names = [finding.check for finding in audit(LeaveOneOut().split(data), order="none")]
    assert "duplicate-users" not in names


def test_equal_items_that_are_rare_in_histories_are_a_note(clean: Split) -> None:
    """One film under two ids, had by one user in hundreds, moves no metric; by many, it does."""
    target = clean.test.target
    rows = [
        (clean.test.context.item[clean.test.context.user == u], i)
        for u, i in zip(target.user, target.item, strict=True)
    ]
    pairs = {(int(seen[0]), int(item)) for seen, item in rows if len(seen)}
    found = dict[str, float]()
    for known, wanted in sorted(pairs):
        titles = list(clean.train.titles())
        titles[known] = titles[wanted] = "The Long Road Home and Back"
        share = float(np.mean([wanted == item and known in seen for seen, item in rows]))
        if 0 < share < 0.01:
            items = clean.train.items
            items = items.set_column(items.column_names.index("title"), "title", pa.array(titles))
            found = caught(_with_tables(clean, items=items))
            break
    assert found == {"duplicate-items": "note"}


def test_the_audit_of_small_matrices_takes_one_thread(clean: Split) -> None:
    from threadpoolctl import threadpool_info

    def threads() -> set[int]:
        return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

    seen: list[set[int]] = []

    def make(part: Dataset) -> Any:
        seen.append(threads())
        return np.array([float(len(part))])

    with blas_threads(2):
        before = threads()
        audit(clean, derived=[Derived("it", make(clean.train), make)])
        assert threads() == before
    assert seen[0] == before
    assert set.union(*seen[1:]) == {1}
