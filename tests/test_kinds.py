"""A saved folder names its class; only built-in classes and those that somebody imported are taken at its word."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from genre import storage
from genre.errors import ArtifactError
from genre.features.base import Encoder
from genre.features.tfidf import TfIdf
from genre.recommenders.base import Recommender
from genre.recommenders.ease import EASE
from genre.testing import toy_dataset

OWN = """
from pathlib import Path
from genre.recommenders.ease import EASE
Path(__file__).with_name("ran").touch()
class Mine(EASE):
    pass
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module that can be imported and leaves a trace when it is."""
    (tmp_path / "recs_of_a_stranger.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "recs_of_a_stranger", raising=False)
    return "recs_of_a_stranger"


def rename(folder: Path, cls: object) -> None:
    """The folder claims another class, hashes and all."""
    options = storage.read_json(folder / "options.json")
    (folder / "options.json").write_text(json.dumps({**options, "class": cls}))
    storage.write_manifest(folder)


def test_a_folder_makes_no_module_run(module: str, tmp_path: Path) -> None:
    EASE(10.0).fit(toy_dataset()).save(tmp_path / "saved")
    rename(tmp_path / "saved", f"{module}:Mine")
    with pytest.raises(ArtifactError, match=f"neither built in nor imported so far; import {module} if you trust it"):
        Recommender.load(tmp_path / "saved")
    assert not (tmp_path / "ran").exists()
    imported = __import__(module)
    assert type(Recommender.load(tmp_path / "saved")) is imported.Mine
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        ("os:system", "neither built in nor imported"),
        ("genre.cli.main:main", "neither built in nor imported"),
        ("genre.recommenders.ease:", "neither built in nor imported"),
        ("", "neither built in nor imported"),
        ("genre.preprocessing.splits:TimeSplit", "is no Recommender and no LanguageModel"),
        ("genre.features.tfidf:TfIdf", "is no Recommender and no LanguageModel"),
        ("genre.recommenders.popularity:Popularity", "does not fit"),
        (["os:system"], "does not fit"),
    ],
)
def test_a_recommender_s_folder_names_a_recommender(cls: object, message: str, tmp_path: Path) -> None:
    EASE(10.0).fit(toy_dataset()).save(tmp_path / "saved")
    rename(tmp_path / "saved", cls)
    with pytest.raises(ArtifactError, match=message):
        Recommender.load(tmp_path / "saved")


def test_an_encoder_s_folder_names_an_encoder(module: str, tmp_path: Path) -> None:
    TfIdf().fit(toy_dataset().items).save(tmp_path / "saved")
    for cls in (f"{module}:Mine", "genre.recommenders.ease:EASE", "os:system"):
        rename(tmp_path / "saved", cls)
        with pytest.raises(ArtifactError):
            Encoder.load(tmp_path / "saved")
    assert not (tmp_path / "ran").exists()
    rename(tmp_path / "saved", "genre.features.tfidf:TfIdf")
    assert isinstance(Encoder.load(tmp_path / "saved"), TfIdf)


def test_a_run_with_a_class_of_one_s_own_answers_in_a_new_process(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\nfrom genre.recommenders.ease import EASE\n"
        "@dataclass(eq=False)\nclass Mine(EASE):\n    '''EASE by another name.'''\n"
    )
    rows = [f"u{user},i{item},{user + item}" for user in range(12) for item in range(user % 2, 12, 2) if user != item]
    (tmp_path / "interactions.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]))
    (tmp_path / "own.yaml").write_text(
        "name: own\ndata: {kind: files, interactions: interactions.csv}\nsplit: {kind: leave-one-out}\n"
        "recommenders: [{kind: 'mine:Mine', regularization: 5}]\nevaluation: {k: 3, metrics: [ndcg]}\n"
    )

    def genre(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "import sys; from genre.cli.main import main; sys.exit(main())", *words]
        return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)

    assert genre("run", "own.yaml", cwd=tmp_path).returncode == 0
    (folder,) = (tmp_path / "runs").glob("own-*")
    assert "because of" in genre("recommend", str(folder), "--user", "u0", cwd=tmp_path).stdout
    elsewhere = genre("recommend", str(folder), "--user", "u0", cwd=folder)
    assert elsewhere.returncode == 2
    assert (
        "cannot import mine (No module named 'mine'); put the folder where its file lies on PYTHONPATH"
        in elsewhere.stderr
    )
