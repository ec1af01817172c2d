"""The report: every chart shows the values of the run, the page holds them all, and Chromium draws them."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genre.config.experiment import EvaluationOptions
from genre.errors import NotAvailable
from genre.evaluation import charts
from genre.evaluation.comparison import pairwise_p_values
from genre.evaluation.evaluator import evaluate
from genre.evaluation.leaderboard import leaderboard
from genre.evaluation.report import write_report
from genre.evaluation.results import Evaluation
from genre.evaluation.tuning import Trial, TuningResult
from genre.pipeline import run
from genre.preprocessing.splits import RandomSplit
from genre.recommenders.ease import EASE
from genre.recommenders.popularity import Popularity
from genre.studies import tune_config
from genre.testing import toy_dataset
from watched_pages import axe_faults

CHROMIUM = Path("/usr/bin/chromium")
SEARCH = TuningResult(
    name="ease",
    metric="ndcg@5",
    options={"regularization": 12.0, "seed": 0},
    value=0.5,
    first=None,
    trials=(
        Trial({}, None, "fail", 0.1),
        Trial({"regularization": 900.0}, 0.4, "complete", 0.1),
        Trial({"regularization": 3.0}, None, "pruned", 0.1),
        Trial({"regularization": 12.0}, 0.5, "complete", 0.1),
        Trial({"regularization": 14.0}, 0.45, "complete", 0.1),
    ),
    importances={"regularization": 0.9, "neighbours": 0.1},
)


CURVE = [{"users": 10, "value": 0.2, "interval": [0.1, 0.4]}, {"users": 20, "value": 0.3, "interval": None}]


@pytest.fixture(scope="module")
def evaluations() -> dict[str, Evaluation]:
    split = RandomSplit(validation=0.2, test=0.2).split(toy_dataset(60, 40))
    models = {"ease": EASE(10.0).fit(split.train), "<b>popular</b>": Popularity().fit(split.train)}
    options: dict[str, Any] = {"k": 5, "metrics": EvaluationOptions().metrics, "train": split.train}
    found = {name: evaluate(model, split.test, name=name, **options) for name, model in models.items()}
    return {name: one.with_cost(fit_cpu_s=0.1, peak_mib=90, bytes_on_disk=1000) for name, one in found.items()}


@pytest.fixture(scope="module")
def report(evaluations: dict[str, Evaluation]) -> dict[str, Any]:
    found = list(evaluations.values())
    p = pairwise_p_values(found, "ndcg@5").tolist()
    epochs = [{"event": "epoch", "epoch": at, "loss": 1 / at, "ndcg@5": 0.1 * at, "seconds": 1} for at in (1, 2, 3)]
    made = {
        "name": "small",
        "genre": "0",
        "seconds": 1.0,
        "data": {
            "name": "toy",
            **dict.fromkeys(("users", "items", "interactions", "train", "validation", "test"), 60),
            "cleaning": {"before": 900, "after": 900, "steps": [], "facts": ["nothing"]},
            "solvable": {"lines": ["transitions: 31.0% of the test targets"]},
            "too_little": ["20 users in train"],
        },
        "primary": "ndcg@5",
        "best": "ease",
        "leaderboard": leaderboard(found),
        "significance": {"label": "ndcg@5", "names": list(evaluations), "p": p},
        "tuning": [SEARCH.as_dict()],
        "language_model": {"augmentation": {}, "reranking": {}, "explanations": {}},
        "training": {"ease": epochs},
        "learning_curve": {"name": "ease", "metric": "ndcg@5", "every": 60, "points": CURVE},
        "steps": [{"step": "fitted", "model": "ease", "cpu_seconds": 1.0, "seconds": 2.0, "peak_mib": 90}],
        "examples": [{"user_id": "u1", "history_length": 3, "liked": ["A"], "recommended": []}],
    }
    return json.loads(json.dumps(made))


def traces(chart: Any) -> list[dict[str, Any]]:
    return list(chart["figure"]["data"])


def test_every_chart_is_there(report: dict[str, Any], evaluations: dict[str, Evaluation]) -> None:
    made = charts.all_charts(report, evaluations)
    names = ["leaderboard", "cost", "lengths", "popularity", "significance", "search", "importances", "losses"]
    assert list(made) == [*names, "curve"]
    json.dumps(made, allow_nan=False)


def test_recall_by_popularity(report: dict[str, Any], evaluations: dict[str, Evaluation]) -> None:
    chart = charts.all_charts(report, evaluations)["popularity"]
    assert chart["title"] == "recall@5 by popularity of items"
    for trace in traces(chart):
        bands = evaluations[trace["name"]].by_popularity
        known = {band: found for band, found in bands.items() if found["targets"]}
        assert trace["y"] == [found["recall"] for found in known.values()]
        assert [title.partition("<br>")[0] for title in trace["x"]] == list(known)
        assert f"{known[next(iter(known))]['targets']:,} target" in trace["x"][0]
    ratings = {name: dataclasses.replace(found, by_popularity={}) for name, found in evaluations.items()}
    assert "popularity" not in charts.all_charts(report, ratings)


def test_the_search_shows_every_trial_and_the_best_so_far(report: dict[str, Any]) -> None:
    chart = charts.search_chart(report, {"ease": "#123456"})
    line, dots = traces(chart)
    assert (line["x"], line["y"]) == ([1, 2, 3, 4, 5], [None, 0.4, 0.4, 0.5, 0.5])
    assert (dots["x"], dots["y"]) == ([2, 4, 5], [0.4, 0.5, 0.45])
    assert dots["text"][0] == "regularization: 900"
    assert SEARCH.chosen == {"regularization": 12.0}, "and not what was never searched"
    assert line["line"]["color"] == dots["marker"]["color"] == "#123456"
    for nothing in ({}, {"tuning": []}):
        assert charts.search_chart(nothing, {}) is None
        assert charts.importances_chart(nothing, {}) is None
    few = {"tuning": [{**SEARCH.as_dict(), "importances": {}}]}
    assert charts.importances_chart(few, {}) is None


def test_the_learning_curve_has_intervals(report: dict[str, Any]) -> None:
    chart = charts.curve_chart(report, {})
    (line,) = traces(chart)
    assert (line["x"], line["y"]) == ([10, 20], [0.2, 0.3])
    assert line["error_y"]["array"] == pytest.approx([0.2, 0])
    assert line["error_y"]["arrayminus"] == pytest.approx([0.1, 0])
    assert "of 60 (train_users)" in chart["about"]  # type: ignore[index]
    assert charts.curve_chart({"learning_curve": {}}, {}) is None


def test_importances_have_the_largest_on_top(report: dict[str, Any]) -> None:
    (bars,) = traces(charts.importances_chart(report, {}))
    assert bars["y"] == ["ease: neighbours", "ease: regularization"], "Plotly draws from below"
    assert bars["x"] == [0.1, 0.9]


def test_every_pair_has_its_p(report: dict[str, Any], evaluations: dict[str, Evaluation]) -> None:
    (heat,) = traces(charts.all_charts(report, evaluations)["significance"])
    assert heat["z"] == report["significance"]["p"]
    assert heat["z"][0][1] == heat["z"][1][0]
    assert [row[at] for at, row in enumerate(heat["text"])] == ["", ""], "nothing is compared with itself"
    (edge, grey), (end, same) = heat["colorscale"][-2:]
    assert (edge * heat["zmax"], end, grey) == (0.05, 1, same), "green is what is real at 5 %, and nothing beyond"
    alone = {**report, "significance": {**report["significance"], "names": ["ease"]}}
    assert charts.significance_chart(alone) is None


def test_charts_of_many_recommenders_show_the_best_and_say_so(
    report: dict[str, Any], evaluations: dict[str, Evaluation]
) -> None:
    many = {f"ease-{n}": evaluations["ease"] for n in range(17)}
    pairs = {"names": list(many), "p": [[0.01] * 17] * 17}
    drawn = charts.all_charts(report | {"significance": pairs}, evaluations | many)
    for name in ("lengths", "popularity"):
        assert len(drawn[name]["figure"]["data"]) == 8
        assert f"The best 8 of {17 + len(evaluations)} recommenders." in drawn[name]["about"]
    assert drawn["significance"]["figure"]["data"][0]["texttemplate"] == "", "such small print cannot be read"


def test_a_missing_package_is_named(
    report: dict[str, Any], evaluations: dict[str, Evaluation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(NotAvailable, match=r"the report needs plotly.offline: pip install 'genre-rec\[report\]'"):
        write_report(tmp_path / "report.html", report, evaluations, diagram="", config="")


def test_cold_start_and_costs_are_shown(
    report: dict[str, Any], evaluations: dict[str, Evaluation], tmp_path: Path
) -> None:
    write_report(tmp_path / "report.html", report, evaluations, diagram="graph LR; a-->b", config="")
    page = " ".join((tmp_path / "report.html").read_text("utf-8").partition("Cold start and cost")[2][:3000].split())
    counts = evaluations["ease"].counts
    assert f"{counts['users']:,} users with {counts['targets']:,} relevant items were evaluated" in page
    assert f"{counts['cold_users']} of the users and {counts['cold_items']} of the items" in page
    warm = f"{evaluations['ease'].warm['ndcg@5']:.4f}".removeprefix("0")
    assert f"<td>{warm}</td><td>.1000</td><td>90</td><td>.0010</td>" in page


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM.exists():
        pytest.skip("Chromium is not installed: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as running:
        made = running.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        yield made
        made.close()


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (820, "light"), (1280, "light"), (1280, "dark")])
def test_chromium_draws_it(
    report: dict[str, Any], evaluations: dict[str, Evaluation], browser: Any, scheme: str, width: int, tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    first, second = report["leaderboard"]
    marked = report | {"best": second["name"], "leaderboard": [first, second | {"tied_with_best": True}]}
    write_report(path, marked, evaluations, diagram="graph LR; a-->b", config="<script>alert(1)</script>")
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("dialog", lambda dialog: troubles.append(dialog.message))
    page.on("request", lambda request: troubles.append(request.url) if request.url.startswith("http") else None)
    page.set_default_timeout(120_000)  # 8 MB of scripts, on a busy machine
    page.goto(path.as_uri())
    page.wait_for_selector("#chart-curve .main-svg")
    assert page.get_by_role("heading", level=1).inner_text() == f"Use {second['name']}"
    assert page.locator(".against").inner_text().endswith(f"{first['name']} at 5 %")
    drawn = page.eval_on_selector_all(".chart", "all => all.filter(c => c.querySelector('.main-svg')).length")
    assert drawn == page.locator(".chart").count() == 9
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out"
    cut = "all => all.filter(box => box.scrollWidth > box.clientWidth).length"
    assert width < 1280 or page.eval_on_selector_all(".scroll", cut) == 0, "a wide screen shows whole tables"
    drawn_wide = page.locator("pre.mermaid svg").bounding_box()
    assert drawn_wide is not None
    assert width > 560 or drawn_wide["width"] >= 720, "a phone scrolls through the diagram and can read it"
    for title in ("Hyperparameter tuning", "Which options matter", "recall@5 by popularity of items"):
        assert page.get_by_role("heading", name=title).count() == 1
    assert axe_faults(page) == []
    assert troubles == []
    page.close()


def test_bars_are_as_strong_as_they_have_users_and_have_intervals(
    report: dict[str, Any], evaluations: dict[str, Evaluation]
) -> None:
    for chart in ("lengths", "popularity"):
        for trace in traces(charts.all_charts(report, evaluations)[chart]):
            counts = [int(title.partition("<br>")[2].split()[0].replace(",", "")) for title in trace["x"]]
            strengths = trace["marker"]["opacity"]
            assert sorted(zip(counts, strengths, strict=True)) == sorted(
                zip(sorted(counts), sorted(strengths), strict=True)
            )
            assert max(strengths) == 1
            assert min(strengths) >= 0.15
            ends = zip(trace["y"], trace["error_y"]["arrayminus"], trace["error_y"]["array"], counts, strict=True)
            for value, down, up, n in ends:
                if chart == "lengths" and n == 1:
                    assert (down, up) == (None, None)
                elif value is not None:
                    assert down >= 0
                    assert up >= 0
                    assert value - down >= -1e-9


def test_the_report_has_the_colours_of_the_page() -> None:
    """Both open by themselves, so the colours stand in both."""
    pattern = re.compile(r"--(paper|card|ink|soft|line|press|accent|serif|sans|round): ([^;]+);")
    page = files("genre.serving.http").joinpath("web", "style.css").read_text("utf-8")
    own = files("genre.evaluation").joinpath("report.html").read_text("utf-8")
    found = set(pattern.findall(own.partition("</style>")[0]))
    assert len(found) == 17
    assert found <= set(pattern.findall(page))


def test_a_tuned_config_shows_its_search_in_its_report(tmp_path: Path) -> None:
    data = toy_dataset(30, 20)
    columns = (data.user_ids.take(data.user), data.item_ids.take(data.item), range(len(data)))
    rows = [f"{user},{item},{at}" for user, item, at in zip(*columns, strict=True)]
    (tmp_path / "interactions.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]))
    (tmp_path / "small.yaml").write_text(
        "name: small\ndata: {kind: files, interactions: interactions.csv}\nsplit: {kind: random}\n"
        "recommenders: [{kind: ease, regularization: 7}, {kind: popularity, window_days: 5}]\n"
        "evaluation: {k: 5, metrics: [ndcg]}\noutput: {users: [u0], k: 3}\n"
    )
    (search, _), tuned = tune_config(tmp_path / "small.yaml", runs=tmp_path / "runs", trials=1)
    assert search.trials[0].options["regularization"] == 7, "what the config says is tried first"
    assert "regularization: 7" in tuned.read_text(), "nothing beat it, so it stays"
    made = run(tuned, runs=tmp_path / "runs")
    assert [found["name"] for found in made.report["tuning"]] == ["ease", "popularity"]
    assert "Hyperparameter tuning" in (made.folder / "report.html").read_text("utf-8")
    plain = run(tmp_path / "small.yaml", runs=tmp_path / "runs")
    assert plain.folder != made.folder
    assert plain.report["tuning"] == []


def test_names_in_a_chart_cover_no_other_name_and_no_point() -> None:
    apart = charts.places_of_names(np.array([0.0, 1, 2]), np.array([0.1, 0.5, 0.9]), ["als", "blend", "ease"], 0.3)
    assert apart == ["top center"] * 3
    close = charts.places_of_names(np.array([0.0, 0.01, 2]), np.array([0.1, 0.1, 0.9]), ["als", "blend", "ease"], 0.3)
    assert close == ["top center", "bottom center", "top center"]
    crowd = charts.places_of_names(np.zeros(7), np.zeros(7), list("abcdefg"), 0.3)
    assert crowd.count("") >= 2
    assert "" not in charts.places_of_names(np.zeros(1), np.ones(1), ["alone"], 0.0)
