"""Filters, the switch that records, the page of an item, the API page and both languages, in a real Chromium."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from importlib.resources import files

import pyarrow as pa
import pytest
from playwright.sync_api import Browser, Page, expect

from genre.recommenders.phrasebook import CHINESE, ENGLISH
from genre.runs import Run
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.events.store import Entry, Event
from genre.serving.http.access import ApiKeys
from genre.serving.http.app import create_app
from genre.serving.service import Service
from watched_pages import SIZES, Open, Served, axe_faults, like, settled, titles

WEB = files("genre.serving.http") / "web"
CHINESE_TEXT = re.compile(r"[\u4e00-\u9fff]")


@pytest.fixture(scope="module")
def shop(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Service:
    """The toy items with prices and makers, as a shop would have them."""
    n = run.dataset.n_items
    items = run.dataset.items.append_column("price", pa.array([5.5 + 10 * at for at in range(n)]))
    items = items.append_column("brand", pa.array([("Acme", "Borg", "Cosy")[at % 3] for at in range(n)]))
    items = items.append_column("year", pa.array([1990 + at for at in range(n)]))
    sold = dataclasses.replace(run, dataset=dataclasses.replace(run.dataset, items=items))
    service = Service([sold], SQLiteStore(tmp_path_factory.mktemp("parts") / "events.sqlite"))
    service.warm()
    return service


@pytest.fixture(scope="module")
def shop_url(shop: Service, serve_app: Served) -> Iterator[str]:
    with serve_app(create_app(shop)) as address:
        yield address


def written(service: Service) -> list[Entry]:
    """The log, with the lists that wait for the next commit."""
    service.shows.flush()
    return [entry for _, entry in service._store.read()]


def changed(page: Page, field: str, box: str, value: str) -> None:
    """Set one filter of the side, and wait for the list."""
    control = page.locator(f"#filter-fields [data-field={field}] {box}")
    if box == "select":
        settled(page, lambda: control.select_option(value))
    else:
        settled(page, lambda: (control.fill(value), control.press("Enter")))


def test_filters_by_price_category_and_maker(shop_url: str, open_page: Open) -> None:
    page = open_page(shop_url)
    fields = page.locator("#filter-fields [data-field]").evaluate_all("all => all.map((one) => one.dataset.field)")
    assert fields == ["price", "genres", "brand", "year"]
    changed(page, "price", "input >> nth=0", "30")
    changed(page, "price", "input >> nth=1", "80")
    assert sorted(titles(page)) == [f"Story {at}" for at in range(3, 8)]
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "price to"
    changed(page, "genres", "select", "space")
    assert sorted(titles(page)) == ["Story 4", "Story 6"]
    expect(page.locator("#kinds [aria-pressed=true]")).to_have_text("space")
    changed(page, "brand", "select", "Borg")
    assert titles(page) == ["Story 4"]
    again = open_page(shop_url, path="/" + page.evaluate("location.hash"))
    assert titles(again) == ["Story 4"]
    settled(again, again.get_by_role("button", name="Remove all filters").click)
    expect(again.locator("#list .card")).to_have_count(12)
    changed(again, "year", "input >> nth=1", "1991")
    assert sorted(titles(again)) == ["Story 0", "Story 1"]
    broken = open_page(shop_url, path="/#filter=" + json.dumps({"no such field": ["x"], "price": {"min": "x"}}))
    expect(broken.locator("#list .card")).to_have_count(12)


def test_clicks_are_recorded_only_where_the_switch_is_on(shop_url: str, open_page: Open, shop: Service) -> None:
    page = open_page(shop_url)
    chosen = like(page)
    page.get_by_role("button", name=re.compile("^Why ")).first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    link = open_page(shop_url, path="/" + page.evaluate("location.hash"))
    expect(link.locator("#taste li")).to_have_count(1)
    assert written(shop) == [], "no event, and no list that counts as shown"
    settled(page, page.get_by_role("switch", name="Record my clicks").check)
    user = re.search(r"visitor-\w+", page.locator("#recording").inner_text())
    assert user is not None
    second = like(page)
    expect(page.locator("#status")).to_contain_text(re.compile(r"recorded and answered in \d+.ms"))
    assert {chosen, second} & set(titles(page)) == set(), "the list follows at once"
    events = [entry for entry in written(shop) if isinstance(entry, Event)]
    assert {(event.user_id, event.kind) for event in events} == {(user[0], "like")}
    assert [event.position for event in events] == [None, 1], "the first was chosen before the switch was on"
    expect(page.locator("#taste li")).to_have_count(2)
    assert "visitor" not in page.evaluate("location.hash"), "who follows a link records nothing"
    page.reload()
    expect(page.get_by_role("switch", name="Record my clicks")).to_be_checked()
    expect(page.locator("#taste li")).to_have_count(2)
    settled(page, page.get_by_role("button", name=f"Remove {second}").click)
    expect(page.locator("#taste li")).to_have_count(1)
    settled(page, page.get_by_role("switch", name="Record my clicks").uncheck)
    before = written(shop)
    like(page)
    assert written(shop) == before


def test_troubles_are_said_and_a_key_that_may_not_record_turns_the_switch_off(
    run: Run, sqlite: SQLiteStore, browser: Browser, serve_app: Served
) -> None:
    key = "a-key-of-24-characters-.."
    context = browser.new_context(http_credentials={"username": "page", "password": key})
    with serve_app(create_app(Service([run], sqlite), api_keys=ApiKeys({key: ["read"]}))) as address:
        page = context.new_page()
        page.goto(address)
        expect(page.locator("body[data-ready]")).to_be_attached()
        settled(page, page.get_by_role("switch", name="Record my clicks").check)
        settled(page, page.locator("#list .like").first.click)
        expect(page.get_by_role("alert")).to_have_text("This key may not record events.")
        settled(page, page.locator("#list .like").first.click)
        expect(page.get_by_role("alert")).to_be_hidden()
        expect(page.get_by_role("switch", name="Record my clicks")).not_to_be_checked()
        page.goto(f"{address}/item.html?id=nothing%20here")
        expect(page.get_by_role("alert")).to_have_text("The service has no item nothing here.")
    context.close()


def test_an_item_has_a_page_and_a_way_back(shop_url: str, open_page: Open) -> None:
    page = open_page(shop_url)
    chosen = like(page)
    name = titles(page)[0]
    page.locator("#list h3 a").first.click()
    expect(page.locator("body[data-ready]")).to_be_attached()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    expect(page).to_have_title(f"{name} · GENRE")
    expect(page.locator("#fields")).to_contain_text("brand")
    expect(page.locator("#similar a")).not_to_have_count(0)
    near = page.locator("#together a").last
    other = near.inner_text()
    near.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(other)
    page.get_by_role("button", name="Like").click()
    expect(page.locator("#taste li")).to_have_text([re.compile(chosen), re.compile(other)])


def test_the_api_page_has_every_route(shop_url: str, open_page: Open) -> None:
    page = open_page(shop_url, path="/docs")
    described = page.evaluate("fetch('openapi.json').then((answer) => answer.json())")
    routes = {f"{method.upper()} {path}" for path, methods in described["paths"].items() for method in methods}
    assert set(page.locator("#contents a").all_inner_texts()) == routes
    events = page.locator("section", has=page.get_by_role("heading", name="POST /v1/events"))
    expect(events).to_contain_text("recommendation_id")
    expect(events.locator("pre")).to_contain_text('{"user_id":"USER_ID","item_id":"ITEM_ID"}')


def test_the_browsers_language_decides_and_a_button_changes_it(shop_url: str, open_page: Open) -> None:
    page = open_page(shop_url, locale="zh-CN")
    assert page.locator("html").get_attribute("lang") == "zh-CN"
    settled(page, page.locator("#list .like").first.click)
    expect(page.get_by_role("heading", level=1)).to_have_text("为您推荐")
    expect(page.locator("#list .reason").first).to_contain_text(re.compile("因为|大家"))
    page.locator("#list .card").nth(1).get_by_role("button", name=re.compile("为什么")).click()
    expect(page.get_by_role("dialog")).to_contain_text("各部分相加即为得分。")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("For you")
    expect(page.get_by_role("button", name="中文")).to_be_visible()


@pytest.mark.parametrize(
    ("path", "size", "scheme", "locale"),
    [("/", "tablet", "dark", "zh-CN"), ("/item.html?id=i3", "narrow", "dark", "en"), ("/docs", "wide", "light", "en")],
)
def test_axe_finds_no_fault_in_the_parts(
    shop_url: str, open_page: Open, path: str, size: str, scheme: str, locale: str
) -> None:
    page = open_page(shop_url, size, scheme, path, locale=locale)
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    assert axe_faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0], "nothing sticks out"


def test_every_part_of_a_score_has_a_name_on_the_page() -> None:
    named = (WEB / "why.js").read_text("utf-8").partition("const PARTS = {")[2].partition("};")[0]
    assert set(ENGLISH.leads) <= set(re.findall(r"(\w+): t\(", named))


def test_every_text_of_the_page_is_there_in_chinese() -> None:
    table = dict(re.findall(r'^  "?([^"\n]+?)"?:\s+"([^"]+)",$', (WEB / "language.js").read_text("utf-8"), re.M))
    used = set()
    for part in WEB.iterdir():
        text = part.read_text("utf-8")
        used |= set(re.findall(r'data-t(?:-\w+)?="([^"]+)"', text))
        for call in re.findall(r"\bt\(([^()]*(?:\([^()]*\)[^()]*)*)", text) if part.name.endswith(".js") else ():
            used |= set(re.findall(r'"([^"]*[A-Za-z{][^"]*)"', call.partition(", ")[0]))
    used -= {"zh", "en"}
    assert len(used) > 90
    assert used <= set(table), sorted(used - set(table))
    for english, chinese in table.items():
        assert english.count("{}") == chinese.count("{}"), english
        assert english == chinese or CHINESE_TEXT.search(chinese) or not re.search("[A-Za-z]", english), english


def test_reasons_have_the_same_parts_in_both_languages() -> None:
    for field in dataclasses.fields(ENGLISH):
        first, second = getattr(ENGLISH, field.name), getattr(CHINESE, field.name)
        pairs = zip(first.values(), second.values(), strict=True) if field.name == "leads" else [(first, second)]
        assert all(sorted(re.findall(r"{\w*}", one)) == sorted(re.findall(r"{\w*}", two)) for one, two in pairs)
    assert ENGLISH.leads.keys() == CHINESE.leads.keys()
