"""Augmentation: only listed columns and only the past are sent; answers are checked, or a null remains."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genre.data.dataset import Dataset
from genre.domains.packs import load_domain
from genre.errors import ArtifactError, ConfigError, DataError, OptionError
from genre.features.augmentation import augment, plan
from genre.features.augmentation_prompts import (
    Augmentation,
    chained_item_prompts,
    next_item_prompts,
    profile_prompts,
    summary_prompts,
)
from genre.features.augmented_columns import check_provenance, read_augmented, write_augmented
from genre.features.item_matcher import ItemMatcher
from genre.features.text import render
from genre.llm.base import Schema
from genre.llm.budget import Budget
from genre.llm.fake import Fault
from genre.llm.ledger import Ledger
from genre.preprocessing.splits import LeaveOneOut
from genre.testing import FakeLanguageModel, toy_dataset

ALL = Augmentation(("title", "genres", "text"), profiles=True, synthetic="both", short_history=7)
CANARY = "canary-7f3a"


def ledger(folder: Path, model: FakeLanguageModel | None = None, **options: object) -> Ledger:
    return Ledger(folder / "l.sqlite", model or FakeLanguageModel(), **options)  # type: ignore[arg-type]


def test_the_whole_chain_attaches_columns_that_say_where_they_are_from(tmp_path: Path) -> None:
    data = toy_dataset()
    made = augment(data, ledger(tmp_path, FakeLanguageModel()), ALL)
    whole = made.apply(data)
    assert {"summary", "topics"} <= set(whole.items.column_names)
    invented = {"synthetic_item", "synthetic_text", "synthetic_chained_item", "synthetic_chained_text"}
    assert {"profile", "interests", *invented} <= set(whole.users.column_names)
    assert whole.items["summary"].null_count == 0
    assert set(whole.items["topics"].to_pylist()[0].split(", ")) <= set(load_domain("video").words.topics)
    assert check_provenance(whole, data) == []
    for name, report in made.reports.items():
        assert report.questions == report.valid > 0, name
    assert made.reports["chained items"].catalogue_matches is not None
    seen = data.matrix()
    for user, item in enumerate(whole.users["synthetic_chained_item"].to_pylist()):
        assert item is None or seen[user, data.item_ids.row(item)] == 0, "never one the user has"
    assert made.apply(whole).items.column_names == whole.items.column_names, "twice is the same as once"
    assert len(whole) == len(data), "no interaction is added: no label, no count, no answer"


def test_it_is_written_and_read_back(tmp_path: Path) -> None:
    data = toy_dataset()
    made = augment(data, ledger(tmp_path, FakeLanguageModel()), ALL)
    write_augmented(tmp_path, made)
    again = read_augmented(tmp_path)
    assert again.reports == made.reports
    assert again.apply(data).fingerprint() == made.apply(data).fingerprint()
    assert check_provenance(again.apply(data), data) == []
    split = LeaveOneOut().split(data)
    assert {part.items.num_columns for part in (split.train, *split.test)} == {4}
    assert {part.items.num_columns for part in (made.apply_split(split).train, *made.apply_split(split).test)} == {6}
    (tmp_path / "items.parquet").write_bytes(b"PAR1")
    with pytest.raises(ArtifactError, match="augment again"):
        read_augmented(tmp_path)


@pytest.mark.parametrize("fault", ["hang", "error", "truncated", "not_json", "other_json", "refusal", "french", "html"])
def test_a_model_that_always_fails_leaves_nulls_and_counts(tmp_path: Path, fault: Fault) -> None:
    data = toy_dataset()
    made = augment(data, ledger(tmp_path, FakeLanguageModel(fault=fault)), ALL)
    for column in (*made.items.values(), *made.users.values()):
        assert column.null_count == len(column)
    for report in made.reports.values():
        assert report.quarantined + report.failed == report.questions > 0
    assert render(made.apply(data).items) == render(data.items), "no encoder reads anything bad"
    assert check_provenance(made.apply(data), data) == []


def test_what_is_invented_is_quarantined(tmp_path: Path) -> None:
    made = augment(toy_dataset(), ledger(tmp_path, FakeLanguageModel(fault="invented")), Augmentation(("text",)))
    assert made.reports["summaries"].quarantined == 12


def test_fewer_users_may_get_an_invented_item_than_a_profile() -> None:
    data = toy_dataset()
    some = dataclasses.replace(ALL, max_users=6, max_invented=2)
    assert len(profile_prompts(data, some).rows) == 6
    assert next_item_prompts(data, some).rows.tolist() == next_item_prompts(data, ALL).rows[:2].tolist()


def test_nothing_is_requested_twice_where_repair_is_off(tmp_path: Path) -> None:
    model = FakeLanguageModel(fault="invented")
    made = augment(toy_dataset(), ledger(tmp_path, model), Augmentation(("text",), repair=False))
    assert len(model.prompts) == made.reports["summaries"].quarantined == 12


def test_what_is_true_of_everything_is_refused(tmp_path: Path) -> None:
    class Vague(FakeLanguageModel):
        def reply(self, prompt: str, schema: Schema | None) -> str:
            answer = json.loads(super().reply(prompt, schema))
            vague = {
                "summary": "This film: the story of the film.",
                "profile": "This viewer likes films about what they are.",
            }
            return json.dumps({name: vague.get(name, value) for name, value in answer.items()})

    made = augment(toy_dataset(), ledger(tmp_path, Vague()), dataclasses.replace(ALL, synthetic="none"))
    assert made.reports["summaries"].rejected == made.reports["summaries"].quarantined == 12
    assert made.reports["profiles"].rejected == made.reports["profiles"].quarantined == 20


def test_a_sentence_begins_as_the_domain_says_and_in_other_languages_as_the_model_likes(tmp_path: Path) -> None:
    data, model = toy_dataset(), FakeLanguageModel()
    options = Augmentation(("title", "text"), domain="shop")
    made = augment(data, ledger(tmp_path, model), options)
    texts = [text.rstrip(".") for text in data.items["text"].to_pylist()]
    assert made.items["summary"].to_pylist() == [f"This product: {text}." for text in texts]
    assert '"summary": "This product: ..."' in model.prompts[0]
    dutch = summary_prompts(data, dataclasses.replace(options, language="Dutch"))
    assert '"summary": "..."' in dutch.inputs()[0].replace('" ..."', '"..."')
    own = tmp_path / "own.yaml"
    own.write_text("words: {item: a, items: b, person: c, took: d, summary: 'It (is', topics: [e]}\n")
    with pytest.raises(ConfigError, match="begins with words"):
        load_domain(str(own))


def test_topics_that_are_the_first_of_the_list_are_refused(tmp_path: Path) -> None:
    class Lazy(FakeLanguageModel):
        def reply(self, prompt: str, schema: Schema | None) -> str:
            listed = prompt.split("from this list: ")[1].split(".\n")[0].split(", ")
            return json.dumps({"summary": "it is a story about space and castles and what it is", "topics": listed[:2]})

    made = augment(toy_dataset(), ledger(tmp_path, Lazy()), Augmentation(("text",)))
    assert made.reports["summaries"].quarantined == 12


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_changing_any_event_after_the_split_changes_no_prompt(data: st.DataObject) -> None:
    whole = toy_dataset()
    past = np.arange(len(whole)) % 3 != 2
    cut = np.where(past, whole.timestamp, whole.timestamp + 10**6)  # type: ignore[operator]
    whole = dataclasses.replace(whole, timestamp=cut)
    later = ~past
    items, weight = whole.item.copy(), whole.weight.copy()
    items[later] = data.draw(st.lists(st.integers(0, 11), min_size=int(later.sum()), max_size=int(later.sum())))
    weight[later] = data.draw(st.floats(0, 5))
    changed = dataclasses.replace(whole, item=items, weight=weight, rating=whole.rating)
    book = Ledger(":memory:", FakeLanguageModel())
    for questions_of in (summary_prompts, profile_prompts, next_item_prompts, chained_item_prompts):
        before, after = (questions_of(one.where(past), ALL) for one in (whole, changed))
        assert before.inputs() == after.inputs()
        keys = [book.plan(one.prompt, one.inputs()) for one in (before, after)]
        assert keys[0] == keys[1]
    book.complete(before.prompt, before.inputs())
    assert book.plan(after.prompt, after.inputs()).calls == 0, "the cache keys are the same, too"


def test_only_listed_columns_leave_the_machine(tmp_path: Path) -> None:
    """Canaries in every other column, in the ids, and in the users' table."""
    data = toy_dataset()
    secret = pa.array([f"{CANARY}-{row}" for row in range(data.n_items)])
    items = data.items.drop_columns(["text"]).append_column("cost", secret).append_column("summary_draft", secret)
    items = items.set_column(0, "item_id", secret)
    users = pa.table({"user_id": [f"{CANARY}-{row}" for row in range(data.n_users)], "email": [CANARY] * data.n_users})
    model = FakeLanguageModel()
    options = dataclasses.replace(ALL, item_fields=("title", "genres"))
    augment(dataclasses.replace(data, items=items, users=users), ledger(tmp_path, model), options)
    assert len(model.prompts) > 30
    assert not [prompt for prompt in model.prompts if CANARY in prompt]
    augment(dataclasses.replace(data, items=items), Ledger(":memory:", model), Augmentation(("title", "cost")))
    assert [prompt for prompt in model.prompts if CANARY in prompt], "a listed column is sent, so the test can fail"


def test_a_plan_sends_nothing_and_a_cap_keeps_what_was_paid(tmp_path: Path) -> None:
    data, model = toy_dataset(), FakeLanguageModel()
    steps = plan(data, ledger(tmp_path, model), ALL)
    assert [(name, step.calls) for name, step in steps.items()] == [
        ("summaries", 12),
        ("profiles", 20),
        ("next items", 20),
        ("chained items", 20),
    ]
    assert model.prompts == []
    capped = augment(data, ledger(tmp_path, model, budget=Budget(calls=15)), ALL)
    assert len(model.prompts) == 15
    counts = [(report.usable, report.over_budget) for report in capped.reports.values()]
    assert counts == [(12, 0), (3, 17), (0, 20), (0, 20)], "what there is is used, the rest is counted"
    assert "17 not sent: the budget is used up" in str(capped.reports["profiles"])
    assert capped.users["profile"].null_count == 17
    assert capped.unanswered == 57
    augment(data, ledger(tmp_path, model), ALL)
    assert len(model.prompts) == 72, "calls of both runs together are the unique questions"
    assert {step.calls for step in plan(data, ledger(tmp_path, model), ALL).values()} == {0}


def test_limits_take_the_most_popular_and_the_most_active() -> None:
    data = toy_dataset()
    options = dataclasses.replace(ALL, max_items=3, max_users=4, synthetic="history")
    popular = np.argsort(-np.bincount(data.item, minlength=12), kind="stable")[:3]
    assert summary_prompts(data, options).rows.tolist() == popular.tolist()
    assert len(profile_prompts(data, options).rows) == 4
    assert len(next_item_prompts(data, dataclasses.replace(options, short_history=5)).rows) == 0


def test_mistakes_name_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no column 'titel'.*did you mean 'title'"):
        augment(toy_dataset(), ledger(tmp_path), Augmentation(("titel",)))
    with pytest.raises(ConfigError, match="domain 'cars'"):
        Augmentation(("title",), domain="cars")


def test_a_language_whose_answers_cannot_be_checked_is_refused() -> None:
    klingon: Any = "Klingon"
    with pytest.raises(OptionError, match=r"language.*English.*Swedish"):
        Augmentation(("title",), language=klingon)
    with pytest.raises(OptionError, match="cannot be distinguished from other words in Chinese"):
        Augmentation(("title",), language="Chinese", grounding="names")


def test_chinese_is_served_in_every_step(tmp_path: Path) -> None:
    stories = "机器人与太空", "宝剑与侠客", "海盗与宝藏", "厨师与美食"

    class Chinese(FakeLanguageModel):
        def reply(self, prompt: str, schema: Schema | None) -> str:
            topics = json.loads(super().reply(prompt, schema))["topics"]
            data = prompt.partition("</data>")[0]
            about = next(story for story in stories if story in data)
            says = {
                "summary": f"这部电影讲述了{about}的相遇。",
                "profile": f"这位观众喜欢的电影：这部电影讲述了{about}的相遇。",
                "title": "新的片名",
                "description": f"一部关于{about}的电影，讲述新的人生。",
            }
            wanted = [name for name in says if schema is not None and name in schema["properties"]]
            return json.dumps({name: says[name] for name in wanted} | {"topics": topics}, ensure_ascii=False)

    toy = toy_dataset()
    plots = [f"{stories[item % 4]}的相遇" for item in range(toy.n_items)]
    table = pa.table({"item_id": toy.items["item_id"], "title": [f"第{item}部" for item in range(12)], "plot": plots})
    data = dataclasses.replace(toy, items=table)
    options = Augmentation(("title", "plot"), language="Chinese", profiles=True, synthetic="both", short_history=7)
    made = augment(data, ledger(tmp_path, Chinese()), options)
    for name, report in made.reports.items():
        assert report.questions == report.valid > 0, (name, report)
    assert made.reports["next items"].unmatched == 10, "matched without spaces; ten users have every item of that story"


def test_topics_have_to_be_those_that_the_data_name(tmp_path: Path) -> None:
    class Other(FakeLanguageModel):
        def reply(self, prompt: str, schema: Schema | None) -> str:
            genre = prompt.partition("genres: ")[2].partition("\n")[0]
            return json.dumps({"summary": f"This film: a film of the genre {genre}.", "topics": ["love"]})

    toy = toy_dataset()
    for genre, usable in (("Horror", 0), ("Love", 12), ("Robots", 12)):
        table = pa.table({"item_id": toy.items["item_id"], "title": ["Tin"] * 12, "genres": [genre] * 12})
        book = ledger(tmp_path, Other(name=genre))
        made = augment(dataclasses.replace(toy, items=table), book, Augmentation(("title", "genres")))
        assert made.reports["summaries"].usable == usable, made.reports


def test_an_own_pack_that_was_edited_is_read_again(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    for topics in ("[e]", "[f, g]"):
        own.write_text(f"words: {{item: a, items: b, person: c, took: d, topics: {topics}}}\n")
        made = load_domain(str(own)).words.topics
    assert made == ("f", "g")


def test_a_plan_follows_the_answers_that_are_there(tmp_path: Path) -> None:
    """A chain counts as answered where it is; where a step has answers to come, the next one is bounded."""
    data, model = toy_dataset(), FakeLanguageModel()
    augment(data, ledger(tmp_path, model), dataclasses.replace(ALL, synthetic="none"))
    steps = plan(data, ledger(tmp_path, model), ALL)
    assert [(step.calls, step.at_most) for step in steps.values()] == [(0, False), (0, False), (20, False), (20, True)]
    sent = len(model.prompts)
    augment(data, ledger(tmp_path, model), ALL)
    assert len(model.prompts) - sent == 40
    assert [step.calls for step in plan(data, ledger(tmp_path, model), ALL).values()] == [0, 0, 0, 0]


def test_inventions_that_are_like_no_item_are_counted(tmp_path: Path) -> None:
    class Elsewhere(FakeLanguageModel):
        def reply(self, prompt: str, schema: Schema | None) -> str:
            answer = json.loads(super().reply(prompt, schema))
            return json.dumps(answer | {"title": "Qwxz", "description": "It is about qwxzs and what they are."})

    options = Augmentation(("title",), summaries=False, synthetic="history", short_history=7)
    report = augment(toy_dataset(), ledger(tmp_path, Elsewhere()), options).reports["next items"]
    assert (report.usable, report.unmatched) == (20, 20)
    assert str(report).endswith("20 of the usable ones are like no item")


def test_a_cap_between_an_answer_and_its_repair_leaves_the_first_verdict(tmp_path: Path) -> None:
    model = FakeLanguageModel(fault="invented")
    made = augment(toy_dataset(), ledger(tmp_path, model, budget=Budget(calls=13)), Augmentation(("text",)))
    assert (made.reports["summaries"].quarantined, made.reports["summaries"].over_budget) == (12, 0)


def test_audit_finds_what_knows_too_much(tmp_path: Path) -> None:
    toy = toy_dataset()
    data = dataclasses.replace(toy, users=toy.users.drop_columns(["synthetic_item"]))
    made = augment(data, ledger(tmp_path), Augmentation(("text",))).apply(data)
    assert data.timestamp is not None
    early = data.where(data.timestamp < np.median(data.timestamp))
    assert "knows events up to" in check_provenance(made, early)[0]
    bare = dataclasses.replace(data, items=data.items.append_column("summary", pa.array(["x"] * 12)))
    assert "does not say" in check_provenance(bare, data)[0]
    own = dataclasses.replace(data, items=data.items.append_column("topics", pa.array(["x"] * 12)))
    assert check_provenance(own, data) == [], "a data set may bring topics of its own"
    assert "synthetic_item" in check_provenance(toy, data)[0]


def test_an_own_pack_is_a_file(tmp_path: Path) -> None:
    file = tmp_path / "recipes.yaml"
    file.write_text("words: {item: recipe, items: recipes, person: cook, took: cooked, topics: [soup, bread]}\n")
    assert load_domain(str(file)).words.topics == ("soup", "bread")
    data: Dataset = toy_dataset()
    questions = summary_prompts(data, Augmentation(("title",), domain=str(file)))
    assert "describes a recipe" in questions.inputs()[0]


def test_matching_goes_by_title_then_by_rare_words() -> None:
    titles = ["Fargo (1996)", "The Big Sleep (1946)", "Heat (1995)", "Babe (1995)"]
    catalogue = ItemMatcher(
        titles, [f"{t} {w}" for t, w in zip(titles, ["snow", "noir", "robbery", "pig"], strict=True)]
    )
    assert catalogue.titled("the big sleep") == 1
    assert catalogue.titled("nothing like it") == -1
    assert catalogue.nearest("a pig on a farm") == 3
    assert catalogue.nearest("a pig on a farm", seen=[3]) != 3
    assert catalogue.nearest("unheard of") == -1


def test_a_false_sentence_gives_way_to_the_nearest_of_the_data_and_is_counted(tmp_path: Path) -> None:
    class Confused(FakeLanguageModel):
        def reply(self, prompt: str, schema: Schema | None) -> str:
            answer = json.loads(super().reply(prompt, schema))
            false = {
                "summary": "This film: the knight who stole the ring hunts the cook of the castle.",
                "profile": "This viewer likes films about love that no cook would hate.",
            }
            return json.dumps(
                answer | {name: text for name, text in false.items() if name in answer} | {"topics": ["love"]}
            )

    toy = toy_dataset()
    plot = "A cook of the castle hunts the knight who stole the ring. She fails."
    table = pa.table(
        {"item_id": toy.items["item_id"], "title": ["T"] * 12, "genres": ["Love"] * 12, "plot": [plot] * 12}
    )
    options = Augmentation(("title", "genres", "plot"), profiles=True)
    made = augment(dataclasses.replace(toy, items=table), ledger(tmp_path, Confused()), options)
    assert set(made.items["summary"].to_pylist()) == {f"This film: {plot.partition('.')[0]}."}
    assert set(made.users["profile"].to_pylist()) == {"This viewer likes films about love."}
    assert [(one.valid, one.replaced) for one in made.reports.values()] == [(12, 12), (20, 20)]
    assert "12 of the usable ones replaced by the nearest words of the data" in str(made.reports["summaries"])
