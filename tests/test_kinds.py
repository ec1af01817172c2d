"""A saved folder names its class; only built-in classes and those that somebody imported are taken at its word."""

from __future__ import annotations

import json
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
        ("genre.cli:main", "neither built in nor imported"),
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
