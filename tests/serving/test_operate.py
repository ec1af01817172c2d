"""What an operator sees: the report behind /operate, and the page in a real Chromium."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect

from genre.config.serving_options import OnlineExperiment, ServingOptions
from genre.evaluation.online.experiments import Rate
from genre.llm.ledger_table import LedgerTable, read_spending
from genre.llm.settings import LLMOptions
from genre.runs import Run
from genre.serving.events.log_table import EventStore
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.events.store import Event, ServedList
from genre.serving.http.access import ApiKeys
from genre.serving.http.app import create_app
from genre.serving.input_drift import ItemBins, population_stability
from genre.serving.operations import window_of
from genre.serving.outcome_table import outcome_table
from genre.serving.refresh_record import (
    RefreshNotes,
    RefreshRecord,
    RefreshSchedule,
    read_record,
    record_path,
    write_record,
)
from genre.serving.service import Service
from genre.testing import FakeLanguageModel
from watched_pages import SIZES, Open, Served, axe_faults

DAY = 86_400
ADMIN, READ = "a key for everything", "a key to read the lists"


def fill(store: EventStore, now: int, n: int = 240) -> None:
    """Two lists of two items for each user; in the first, one of four users clicks, and one of eight buys for 8."""
    lists, events = [], []
    for u in range(n):
        run, at = ("toy", "<b>other</b>")[u % 2], now - (u % 5) * DAY - 60
        for name, fallback in (("a", None), ("b", "model_late")):
            source = "personal" if fallback is None else "popular"
            one = ServedList(f"{name}{u}", f"u{u}", run, "ease", source, fallback, ("i0", f"i{u % 12}"), (), at, 0.002)
            lists.append(one)
        if u % 8 < 4:
            events.append(Event(f"u{u}", "i0", 1.0, at + 1, f"c{u}", kind="click", recommendation_id=f"a{u}"))
        if u % 8 < 2:
            event = Event(f"u{u}", "i0", 1.0, at + 2, f"b{u}", kind="buy", recommendation_id=f"a{u}", value=8.0)
            events += [event, Event("stranger", "unheard of", 1.0, at, f"s{u}", kind="view")]
    store.put_lists(lists)
    store.record(events)
    store.record([Event("u1", "i1", 1.0, now - 9, "lost", kind="click", recommendation_id="nowhere")])


def test_a_user_counts_once_in_a_run_whatever_made_the_lists(store: EventStore) -> None:
    now = int(time.time())
    fill(store, now)
    whole = outcome_table(store, ("buy",), whole_runs=True)
    assert [(row.run, row.recommender, row.users, row.lists) for row in whole] == [
        ("<b>other</b>", "", 120, 240), ("toy", "", 120, 240),
    ]  # fmt: skip
    by_source = outcome_table(store, ("buy",))
    assert [(row.run, row.source, row.users) for row in by_source][2:] == [
        ("toy", "personal", 120),
        ("toy", "popular", 120),
    ]
    toy = whole[1]
    assert (toy.shows, toy.clicks, toy.conversions, toy.value) == (480, 60, 30, 240.0)
    assert (toy.click_rate.value, toy.conversion_rate.value, toy.value_rate.value) == (60 / 480, 30 / 480, 0.5)
    for rate in (toy.click_rate, toy.conversion_rate, toy.value_rate):
        assert rate.low is not None
        assert rate.high is not None
        assert 0 <= rate.low < rate.value < rate.high
    assert (toy.fallbacks.value, toy.fallbacks.low) == (0.5, None), "half of the lists of every user: no variance"
    assert (toy.seconds.value, toy.slow_seconds, toy.coverage) == (pytest.approx(0.002), Rate(0.002, 0.002, 0.002), 6)
    days = outcome_table(store, ("buy",), whole_runs=True, since=now - 9 * DAY, span=DAY)
    assert sum(row.lists for row in days) == 480
    assert {row.since % DAY for row in days} == {0}
    assert sum(row.value for row in days) == 480.0


def test_the_report_says_how_far_events_are_from_what_was_learnt(run: Run, sqlite: SQLiteStore) -> None:
    fill(sqlite, int(time.time()))
    service = Service([run], sqlite, options=ServingOptions("off"))
    service.put_item("new", {"title": "Robots again"})
    service.put_item("i0", {"title": "Castles again"})
    (drift,) = service.operations.report()["drift"]
    assert (drift["items"], drift["added"], drift["recommendable"], drift["changed"]) == (12, 1, 1, 1)
    assert drift["events"] == 241
    assert drift["new_items"]["value"] == 60 / 241
    known = sum(f"u{u}" in run.dataset.user_ids for u in range(240) if u % 8 < 4)
    assert drift["new_users"]["value"] == pytest.approx((121 - known) / 121)
    assert drift["popularity_shift"] is None, "fewer than 500 events"
    assert service.operations.report(days=1)["span"] == 3600


def test_the_shift_of_popularity_is_small_by_chance_and_large_for_another_order(run: Run) -> None:
    assert population_stability(np.array([50, 50]), np.array([50, 50])) == 0
    found = population_stability(np.array([899, 99]), np.array([499, 499]))
    assert found == pytest.approx((0.5 - 0.9) * np.log(0.5 / 0.9) + (0.5 - 0.1) * np.log(0.5 / 0.1), rel=0.01)
    bins = ItemBins(run.dataset)
    rng = np.random.default_rng(0)
    alike = bins.count(rng.choice(run.dataset.item, 5000))
    assert population_stability(bins.count(run.dataset.item), alike) < 0.02
    assert bins.expected.sum() >= len(run.dataset) // 10


def test_what_lists_led_to_is_no_drift_of_input(run: Run, sqlite: SQLiteStore) -> None:
    """What is recommended is clicked; only what users do by themselves says what they want now."""
    service, now = Service([run], sqlite, options=ServingOptions("off")), int(time.time())

    def happened(list_id: str | None) -> float | None:
        events = [Event(f"u{u}", "i1", 1.0, now, kind="click", recommendation_id=list_id) for u in range(600)]
        service.record(events)
        shift: float | None = service.operations.report()["drift"][0]["popularity_shift"]
        return shift

    assert happened("a list") is None
    shift = happened(None)
    assert shift is not None
    assert shift > 0.25


def test_spending_is_added_up_by_job_and_day(run: Run, tmp_path: Path, sqlite: SQLiteStore) -> None:
    path = tmp_path / "ledger.sqlite"
    table, now = LedgerTable(path), time.time()
    row = {"model": "m", "prompt": "p", "prompt_hash": "h", "cutoff": None, "input": "", "request": "", "output": "x"}
    for at, (job, outcome, tokens) in enumerate(
        [("toy@1a2b", "ok", 10), ("toy/ease@1a2b", "ok", 20), ("toy@3c4d", "failed", 0), ("toys@1a2b", "ok", 999)]
    ):
        made = {"job": job, "outcome": outcome, "tokens_in": tokens, "tokens_out": 1 if tokens else 0}
        table.add({**row, **made, "key": str(at), "at": now, "seconds": 1.0, "money": 0.5, "error": "", "verdict": ""})
    (day,) = read_spending(path, job="toy", since=0, span=DAY)
    assert (day.calls, day.failed, day.tokens, day.money) == (2, 1, 32, 1.5)
    assert day.since == int(now) // DAY * DAY
    assert read_spending(tmp_path / "none", job="toy", since=0, span=DAY) == []
    llm = LLMOptions(FakeLanguageModel(), ledger=str(path), job="toy@9e9e")
    service = Service([dataclasses.replace(run, llm=llm)], sqlite)
    (model,) = service.operations.report()["language_models"]
    assert (model["job"], model["spans"][0]["tokens"]) == ("toy", 32)


def test_what_became_of_a_refresh_is_kept_beside_the_run(tmp_path: Path) -> None:
    folder = tmp_path / "toy"
    assert read_record(folder) is None
    record = RefreshNotes().record_of_error(OSError("disk full\nmore"))
    write_record(folder, record)
    assert (record.result, record.message) == ("failed", "disk full")
    assert read_record(folder) == record
    record_path(folder).write_text('{"began": 1}')
    assert read_record(folder) is None


def test_both_reports_begin_and_end_together() -> None:
    (since, until), span = window_of(30), DAY
    assert since % span == 0
    assert 30 * DAY <= until - since <= 31 * DAY + 1


@pytest.fixture(scope="module")
def operated(run: Run, tmp_path_factory: pytest.TempPathFactory, serve_app: Served) -> Iterator[str]:
    """Two runs in an experiment, with keys, and a refresh that was held back."""
    folder = tmp_path_factory.mktemp("operated")
    store = SQLiteStore(folder / "events.sqlite")
    fill(store, int(time.time()))
    store.record([Event(f"v{u}", "i1", 1.0, int(time.time()) - DAY, f"v{u}", kind="view") for u in range(600)])
    runs = [
        dataclasses.replace(run, folder=folder / str(at), name=name) for at, name in enumerate(("toy", "<b>other</b>"))
    ]
    gate = "ndcg@10 on the newest interactions, worse: -0.1 against 0.2"
    write_record(runs[0].folder, RefreshRecord(1_700_000_000, 94.2, "held back", "3 users", gate, "it is worse"))
    experiment = OnlineExperiment("december", {"toy": 1.0, "<b>other</b>": 1.0}, days=0.0001, planned=400)
    service = Service(runs, store, options=ServingOptions("off", (experiment,)))
    service.operations.schedule = RefreshSchedule(4_000_000_000)
    keys = ApiKeys({READ: ["read"], ADMIN: ["admin"]})
    with serve_app(create_app(service, api_keys=keys)) as url:
        yield url


def by_key(key: str) -> dict[str, Any]:
    return {"http_credentials": {"username": "me", "password": key}}


def test_the_page_needs_a_key_for_admin_and_takes_one(operated: str, open_page: Open) -> None:
    page = open_page(operated, expected="status of 40[13]", **by_key(READ))
    page.get_by_role("link", name="Operate").click()
    expect(page).to_have_url(f"{operated}/operate")
    expect(page.locator("#key-why")).to_have_text("This key is for read; this needs one for admin.")
    expect(page.locator("#report")).to_be_hidden()
    assert axe_faults(page) == []
    page.get_by_label("Key", exact=True).fill("not the right key")
    page.get_by_role("button", name="Use this key").click()
    expect(page.locator("#key-why")).to_contain_text("The key was refused: ")
    page.get_by_label("Key", exact=True).fill(ADMIN)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="What lists led to")).to_be_visible()
    expect(page.locator("#key-form")).to_be_hidden()
    assert page.evaluate("localStorage.length + sessionStorage.length") == 0


@pytest.mark.parametrize(
    ("size", "scheme"), [("wide", "light"), ("tablet", "dark"), ("narrow", "dark"), ("narrow", "light")]
)
def test_the_page_shows_what_the_log_says(operated: str, open_page: Open, size: str, scheme: str) -> None:
    page = open_page(operated, size, scheme, path="/operate", **by_key(ADMIN))
    expect(page.locator("#status")).to_contain_text("480 lists and 120 clicks since ")
    rows = page.locator("#lists tbody tr")
    expect(rows).to_have_count(4)
    personal = rows.nth(2)
    expect(personal).to_contain_text("toy")
    for text in ("ease, known users", "120 users", "25 %", "12.5 %", re.compile(r"25 %5[.\d]+ % to 44")):
        expect(personal).to_contain_text(text)
    expect(page.locator("#alerts")).to_contain_text("The last refresh of toy was held back: it is worse.")
    expect(page.locator("#alerts")).to_contain_text("Clicks on lists that the log does not have: 1.")
    expect(page.locator("#legend li")).to_have_text(["<b>other</b>", "toy"])
    charts = page.locator("#charts .chart")
    expect(charts).to_have_count(7)
    expect(charts.nth(1).get_by_role("img")).to_have_attribute(
        "aria-label", re.compile("Clicks a show: <b>other</b>, last ")
    )
    expect(page.locator("#experiments")).to_contain_text("Buy within 0.0001 days of a user's first list, by user.")
    expect(page.locator("#experiments tbody tr")).to_have_count(2)
    expect(page.locator("#drift")).to_contain_text("much different")
    expect(page.locator("#refreshes")).to_contain_text("worse: -0.1 against 0.2")
    expect(page.locator("#models")).to_have_text("No language model was called in this time.")
    assert not [row for row in rows.all_inner_texts() if re.search(r"(?<!\d)1 users", row)]
    page.get_by_text("The numbers of these charts").click()
    expect(page.locator("#time-table tbody tr")).to_have_count(10)
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0], "nothing sticks out"
    assert axe_faults(page) == []


def test_an_experiment_is_stopped_on_the_page(operated: str, open_page: Open) -> None:
    page = open_page(operated, "narrow", path="/operate", **by_key(ADMIN))
    page.locator("#experiments summary").click()
    expect(page.get_by_role("button", name="Promote <b>other</b>")).to_be_visible()
    assert axe_faults(page) == []
    page.get_by_role("button", name="Stop now").click()
    expect(page.locator("#experiments .tag").first).to_have_text(re.compile("running|ended"))
    expect(page.get_by_role("button", name="Stop now")).to_be_hidden()


def test_the_page_speaks_chinese(operated: str, open_page: Open) -> None:
    page = open_page(operated, "narrow", path="/operate", locale="zh-CN", **by_key(ADMIN))
    expect(page.get_by_role("heading", level=1)).to_have_text("运维")
    expect(page.locator("#status")).to_contain_text("480 个列表，120 次点击，自 ")
    expect(page.locator("#refreshes .tag").first).to_have_text("被拦下")
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES["narrow"][0], "nothing sticks out"
    assert axe_faults(page) == []


def test_another_span_of_time_is_a_choice_and_in_the_address(operated: str, open_page: Open) -> None:
    page = open_page(operated, path="/operate#days=7", expected="status of 503", **by_key(ADMIN))
    expect(page.get_by_label("How far back")).to_have_value("7")
    with page.expect_response(re.compile("v1/operations.days=1$")):
        page.get_by_label("How far back").select_option("1")
    expect(page.locator("#charts svg text").last).to_contain_text(":00")
    assert page.evaluate("location.hash") == "#days=1"
    page.route("**/v1/operations**", lambda route: route.fulfill(json={"detail": "Busy."}, status=503))
    page.get_by_role("button", name="Update").click()
    expect(page.locator("#status")).to_have_text("Busy.")
    expect(page.locator("#report")).to_be_visible()


def test_an_empty_log_is_no_fault(run: Run, tmp_path: Path, serve_app: Served, open_page: Open) -> None:
    service = Service([run], SQLiteStore(tmp_path / "events.sqlite"))
    service.warm()
    with serve_app(create_app(service)) as url:
        page = open_page(url, "narrow", path="/operate")
        expect(page.locator("#alerts")).to_have_text("Nothing.")
        expect(page.locator("#lists")).to_contain_text("No list was recorded in this time.")
        expect(page.locator("#refreshes")).to_contain_text("never, since it was made")
        assert axe_faults(page) == []
