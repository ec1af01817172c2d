"""Runs that other versions made: one saved run of each format answers as it did, or is refused with a remedy.

What a run holds is changed: raise `storage.FORMAT`, and `make golden` adds a run of the new one beside the old.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

import genre
from genre import storage
from genre.config.reading import read_config
from genre.errors import ArtifactError
from genre.recommenders.content import Content
from genre.run_folder import read_run
from lines import Lines
from small_world import write_interactions

GOLDEN = Path(__file__).parent / "golden"
CONFIG = """\
name: small
data: {kind: files, interactions: interactions.csv, items: items.csv}
split: {kind: leave-one-out}
features: {items: {kind: tfidf, dim: 4}}
recommenders:
  - {kind: popularity}
  - {kind: ease, regularization: 5}
  - {kind: als, factors: 4, iterations: 3}
  - {kind: content}
  - {kind: blend, recommenders: [{kind: ease, regularization: 5}, {kind: item_knn}], weights: [2, 1]}
evaluation: {k: 3, metrics: [ndcg, recall]}
"""


def make(folder: Path) -> Path:
    write_interactions(folder / "interactions.csv", 20)
    items = [f"i{item},Story {item},{'robots' if item % 2 else 'dragons'}" for item in range(16)]
    (folder / "items.csv").write_text("\n".join(["item_id,title,genre", *items]))
    (folder / "small.yaml").write_text(CONFIG)
    return genre.run(folder / "small.yaml", runs=folder / "runs", log=Lines()).folder


def keep(run: Path, at: Path, inside: str) -> None:
    """The run as a golden one: without the pictures, the clock and the name of the folder it was made in."""
    facts = {name: value for name, value in storage.read_manifest(run).items() if name not in ("files", "format")}
    shutil.rmtree(at, ignore_errors=True)
    shutil.copytree(run, at)
    for name in ("report.html", "log.jsonl", storage.MANIFEST):
        (at / name).unlink()
    config = at / "config.full.yaml"
    config.write_text(config.read_text().replace(f"{inside}/", ""))
    storage.write_manifest(at, **facts)


@pytest.mark.parametrize("saved", sorted(GOLDEN.glob("run-*/config.yaml")), ids=lambda path: path.parent.name)
def test_the_config_of_every_format_still_says_the_same(saved: Path) -> None:
    written, full = yaml.safe_load(saved.read_text()), read_config(saved).full
    assert written["evaluation"].items() <= full["evaluation"].items()
    for before, now in zip(written["recommenders"], full["recommenders"], strict=True):
        plain = {name: value for name, value in before.items() if not isinstance(value, list)}
        assert plain.items() <= {name: value for name, value in now.items() if not isinstance(value, list)}.items()


def answers_of(run: genre.Run) -> dict[str, Any]:
    users = run.dataset.history([0, 3])
    return {
        name: [[round(float(score), 3) for score in row] for row in model.score(users)]
        for name, model in run.recommenders.items()
    }


def test_the_golden_run_of_this_format_answers_as_it_did(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    saved, said = GOLDEN / f"run-{storage.FORMAT}", GOLDEN / f"run-{storage.FORMAT}.json"
    if request.config.getoption("--golden"):
        keep(make(tmp_path), saved, str(tmp_path))
        said.write_text(json.dumps(answers_of(genre.read_run(saved)), indent=1) + "\n")
    expected = json.loads(said.read_text("utf-8"))
    found = answers_of(genre.read_run(saved))
    assert list(found) == list(expected)
    for name in expected:
        assert [pytest.approx(row, abs=2e-3) for row in expected[name]] == found[name], name


def test_golden_runs_of_other_formats_are_refused_with_a_remedy() -> None:
    for saved in GOLDEN.glob("run-*/"):
        if saved.is_dir() and saved.name != f"run-{storage.FORMAT}":
            with pytest.raises(ArtifactError, match="make"):
                genre.read_run(saved)


@pytest.mark.parametrize("format", [0, storage.FORMAT + 1])
def test_another_format_is_refused_with_a_remedy(format: int, tmp_path: Path) -> None:  # noqa: A002
    saved = tmp_path / "run"
    shutil.copytree(GOLDEN / f"run-{storage.FORMAT}", saved)
    body = json.loads((saved / storage.MANIFEST).read_text("utf-8"))
    body["format"] = format
    del body["self"]
    storage.write_json(saved / storage.MANIFEST, body | {"self": storage._own_hash(body)})
    with pytest.raises(ArtifactError, match=f"format {format}, .*make the run again"):
        genre.read_run(saved)


def test_a_run_of_another_state_of_a_class_is_refused_and_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As though Content had learnt no `center_` when the run was made."""
    state = Content._state
    with monkeypatch.context() as older:
        older.setattr(Content, "learns", tuple(name for name in Content.learns if name != "center_"))
        older.setattr(Content, "_state", lambda self: {k: v for k, v in state(self).items() if k != "center_"})
        old = make(tmp_path)
    with pytest.raises(ArtifactError, match=r"Content saved it, center_ not among its values; make the run again"):
        genre.read_run(old)
    new = make(tmp_path)
    assert new != old
    assert list(genre.read_run(new).recommenders)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("config.full.yaml", lambda text: text.replace("regularization: 5", "gone: 5")),
        ("config.full.yaml", lambda text: text.replace("kind: als", "kind: gone")),
        ("features/items/features.json", lambda _: "{}"),
        ("recommenders/ease/model/options.json", lambda text: text.replace('"regularization"', '"gone"')),
    ],
)
def test_what_another_version_would_have_written_is_refused(name: str, change: Any, tmp_path: Path) -> None:
    """Whole by its hashes, of another shape: an option that is no more, a kind, a key of a file."""
    saved = tmp_path / "run"
    shutil.copytree(GOLDEN / f"run-{storage.FORMAT}", saved)
    facts = {key: value for key, value in storage.read_manifest(saved).items() if key not in ("files", "format")}
    path = saved / name
    path.write_text(change(path.read_text("utf-8")), "utf-8")
    for folder in (path.parent, saved):
        if (folder / storage.MANIFEST).is_file():
            own = facts if folder == saved else {}
            (folder / storage.MANIFEST).unlink()
            storage.write_manifest(folder, **own)
    with pytest.raises(ArtifactError, match="make the run again"):
        genre.read_run(saved)


def test_a_part_of_a_run_is_no_run(tmp_path: Path) -> None:
    run = make(tmp_path)
    with pytest.raises(ArtifactError, match="not a run but a part of one"):
        read_run(next((run / "recommenders").iterdir()) / "model")
