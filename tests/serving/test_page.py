"""The page in a real Chromium: it answers clicks, shows why, keeps text text, and anybody can use it."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from playwright.sync_api import Browser, expect

import genre
from genre.recommenders.ease import EASE
from genre.recommenders.item_knn import ItemKNN
from genre.recommenders.popularity import Popularity
from genre.runs import Run
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.http.app import create_app
from genre.serving.service import Service
from watched_pages import SIZES, Open, Served, axe_faults, held, like, settled, titles

NASTY = [
    "<script>document.title = 'hacked'</script>",
    "<img src=x onerror=\"document.title='hacked'\">",
    "\u202egnp.exe\u202c \u2067 turned",
    "مرحبا بالعالم (١٩٩٥) — فيلم طويل جدا عن الصحراء " * 3,
    "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft" * 4,
    "Zalgo t̷̨̛͓̟͇̫̭̹̗̖͎̖̄͗̽̑͒ȩ̷͈̰̲̺̈́͜x̷̢̤̳̻̑̉̌̾̎̂t",
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "👩‍👩‍👧‍👧" * 40,
    "{{7*7}} ${7*7} </title></style>",
    " ",
    "x",
]


def test_choosing_titles_changes_the_list_at_once(url: str, open_page: Open) -> None:
    page = open_page(url)
    expect(page.locator("#list h3")).to_have_count(12)
    expect(page.locator("#status")).to_contain_text("nothing is recorded.")
    expect(page.locator("#list .reason")).to_have_count(0)  # all are there for the one reason that is told above
    before = titles(page)
    chosen = like(page)
    assert chosen == before[0]
    after = titles(page)
    assert chosen not in after
    assert after != before[1:]
    expect(page.locator("#taste li")).to_have_count(1)
    expect(page.locator("#status")).to_contain_text("Your choices")
    expect(page.locator("#list .reason").first).to_contain_text(chosen)
    settled(page, page.get_by_role("button", name=f"Remove {chosen}").click)
    assert titles(page) == before
    settled(page, page.locator("#list .away").first.click)
    settled(page, page.locator("#list .away").first.click)
    assert not set(before[:2]) & set(titles(page))
    settled(page, page.get_by_role("button", name="Show 2 hidden titles again").click)
    assert titles(page) == before
    expect(page.locator("#hidden")).to_be_hidden()
    like(page)
    settled(page, page.get_by_role("button", name="Clear").click)
    assert titles(page) == before


def test_the_keyboard_stays_where_it_was(url: str, open_page: Open) -> None:
    page = open_page(url)
    names = titles(page)

    def enter(selector: str, at: int = 0) -> None:
        page.locator(selector).nth(at).focus()
        settled(page, lambda: page.keyboard.press("Enter"))

    enter("#list .away", 2)
    assert held(page) == f"Hide {names[3]}", "the card that took the place of the hidden one"
    enter("#list .like", 1)
    assert held(page) == f"I like {titles(page)[1]}"
    kind = page.locator("#kinds button").nth(1).inner_text()
    enter("#kinds button", 1)
    assert held(page) == kind
    enter("#list .like")
    enter("#taste button")
    assert held(page).startswith("Remove ")
    enter("#taste button")
    assert page.evaluate("document.activeElement.id") == "list"
    enter("#clear")
    assert held(page) == "Random user"
    page.locator("#list .card").nth(2).get_by_role("button", name="Why").focus()
    page.keyboard.press("Enter")
    sheet = page.get_by_role("dialog")
    sheet.locator(".strip button").first.focus()
    again = held(page).removeprefix("Why ")
    page.keyboard.press("Enter")
    expect(sheet.get_by_role("heading", level=2)).to_have_text(again)
    assert held(page) == "Close"
    page.keyboard.press("Escape")
    assert held(page) == f"Why {titles(page)[2]}"


def test_a_user_is_borrowed_and_answered_as_trained(url: str, open_page: Open) -> None:
    page = open_page(url)
    page.locator("#user").fill("u0")
    settled(page, lambda: page.locator("#user").press("Enter"))
    expect(page.get_by_role("heading", level=1)).to_have_text("For user u0")
    expect(page.locator("#status")).to_contain_text("Personal")
    assert titles(page)[0] == "Story 0"
    like(page)
    expect(page.locator("#status")).to_contain_text("Your choices")


def test_a_link_to_a_stranger_falls_through_to_a_list(url: str, open_page: Open) -> None:
    page = open_page(url, path="/#user=nobody%20here")
    expect(page.get_by_role("alert")).to_have_text("User nobody here has no history.")
    expect(page.locator("#list .card")).to_have_count(12)
    page.get_by_role("button", name="Dismiss").click()
    expect(page.get_by_role("alert")).to_be_hidden()


def test_why_shows_the_evidence(url: str, open_page: Open) -> None:
    page = open_page(url)
    first = like(page)
    page.get_by_role("button", name=re.compile("^Why ")).first.click()
    sheet = page.get_by_role("dialog")
    expect(sheet).to_be_visible()
    expect(sheet.locator(".bars li").first).to_contain_text(first)
    expect(sheet).to_contain_text("ease: the shares add up to the score.")
    assert float(sheet.locator(".bars i").first.evaluate("bar => bar.getBoundingClientRect().width")) > 20
    expect(sheet.locator(".strip button")).not_to_have_count(0)
    page.keyboard.press("Escape")
    expect(sheet).not_to_be_visible()


def test_the_bars_add_up_to_the_score(url: str, open_page: Open) -> None:
    page = open_page(url, path="/#taste=[%22i0%22]")
    because = [{"item_id": f"i{at}", "title": f"Story {at}", "share": (-1) ** at * 0.5**at} for at in range(11)]
    popular = 2.5
    score = sum((-1) ** at * 0.5**at for at in range(11)) + popular
    why = {"item_id": "i4", "title": "Story 4", "score": score, "reason": "", "method": "exact", "source": "folded_in"}
    more = {"run": "toy", "recommender": "ease", "because": because, "popular": popular, "query_parts": {}, "words": []}
    part = {"name": "profile", "share": 0.75, "text": f"Likes {NASTY[0]}", "written_by": "small model (seed 0)"}
    more["parts"], score = [part], score + 0.75
    page.route("**/v1/explanations", lambda route: route.fulfill(json={**why, **more, "fallback": None}))
    page.get_by_role("button", name=re.compile("^Why ")).first.click()
    names = page.locator("dialog .bars li > span:first-child")
    expect(names).to_have_text([*(f"Story {at}" for at in range(8)), "3 more", "Popularity", "Profile", "Score"])
    expect(page.locator("dialog")).to_contain_text(f"Profile: “Likes {NASTY[0]}”, by the language model small model")
    shares = [float(share) for share in page.locator("dialog .share").all_inner_texts()]
    assert abs(sum(shares[:-1]) - score) < 0.01
    assert abs(shares[-1] - score) < 0.001


def test_asking_in_words(url: str, open_page: Open) -> None:
    page = open_page(url)
    page.locator("#words").fill("robots in space")
    settled(page, lambda: page.locator("#words").press("Enter"))
    expect(page.get_by_role("heading", level=1)).to_have_text("“robots in space”")
    expect(page.locator("#status")).to_contain_text("By content")
    assert all(int(name.split()[1]) % 2 == 0 for name in titles(page)[:4])
    said = page.locator("#list .reason").all_inner_texts()
    assert all(said), "where nothing is to be said there is no line"
    assert not any("meaning" in reason for reason in said)
    chosen = like(page)
    expect(page.locator("#status")).to_contain_text("by your words and your taste")
    page.get_by_role("button", name=re.compile("^Why ")).first.click()
    bars = page.get_by_role("dialog").locator(".bars").first.locator("li")
    expect(bars).to_have_text([re.compile("^Your words"), re.compile("^Your taste"), re.compile("^Score")])
    shares = [float(share) for share in bars.locator(".share").all_inner_texts()]
    assert abs(shares[0] + shares[1] - shares[2]) < 0.002
    page.keyboard.press("Escape")
    settled(page, page.get_by_role("button", name="Remove “robots in space”").click)
    expect(page.get_by_role("heading", level=1)).to_have_text("For you")
    expect(page.locator("#taste li")).to_have_text([re.compile(f"^{chosen}")])


def test_finding_a_title_by_keyboard_alone(url: str, open_page: Open) -> None:
    page = open_page(url)
    page.keyboard.press("/")
    page.keyboard.type("story")
    options = page.locator("#found").get_by_role("option")
    expect(options).to_have_count(8)
    page.keyboard.press("ArrowDown")
    expect(options.first).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Escape")
    expect(page.locator("#words")).to_have_value("")
    expect(options.first).to_be_hidden()
    page.keyboard.type("STORY 7")  # a whole title is chosen by Enter, however fast it comes
    settled(page, lambda: page.keyboard.press("Enter"))
    expect(page.locator("#taste")).to_contain_text("Story 7")
    expect(page.get_by_role("heading", level=1)).to_have_text("For you")
    for _ in range(40):  # a button of the list is reached by Tab and works by Enter
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className") == "like":
            break
    settled(page, lambda: page.keyboard.press("Enter"))
    expect(page.locator("#taste li")).to_have_count(2)


def test_knobs_and_the_other_recommender(url: str, open_page: Open) -> None:
    page = open_page(url)
    like(page)
    before = titles(page)
    settled(page, lambda: page.locator("#novelty").fill("100"))
    expect(page.locator("#novelty-is")).to_have_text("100%")
    assert titles(page) != before
    settled(page, lambda: page.locator("#novelty").fill("0"))
    settled(page, page.locator("#compare").check)
    expect(page.locator("#other-list .card")).to_have_count(len(before))
    expect(page.locator("#status")).to_contain_text("in both lists")
    expect(page.locator("#list .delta").first).to_have_text(re.compile("same place|[▲▼] \\d+|only here"))
    settled(page, lambda: page.locator("#recommender").select_option("popularity"))
    expect(page.locator("#one-title")).to_have_text("popularity")
    kinds = page.locator("#kinds button")
    settled(page, kinds.first.click)
    expect(kinds.first).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#list .card")).to_have_count(6)


def test_one_request_at_a_time_while_a_slider_is_dragged(url: str, open_page: Open) -> None:
    page = open_page(url)
    like(page)
    sent: list[float] = []
    page.on("request", lambda request: sent.append((request.post_data_json or {}).get("novelty", -1)))
    page.evaluate("""() => {
        const dial = document.getElementById("novelty");
        for (let value = 1; value <= 60; value += 1) { dial.value = value; dial.dispatchEvent(new Event("input")); }
    }""")
    expect(page.locator("#status")).to_contain_text("ms")
    page.wait_for_timeout(200)
    assert [novelty for novelty in sent if novelty >= 0] == [0.01, 0.6]
    assert len(sent) < 6, "nor is the icon fetched again at every step, as when the address changes"


def test_a_link_shows_what_its_sender_saw(url: str, open_page: Open) -> None:
    page = open_page(url)
    like(page)
    like(page)
    settled(page, page.locator("#list .away").first.click)
    settled(page, page.locator("#kinds button").first.click)
    settled(page, lambda: page.locator("#recommender").select_option("item_knn"))
    again = open_page(url, path="/" + page.evaluate("location.hash"))
    assert titles(again) == titles(page)
    broken = open_page(url, path='/#taste=["%5Cud800"]&hidden=[1,{}]&only=null&novelty=x')
    expect(broken.locator("#list .card")).to_have_count(12)
    expect(again.locator("#recommender")).to_have_value("item_knn")
    expect(again.locator("#kinds [aria-pressed=true]")).to_have_count(1)
    expect(again.locator("#hidden")).to_be_visible()
    expect(again.locator("#taste li")).to_have_text(page.locator("#taste li").all_text_contents())


def test_the_top_stands_over_what_is_under_it(url: str, open_page: Open) -> None:
    page = open_page(url, "wall")
    left = {name: page.locator(name).evaluate("box => box.getBoundingClientRect().x") for name in (".finder", "main")}
    assert abs(left[".finder"] - left["main"]) < 12, left  # but for half a scroll bar


@pytest.mark.parametrize("size", ["narrow", "tablet"])
def test_two_lists_stand_side_by_side_on_a_small_screen(url: str, open_page: Open, size: str) -> None:
    page = open_page(url, size, path="/#with=content&taste=[%22i1%22]")
    cards = zip(page.locator("#list .card").all(), page.locator("#other-list .card").all(), strict=True)
    for left, right in cards:
        one, other = left.bounding_box(), right.bounding_box()
        assert one is not None
        assert other is not None
        assert abs(one["y"] - other["y"]) < 1, "what has the same rank has the same height on the page"
        assert one["x"] + one["width"] <= other["x"]
        assert one["height"] < 140
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
    for text in page.locator(".rows h3, .rows .delta, .rows button").all():
        assert text.evaluate("box => box.scrollWidth <= box.clientWidth + 1"), text.inner_text()


def test_a_tap_leaves_nothing_lifted(url: str, open_page: Open) -> None:
    page = open_page(url, "narrow", has_touch=True, is_mobile=True)
    face = page.locator("#list .face").first
    still = face.evaluate("face => getComputedStyle(face).transform")
    face.hover()
    assert face.evaluate("face => getComputedStyle(face).transform") == still
    why = page.get_by_role("button", name=re.compile("^Why ")).first
    colour = why.evaluate("button => getComputedStyle(button).backgroundColor")
    why.hover()
    assert why.evaluate("button => getComputedStyle(button).backgroundColor") == colour


def test_a_place_is_by_validation_and_a_number_from_the_test(
    run: Run, sqlite: SQLiteStore, open_page: Open, serve_app: Served
) -> None:
    """The second on validation may be the first in the test."""
    board = [{"name": name, "values": {"ndcg@10": value}} for name, value in (("content", 0.295), ("ease", 0.288))]
    judged = dataclasses.replace(run, report={"leaderboard": board})
    with serve_app(create_app(Service([judged], sqlite))) as address:
        page = open_page(address)
        expect(page.locator("#ranking")).to_have_text("First of 4 by validation, ndcg@10 0.288 in the test.")
        settled(page, lambda: page.locator("#recommender").select_option("content"))
        expect(page.locator("#ranking")).to_have_text("Number 2 of 4 by validation, ndcg@10 0.295 in the test.")


def test_codes_are_said_in_words_and_choices_have_names(url: str, open_page: Open) -> None:
    page = open_page(url)
    for name in ("Recommender", "Novelty", "Diversity"):
        expect(page.locator("#settings").get_by_text(name, exact=True)).to_be_visible()
    late: dict[str, object] = {
        "items": [],
        "source": "popular",
        "run": "toy",
        "recommender": "ease",
        "fallback": "model_late",
    }
    page.route("**/v1/recommendations", lambda route: route.fulfill(json=late))
    page.locator("#list .like").first.click()
    expect(page.locator("#status")).to_contain_text("the recommender took too long")
    expect(page.locator("#list")).to_have_text("Nothing is left to recommend.")
    page.unroute("**/v1/recommendations")


@pytest.fixture(scope="module")
def nasty_url(run: Run, tmp_path_factory: pytest.TempPathFactory, serve_app: Served) -> Iterator[str]:
    items = run.dataset.items
    items = items.set_column(items.column_names.index("title"), "title", pa.array(NASTY))
    nasty = dataclasses.replace(run, name="<b>run</b>", dataset=dataclasses.replace(run.dataset, items=items))
    service = Service([nasty], SQLiteStore(tmp_path_factory.mktemp("nasty") / "events.sqlite"))
    with serve_app(create_app(service)) as address:
        yield address


@pytest.mark.parametrize("size", ["wide", "tablet", "narrow"])
def test_text_stays_text_and_in_its_place(nasty_url: str, open_page: Open, size: str) -> None:
    page = open_page(nasty_url, size)
    assert page.locator("#list .card").count() == 12
    for at in range(4):
        like(page, at)
    page.get_by_role("button", name=re.compile("^Why ")).first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    page.locator("#words").fill("a")
    expect(page.locator("#found")).to_be_visible()
    assert page.title() == "GENRE"
    assert page.locator("#list script, #list img, main script").count() == 0
    assert page.locator("#list").get_by_role("button", name="I like i10", exact=True).count() == 1, (
        "a title of nothing gives way to the id"
    )
    shown = " ".join(titles(page)) + page.locator("#taste").inner_text()
    assert "<script>document.title" in shown
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= SIZES[size][0], "nothing sticks out"
    for box in page.locator("#list .card").all():
        inside = box.bounding_box()
        assert inside is not None
        assert inside["x"] >= 0
        assert inside["x"] + inside["width"] <= SIZES[size][0]


@pytest.mark.parametrize(
    ("world", "size", "scheme"), [("url", "wide", "light"), ("url", "narrow", "dark"), ("nasty_url", "narrow", "light")]
)
def test_axe_finds_no_fault(
    open_page: Open, request: pytest.FixtureRequest, world: str, size: str, scheme: str
) -> None:
    page = open_page(request.getfixturevalue(world), size, scheme)

    def faults() -> list[str]:
        return axe_faults(page)

    assert faults() == []
    like(page)
    like(page)
    settled(page, page.locator("#list .away").first.click)
    page.locator("#words").fill("castles")
    settled(page, lambda: page.locator("#words").press("Enter"))
    if size == "narrow":
        page.locator("#settings summary").click()
    settled(page, page.locator("#compare").check)
    assert faults() == []
    page.get_by_role("button", name=re.compile("^Why ")).first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert faults() == []


def test_the_search_covers_no_link_on_a_tablet(url: str, open_page: Open) -> None:
    page = open_page(url, "tablet")
    page.locator("#report").evaluate("link => (link.hidden = false)")  # there where the run has a report
    search, links = (page.locator(one).bounding_box() for one in (".finder", ".links"))
    assert search is not None
    assert links is not None
    assert 200 < search["width"] <= links["x"] - search["x"]


def test_light_and_dark_can_be_changed(url: str, open_page: Open) -> None:
    page = open_page(url, scheme="dark")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.locator("#theme").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark


def test_trouble_is_shown_and_passes(url: str, open_page: Open, browser: Browser) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(url)
    expect(page.locator("body[data-ready]")).to_be_attached()
    page.route("**/v1/recommendations", lambda route: route.fulfill(status=503, json={"error": "x", "detail": "Busy."}))
    page.locator("#list .like").first.click()
    expect(page.get_by_role("alert")).to_have_text("Busy.")
    page.unroute("**/v1/recommendations")
    page.locator("#list .like").nth(1).click()
    expect(page.get_by_role("alert")).to_be_hidden()
    context.close()


@pytest.fixture(scope="module")
def films_url(tmp_path_factory: pytest.TempPathFactory, serve_app: Served) -> Iterator[str]:
    data = genre.load("movielens-100k")
    folder = tmp_path_factory.mktemp("films")
    made = {"ease": EASE().fit(data), "item_knn": ItemKNN().fit(data), "popularity": Popularity().fit(data)}
    with serve_app(create_app(Service([Run(folder, "movies", data, made)], SQLiteStore(folder / "events")))) as address:
        yield address


def test_a_link_holds_a_long_taste_in_its_order(films_url: str, open_page: Open) -> None:
    chosen = [str(number) for number in range(60, 20, -1)]
    page = open_page(films_url, path=f"/#taste={json.dumps([*chosen, 'gone'])}")
    shown = page.locator("#taste li").evaluate_all("chips => chips.map((chip) => chip.dataset.id)")
    assert shown == chosen


def test_the_pictures_of_the_manual(films_url: str, open_page: Open, request: pytest.FixtureRequest) -> None:
    """On real films; `make golden` takes the pictures anew."""
    pictures = Path(__file__).parents[2] / "docs" / "images" if request.config.getoption("--golden") else None
    chosen = ("Star Wars (1977)", "Fargo (1996)", "Toy Story (1995)")
    for size, scheme in (("wide", "light"), ("wide", "dark"), ("narrow", "light")):
        page = open_page(films_url, size, scheme)
        for name in chosen:
            page.locator("#words").fill(name)
            option = page.locator("#found").get_by_role("option").first
            expect(option).to_contain_text(name)
            settled(page, option.click)
        assert not set(chosen) & set(titles(page))
        expect(page.locator("#list .reason").first).to_contain_text(re.compile("Because of (Star|Fargo|Toy)"))
        if scheme == "dark":
            settled(page, page.locator("#compare").check)
            page.evaluate("scrollTo(0, 0)")
        page.mouse.move(0, 0)
        page.evaluate("document.activeElement.blur()")
        shown = page.screenshot()
        assert len(shown) > 50_000
        if pictures is not None:
            pictures.mkdir(exist_ok=True)
            (pictures / f"page-{size}-{scheme}.png").write_bytes(shown)
