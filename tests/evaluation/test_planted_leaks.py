"""Twenty planted leaks: the detector was written on ten, and looked at the other ten afterwards."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import genre
from genre.cli.main import main
from genre.data.folds import Fold, Split
from genre.errors import EvaluationError
from genre.evaluation.leakage.audit import audit
from genre.evaluation.targets import check_overlap
from genre.preprocessing.splits import LeaveOneOut, RandomSplit, TimeSplit
from lines import Lines
from planted_leaks import HELD_BACK, KNOWN, Leak, counts, whole, with_field, world


@pytest.fixture(scope="module")
def by_time() -> Split:
    return TimeSplit().split(world())


@pytest.mark.parametrize("leak", [*KNOWN, *HELD_BACK], ids=lambda leak: leak.__name__)
def test_a_planted_leak_is_named(leak: Leak, by_time: Split) -> None:
    split, more = leak(by_time, np.random.default_rng(1))
    severities = [finding.severity for finding in audit(split, **more)]
    assert "error" in severities or "warning" in severities


def test_a_world_without_leaks_has_no_findings() -> None:
    data = world(1)
    assert audit(TimeSplit().split(data)) == []
    for splitter, order in ((LeaveOneOut(), "user"), (RandomSplit(), "none")):
        found = audit(splitter.split(data), order=order)  # type: ignore[arg-type]
        assert {finding.severity for finding in found} <= {"note"}


def test_a_statistic_of_the_train_part_is_no_leak(by_time: Split) -> None:
    trained = counts(by_time.train)
    assert audit(with_field(by_time, "item", "popularity", trained)) == []
    assert audit(with_field(by_time, "item", "teaser", [f"Watched by {n} people so far." for n in trained])) == []


def test_repeats_are_a_note_where_users_repeat_before_the_test_too(by_time: Split) -> None:
    def repeating(fold: Fold) -> Fold:
        history = fold.context.history()
        item = fold.target.item.copy()  # a third is the first item of the history again
        for row in range(0, len(item), 3):
            own = history.item[history.indptr[fold.target.user[row]] : history.indptr[fold.target.user[row] + 1]]
            item[row] = own[0] if len(own) else item[row]
        return Fold(fold.context, dataclasses.replace(fold.target, item=item))

    both = Split(by_time.train, repeating(by_time.validation), repeating(by_time.test))
    assert {finding.severity for finding in audit(both)} == {"note"}
    test_alone = Split(by_time.train, by_time.validation, repeating(by_time.test))
    assert "copied-rows" in {finding.check for finding in audit(test_alone)}


def test_overlap_is_named_before_anything_is_learnt(tmp_path: Path, by_time: Split) -> None:
    overlapping = Split(by_time.train, by_time.validation, Fold(whole(by_time), by_time.test.target))
    with pytest.raises(
        EvaluationError, match=r"test: .* in the history of the same user already: the parts .* overlap"
    ):
        check_overlap(overlapping, exclude_seen=True)
    assert check_overlap(overlapping, exclude_seen=False) == check_overlap(by_time, exclude_seen=True) == []
    rows = [f"u{user},i{(user + step) % 9}" for user in range(9) for step in range(4)]
    (tmp_path / "train.csv").write_text("\n".join(["user_id,item_id", *rows]))
    (tmp_path / "test.csv").write_text("\n".join(["user_id,item_id", *rows[::4]]))
    (tmp_path / "c.yaml").write_text(
        "name: c\ndata: {kind: files, interactions: train.csv, test: test.csv}\nsplit: {kind: given}\n"
        "recommenders: [{kind: ease}]\n"
    )
    log = Lines()
    with pytest.raises(EvaluationError, match="overlap"):
        genre.run(tmp_path / "c.yaml", runs=tmp_path / "runs", log=log)
    assert not any("training" in line for line in log.lines)


def test_warnings_change_the_exit_status_where_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"u{user},i{(user + 3 * step) % 13},{step // 2}" for user in range(40) for step in range(6)]
    (tmp_path / "tied.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]))
    (tmp_path / "tied.yaml").write_text(
        "name: tied\ndata: {kind: files, interactions: tied.csv}\nsplit: {kind: leave-one-out}\n"
        "recommenders: [{kind: popularity}]\n"
    )
    tied = str(genre.run(tmp_path / "tied.yaml", runs=tmp_path / "runs").folder)
    assert main(["audit", tied]) == 0
    assert "warnings to look at" in capsys.readouterr().out
    assert main(["audit", tied, "--strict"]) == 1


def test_every_encoder_of_a_run_is_audited(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(_run_with_vectors(tmp_path))]) == 1
    assert "items encoder, part 2: Vectors" in capsys.readouterr().out


def _run_with_vectors(folder: Path) -> Path:
    """A run whose encoder joins words and a file of vectors, whose columns are the test answers."""
    data = world(n_users=160, n_items=100)
    titles, genres = (data.items[name].to_pylist() for name in ("title", "genres"))
    assert data.timestamp is not None
    ids = data.item_ids.values.to_pylist()
    rows = [
        f"{data.user_ids[user]},{ids[item]},{time}"
        for user, item, time in zip(data.user, data.item, data.timestamp, strict=True)
    ]
    (folder / "x.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]))
    (folder / "items.csv").write_text(
        "\n".join(["item_id,title,genres", *map(",".join, zip(ids, titles, genres, strict=True))])
    )
    known = genre.load(folder / "x.csv")
    split = TimeSplit().split(known)
    answers = split.test.target.matrix().toarray().T
    np.savez(folder / "v.npz", ids=np.array(known.item_ids.values.to_pylist()), vectors=answers.astype(np.float32))
    (folder / "c.yaml").write_text(
        "name: c\ndata: {kind: files, interactions: x.csv, items: items.csv}\nrecommenders: [{kind: popularity}]\n"
        "features:\n  items:\n    kind: concat\n    parts: [{kind: tfidf}, {kind: vectors, path: v.npz}]\n"
    )
    return genre.run(folder / "c.yaml", runs=folder / "runs").folder
