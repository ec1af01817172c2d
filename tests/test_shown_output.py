"""What documents print is what a fresh run prints: the README, the first steps, the how-tos, the pages of examples."""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import yaml
from fastapi.testclient import TestClient

import genre
from genre.cli.main import main
from genre.config.serving_options import OnlineExperiment
from genre.serving.dialogues import DialogueTurn
from genre.serving.events.opening import default_store_path
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.events.store import Event, ServedList
from genre.serving.experiment_log import start_experiment
from genre.serving.http.app import create_app
from genre.serving.service import Service
from shown_output import ROOT, Shell, check_shown, fenced
from sizes import NIGHTLY

HOW_TO = ROOT / "docs" / "how-to"
EXAMPLES = sorted((ROOT / "examples").glob("*/README.md"))
PRINTING = [ROOT / "README.md", ROOT / "README.zh-CN.md", ROOT / "docs" / "start.md", ROOT / "docs" / "serving.md"]
PRINTING += [HOW_TO / f"{name}.md" for name in ("agents", "experiments", "ingest", "operate")]
"""Pages with outputs, each with a test below."""
JSON = {"content-type": "application/json"}
DAY = 86_400
SHOWN_AT_START = ("popularity", "content", "rating_factors")


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path, capsys)


@pytest.fixture(scope="module")
def made_films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of MovieLens-100K with popular items and EASE."""
    folder = tmp_path_factory.mktemp("films")
    config = "name: movies\ndata: {kind: movielens-100k}\nrecommenders: [{kind: popularity}, {kind: ease}]\n"
    (folder / "movies.yaml").write_text(config + "evaluation: {metrics: [ndcg]}\noutput: {users: []}\n")
    return genre.run(folder / "movies.yaml", runs=folder).folder


@pytest.fixture
def films(made_films: Path, shell: Shell) -> Path:
    """The run under the name that the documents give it."""
    return Path(shutil.copytree(made_films, shell.folder / "runs" / "movies-1a2b3c4d")).relative_to(shell.folder)


def with_service(shell: Shell, run: Path) -> None:
    """Let `curl`, and `jq` behind it, reach a service of the run."""
    store = SQLiteStore(shell.folder / default_store_path(run))
    service = Service([genre.read_run(run)], store)
    service.warm()
    client = TestClient(create_app(service))

    def curl(words: list[str]) -> str:
        head, _, field = " ".join(words).partition(" | jq .")
        address = re.search(r"localhost:8000(\S*)", head)
        assert address is not None, head
        body = words[words.index("-d") + 1] if "-d" in words else None
        answer = client.request("GET" if body is None else "POST", address[1], content=body, headers=JSON)
        assert answer.is_success, answer.text
        return json.dumps(answer.json()[field] if field else answer.json())

    shell.programs["curl"] = curl


def test_no_page_shows_an_output_that_no_test_compares() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]
    with_output = {page for page in pages if {"text", "console"} & {language for language, _ in fenced(page)}}
    in_step = {page for page in with_output if page.parent.name == "zh"}  # tests/test_chinese_pages.py
    assert with_output - in_step == {*EXAMPLES, *PRINTING}


def test_the_readme(shell: Shell) -> None:
    page = ROOT / "README.md"
    assert shell.walk(page, "In Python") == 1
    (make,) = re.findall(r"`(python examples/shop/make\.py [^`]+)`", page.read_text("utf-8"))
    shell.run(make.replace("examples", str(ROOT / "examples")))
    assert shell.walk(page, "On the command line", skip=("genre serve",)) == 1


def without_comments(text: str) -> str:
    return re.sub(r" *#.*", "", text)


def test_the_chinese_readme_runs_and_prints_the_same() -> None:
    same = [
        [(language, without_comments(text)) for language, text in fenced(ROOT / name)][:5]
        for name in ("README.md", "README.zh-CN.md")
    ]
    assert same[0] == same[1]


def test_the_first_steps(shell: Shell) -> None:
    """By day the run has the recommenders alone of which the page shows something."""

    def leave_some() -> None:
        config = yaml.safe_load(Path("genre.yaml").read_text("utf-8"))
        kept = [one for one in config["recommenders"] if one["kind"] in SHOWN_AT_START]
        Path("genre.yaml").write_text(yaml.safe_dump(config | {"recommenders": kept}), encoding="utf-8")

    if not NIGHTLY:
        shell.before["run"] = leave_some
    assert shell.walk(ROOT / "docs" / "start.md", skip=("genre serve",)) == 4


def test_events_from_a_file(shell: Shell, films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {"user_id": f"{at % 900 + 1}", "item_id": "50", "kind": "click", "event_id": f"e{at}"} for at in range(1000)
    ]
    rows[96]["kind"] = "clack"
    (shell.folder / "events.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with closing(SQLiteStore(default_store_path(films))) as store:
        store.record([Event("11", "50", 1.0, 5, "e10", kind="click")])

    def repair(words: list[str]) -> str:
        assert words[:2] == ["-r", ".line"]
        assert words[3:7] == ["|", "sed", "s/clack/click/", "|"]
        lines = [json.loads(row)["line"] for row in Path(words[2]).read_text().splitlines()]
        Path("repaired.jsonl").write_text("\n".join(lines).replace("clack", "click") + "\n")
        with Path("repaired.jsonl").open() as piped:
            monkeypatch.setattr(sys, "stdin", piped)
            main(words[8:])
        return "".join(shell.capsys.readouterr())

    shell.programs["jq"] = repair
    assert shell.walk(HOW_TO / "ingest.md", "What is rejected") == 2


def test_what_an_experiment_found(shell: Shell, films: Path) -> None:
    begin = int(time.time()) - 20 * DAY

    def at(user: int) -> int:
        return begin + user % 18 * DAY

    arms = {"movies": (0.10, 1824), "movies-sasrec": (0.17, 1808)}
    with closing(SQLiteStore(default_store_path(films))) as store:
        shares = dict.fromkeys(arms, 0.5)
        start_experiment(store, OnlineExperiment(name="sasrec-in-december", arms=shares, planned=3000), begin)
        for run, (rate, n) in arms.items():
            store.put_lists(
                [
                    ServedList(f"{run}{u}", f"{run}{u}", run, "ease", "personal", None, ("50",), (), at(u), 0.01)
                    for u in range(n)
                ]
            )
            bought = [u for u in range(n) if u % 100 < 100 * rate]
            store.record([Event(f"{run}{u}", "50", 1.0, at(u) + 9, kind="buy") for u in bought])
    assert shell.walk(HOW_TO / "experiments.md", "An experiment") == 1


def test_a_list_over_http(shell: Shell, films: Path) -> None:
    with_service(shell, films)
    page = ROOT / "docs" / "serving.md"
    (block,) = [text for language, text in fenced(page) if language == "console" and "curl" in text]
    assert shell.walk_console(block, page) == 1


def test_a_dialogue(films: Path) -> None:
    page = HOW_TO / "agents.md"
    (shown,) = [text for language, text in fenced(page) if language == "text"]
    with closing(SQLiteStore(default_store_path(films))) as store:
        service = Service([genre.read_run(films)], store)
        fresh, before, dialogue = list[str](), dict[str, str](), None
        for sentence in re.findall(r"^user: (.*)$", shown, re.M):
            turn = service.converse(sentence, dialogue_id=dialogue, k=2)
            dialogue, now = turn.dialogue_id, facts_of(turn)
            changed = [f"  {name:<11} {value}" for name, value in now.items() if value != before.get(name)]
            fresh, before = [*fresh, f"user: {sentence}", *changed], now
    check_shown(shown, "\n".join(fresh), page.name)


def facts_of(turn: DialogueTurn) -> dict[str, str]:
    """What a turn answers, in the words of the document."""
    facts = {"understood": " · ".join(turn.understood), "candidates": str(turn.candidates)}
    if turn.nothing_fits:
        left = [f"{one.condition} ({one.candidates} left)" for one in turn.give_up]
        return facts | {"nothing_fits": "true", "give_up": " · ".join(left)}
    facts["question"] = "none" if turn.question is None else turn.question.text
    facts["items"] = " · ".join(item["title"] for item in turn.items)
    return facts


WARES = "name: shop\ndata: {kind: files, interactions: sold.csv, items: wares.csv}\nsplit: {kind: random}\n"
WARES += "recommenders: [{kind: popularity, half_life_days: 5}]\noutput: {users: []}\n"


def test_a_pushed_item_is_held_back_and_operators_see_it(shell: Shell) -> None:
    draw = np.random.default_rng(0)
    taken = [(f"u{at // 10}", item, at % 30) for at, item in enumerate(draw.geometric(0.06, 2000) % 40 + 1195)]
    rows = [f"{user},{item},{day * DAY + 1_700_000_000}" for user, item, day in taken if item != 1234]
    (shell.folder / "sold.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows, f"u0,1234,{1_700_000_000}"]))
    wares = [f"{item},{'Cold Fire' if item == 1234 else f'Ware {item}'}" for item in range(1195, 1235)]
    (shell.folder / "wares.csv").write_text("\n".join(["item_id,title", *wares]))
    (shell.folder / "shop.yaml").write_text(WARES)
    made = genre.run("shop.yaml").folder
    run = Path(shutil.move(made, made.with_name("shop-1a2b3c4d")))
    with closing(SQLiteStore(default_store_path(run))) as store:
        store.record([Event(f"x{at}", "1234", 1.0, 1_700_000_000 + 60 * DAY) for at in (1, 2, 3)])
    page = ROOT / "docs" / "serving.md"
    (block,) = [text for language, text in fenced(page) if language == "console" and "refresh" in text]
    assert shell.walk_console(block, page) == 1
    with_service(shell, run)
    assert shell.walk(HOW_TO / "operate.md", "The routes behind it") == 1


@pytest.mark.skipif(not NIGHTLY, reason="the full sizes of the examples take half a CPU minute")
@pytest.mark.parametrize("page", EXAMPLES, ids=lambda page: page.parent.name)
def test_the_page_of_an_example(page: Path, shell: Shell) -> None:
    shutil.copytree(page.parent, shell.folder / "examples" / page.parent.name)
    outputs = sum(language == "text" for language, _ in fenced(page))
    assert shell.walk(page, skip=("genre serve",)) == outputs >= 1
