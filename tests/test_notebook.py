"""What a notebook shows, frames in and out, and ids where a person has ids."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import genre
from genre.display import Display
from genre.evaluation.evaluator import evaluate_lists
from genre.testing import toy_dataset
from small_world import story_run

ROOT = Path(__file__).parents[1]
DATA = toy_dataset()
MODEL = genre.EASE(regularization=5).fit(DATA)
COLUMNS = {
    "who": [f"u{user}" for user in range(8) for _ in range(3)],
    "what": [f"i{(user + at) % 6}" for user in range(8) for at in range(3)],
    "when": list(range(24)),
}
NAMES = {"item_id": [f"i{item}" for item in range(6)], "title": [f"<b>Story & {item}</b>" for item in range(6)]}


def frames(library: str) -> tuple[Any, Any]:
    make = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.table}[library]
    return make(COLUMNS), make(NAMES)


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_a_frame_comes_back_in_the_library_it_came_in(library: str) -> None:
    events, items = frames(library)
    data = genre.load(events, items=items, columns={"user": "who", "item": "what", "timestamp": "when"})
    model = genre.EASE(regularization=1).fit(data)
    frame = model.recommend(data.history(["u3", "u0"]), k=2).to_frame()
    assert type(frame) is type(events)
    table = frame.to_arrow() if library == "polars" else pa.Table.from_pandas(frame) if library == "pandas" else frame
    assert table.column_names[:6] == ["user_id", "rank", "item_id", "title", "score", "reason"]
    assert table["user_id"].to_pylist() == ["u3", "u3", "u0", "u0"]
    assert table["rank"].to_pylist() == [1, 2, 1, 2]
    assert table["title"].to_pylist()[0] == f"<b>Story & {table['item_id'].to_pylist()[0][1:]}</b>"
    assert all("Story &" in reason or reason for reason in table["reason"].to_pylist())


def test_a_recommender_that_was_read_back_takes_titles_from_a_dataset(tmp_path: Path) -> None:
    MODEL.save(tmp_path / "ease")
    read = genre.Recommender.load(tmp_path / "ease").recommend(["i0", "i2"], k=2)
    first = read.to_frame()
    assert list(first.columns) == ["list", "rank", "item_id", "title", "score"]
    assert list(first["title"]) == list(first["item_id"]), "no titles are saved with it"
    with_titles = read.to_frame(DATA)
    pd.testing.assert_frame_equal(with_titles, MODEL.recommend(["i0", "i2"], k=2).to_frame())
    assert list(with_titles["reason"]) == ["because of Story 0 and Story 2"] * 2 or "Story" in with_titles["reason"][0]


def test_ids_are_taken_wherever_rows_are() -> None:
    rows = np.array([0, 2], np.int32)
    assert DATA.history(["u4", "u1"]).user.tolist() == [4, 1]
    history = MODEL.history_of(["i0", "i2"])
    np.testing.assert_array_equal(MODEL.score(["i0", "i2"]), MODEL.score(history))
    assert MODEL.similar_items(["i0", "i2"], k=3).item.tolist() == MODEL.similar_items(rows, k=3).item.tolist()
    assert MODEL.explain(["i0", "i2"], ["i4"]) == MODEL.explain(history, [4])
    only = MODEL.recommend(["i0"], k=5, candidates=["i4", "i7"])
    assert sorted(only.ids()) == ["i4", "i7"]
    train, _, test = genre.split(DATA)
    lists = genre.EASE().fit(train).recommend(test.context.history(), k=3)
    ids = [lists.ids(row) for row in range(len(lists))]
    given = evaluate_lists(np.array(ids), test, users=DATA.user_ids[:], k=3).values
    assert given == evaluate_lists(lists, test, k=3).values


def test_an_evaluation_prints_as_a_table() -> None:
    train, _, test = genre.split(DATA)
    result = genre.evaluate(genre.EASE().fit(train), test, k=5, metrics=["ndcg", "coverage"])
    head, columns, ndcg, coverage, note = str(result).splitlines()
    low, high = result.intervals["ndcg@5"]
    assert head == f"EASE: {len(result.users)} users"
    assert columns.split("  ")[0] == "metric"
    values = [f"{value:.4f}" for value in (result.values["ndcg@5"], low, high)]
    assert ndcg.split() == ["ndcg@5", *values, "-"], "every target is of a cold user"
    assert coverage.split()[2:4] == ["-", "-"], "it has no value for a user"
    assert "targets" in note
    assert repr(result) == f"Evaluation('EASE': {len(result.users)} users, ndcg@5 {result.values['ndcg@5']:.4f})"


def test_everything_shown_in_a_notebook_is_small_and_escaped() -> None:
    events, items = frames("polars")
    data = genre.load(events, items=items, columns={"user": "who", "item": "what", "timestamp": "when"})
    parts = genre.split(data)
    model = genre.EASE().fit(data)
    shown = [data, parts, model.recommend(data.history(), k=3), model.similar_items(["i0"], k=3)]
    shown.append(genre.evaluate(model, parts.test, k=3))
    for value in shown:
        html = value._repr_html_()
        assert html.startswith("<table>")
        assert len(html) < 8000
        assert "<b>" not in html
        assert len(repr(value)) < 120
    assert "&lt;b&gt;Story &amp; 0&lt;/b&gt;" in data._repr_html_()
    assert "more rows; `to_frame()` has them all" in str(shown[2])


def test_a_cell_is_one_short_line() -> None:
    shown = Display("x", ("a", "b"), [["two\nlines", 1], ["y" * 500, None]])
    assert [len(line) < 100 for line in shown.text().splitlines()] == [True] * 4


def test_a_run_recommends_to_a_list_of_users_and_shows_its_leaderboard(tmp_path: Path) -> None:
    run = genre.read_run(story_run(tmp_path))
    frame = run.recommend(["u3", "u0"], k=2)
    assert list(frame.columns) == ["user_id", "rank", "item_id", "title", "score", "reason"]
    assert list(frame["user_id"]) == ["u3", "u3", "u0", "u0"]
    pd.testing.assert_frame_equal(
        frame[frame["user_id"] == "u0"].drop(columns=["user_id", "rank"]).reset_index(drop=True),
        run.recommend("u0", k=2),
    )
    html = run._repr_html_()
    assert "<td" in html
    assert "ease" in html
    assert "ndcg@3" in html
    assert repr(run).startswith("Run('small': best ")


def test_the_tour_runs_as_it_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each cell in order, in one namespace, as a kernel would; a last expression is shown."""
    notebook = json.loads((ROOT / "examples" / "tour.ipynb").read_text("utf-8"))
    assert notebook["nbformat"] == 4
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    shown = 0
    for cell in notebook["cells"]:
        assert not cell.get("outputs"), "the tour is kept without outputs"
        if cell["cell_type"] == "code":
            *lines, last = "".join(cell["source"]).rstrip().splitlines()
            try:
                code = compile(last, "tour", "eval")
            except SyntaxError:
                exec(compile("\n".join([*lines, last]), "tour", "exec"), names)
                continue
            exec(compile("\n".join(lines), "tour", "exec"), names)
            value = eval(code, names)
            shown += hasattr(value, "_repr_html_")
    assert shown >= 5
