"""Files of lists that other programs made: read, checked, and evaluated as a recommender's own are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import genre
from genre.cli.main import main
from genre.errors import EvaluationError
from genre.evaluation.evaluator import evaluate
from genre.evaluation.list_files import evaluate_files
from genre.preprocessing.sources.files import Files
from genre.recommenders.ease import EASE

TRAIN = "user,item\nu1,a\nu1,b\nu2,b\nu2,c\nu3,a\nu3,d"
TEST = "user,item\nu1,c\nu2,a\nu3,b\nu3,a"
LISTS = "user,item\nu1,c\nu1,d\nu2,d\nu2,a\nu9,a\nu9,b"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, text in (("train", TRAIN), ("test", TEST), ("lists", LISTS)):
        Path(f"{name}.csv").write_text(text)
    return tmp_path


def test_lists_are_evaluated_and_everything_left_out_is_counted(files: Path) -> None:
    found = evaluate_files([Path("lists.csv")], Path("test.csv"), train=Path("train.csv"), k=[1, 2])
    [result] = found.evaluations
    assert result.counts["users"] == 3
    assert result.values["hit_rate@1"] == pytest.approx(1 / 3)
    assert result.values["mrr@2"] == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert "novelty@2" in result.values
    notes = "\n".join(found.notes)
    assert "1 of 3 users have no list" in notes
    assert "not used: 1 list of users with nothing to find" in notes
    assert "1 target in the history of the same user" in notes


def test_without_train_nothing_is_seen_and_nothing_popular(files: Path) -> None:
    [result] = evaluate_files([Path("lists.csv")], Path("test.csv"), k=2).evaluations
    assert result.counts["targets"] == 4
    assert not {"novelty@2", "coverage@2"} & set(result.values)
    with pytest.raises(EvaluationError, match="metric novelty reads the training data; give its file with --train"):
        evaluate_files([Path("lists.csv")], Path("test.csv"), k=2, metrics=["novelty"])


@pytest.mark.parametrize("column", ["rank", "score"])
def test_a_rank_or_a_score_is_the_order(files: Path, column: str) -> None:
    rows = [("u1", "d", 2), ("u2", "a", 2), ("u1", "c", 1), ("u2", "d", 1)]
    values = [f"{user},{item},{place if column == 'rank' else 1 / place}" for user, item, place in rows]
    Path("lists.csv").write_text("\n".join([f"user,item,{column}", *values]))
    [result] = evaluate_files([Path("lists.csv")], Path("test.csv"), k=2).evaluations
    assert result.values["mrr@2"] == pytest.approx((1 + 1 / 2 + 0) / 3)


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ("user,item\nu1,a\nu1,c\nu1,a", "row 3: the list of user 'u1' has item 'a' twice"),
        ("user,item\nu1,a\nu1,zz", "row 2: item 'zz' is in none of the files of interactions"),
        ("user,item\nx1,a\nx1,b", "none of its users, such as 'x1', is known"),
        ("user,item,rank\nu1,a,1\nu1,c,second", "row 2: no rank that can be read"),
        ("user,item\nu1,a\nu1,", "row 2: no item that can be read"),
        ("user,item\nu1,a\nu2,b", "cannot be computed from lists of 1"),
    ],
)
def test_a_faulty_list_is_named(files: Path, lists: str, message: str) -> None:
    Path("lists.csv").write_text(lists)
    with pytest.raises(EvaluationError) as caught:
        evaluate_files([Path("lists.csv")], Path("test.csv"), train=Path("train.csv"), k=2)
    assert message in str(caught.value)


def test_without_train_ids_of_another_form_are_noticed(files: Path) -> None:
    Path("lists.csv").write_text("user,item\nu1,A1\nu1,A2")
    with pytest.raises(EvaluationError, match="none of its items, such as 'A1', is a target"):
        evaluate_files([Path("lists.csv")], Path("test.csv"), k=2)


def test_it_gives_what_evaluating_the_recommender_gives(files: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [f"u{user},i{item}" for user in range(30) for item in rng.permutation(20)[:8]]
    train, test = [row for at, row in enumerate(rows) if at % 8], rows[::8]
    for name, part in (("train", train), ("test", test)):
        Path(f"{name}.csv").write_text("\n".join(["user,item", *part]))
    split = genre.split(genre.load(Files("train.csv", test="test.csv")), "given")
    model = EASE(5.0).fit(split.train)
    users = split.test.users()
    lists = model.recommend(split.test.context.history(users), k=5).item
    ids = split.train.user_ids, split.train.item_ids
    lines = [f"{ids[0][user]},{ids[1][item]}" for user, row in zip(users, lists, strict=True) for item in row]
    Path("lists.csv").write_text("\n".join(["user,item", *lines]))
    [ours] = evaluate_files([Path("lists.csv")], Path("test.csv"), train=Path("train.csv"), k=5).evaluations
    expected = evaluate(model, split.test, k=5, metrics=["ndcg", "recall", "coverage", "novelty"])
    for label, value in expected.values.items():
        assert ours.values[label] == pytest.approx(value), label


def test_the_command_compares_several_files(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("worse.csv").write_text("user,item\nu1,d\nu1,a")
    words = ["evaluate", "worse.csv", "lists.csv", "--against", "test.csv", "--train", "train.csv", "-k", "2"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert out.index("lists") < out.index("worse =")
    assert "worse.csv: 2 of 3 users have no list; theirs counts as empty" in out
