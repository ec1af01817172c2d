"""A fit that was killed and is started again ends as though it had not been: every network, alone and inside others."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genre.data.features import Features
from genre.errors import TrainingError
from genre.log import Log
from genre.preprocessing.splits import LeaveOneOut
from genre.recommenders.base import Recommender
from genre.recommenders.blend import Blend
from genre.recommenders.content import Content
from genre.recommenders.ease import EASE
from genre.recommenders.mlp import MLP
from genre.recommenders.ncf import NCF
from genre.recommenders.network_base import NetworkRecommender, start_manifests
from genre.recommenders.profiled import Profiled
from genre.recommenders.sasrec import SASRec
from genre.recommenders.semantic_ids import SemanticIds
from genre.recommenders.two_tower import TwoTower
from genre.testing import toy_dataset
from kills import Killed

PARTS = LeaveOneOut().split(toy_dataset())
SHORT = {"epochs": 4, "learning_rate": 0.01, "dim": 8}
NETWORKS: dict[type[NetworkRecommender], dict[str, object]] = {  # what each draws at random is switched on
    MLP: {"hidden": (8, 4), "dropout": 0.2, "id_dropout": 0.3, "batch_size": 32},
    NCF: {"hidden": (8, 4), "negatives": 2, "batch_size": 32},
    SASRec: {"blocks": 1, "max_length": 6, "batch_size": 8, "loss": "sampled", "negatives": 4},
    SemanticIds: {"levels": 2, "codes": 4, "blocks": 1, "max_length": 6, "batch_size": 8},
    TwoTower: {"ids": 4, "hidden": 8, "negatives": 4, "batch_size": 32},
}


@pytest.fixture(autouse=True)
def checkpoint_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genre.training.checkpoint.EVERY_SECONDS", 0.0)


class KillIn(Log):
    """Ends a fit in the middle of the third epoch of some training, as a kill would; notes where others went on."""

    def __init__(self, training: int = 0) -> None:
        self.left, self.resumed = training, list[int]()

    def line(self, text: str) -> None:
        self.left -= text.startswith("Train Epoch: 3 ")
        if self.left == 0 and text.startswith("Train Epoch: 3 "):
            raise Killed
        self.resumed += map(int, re.findall(r"resumed after epoch (\d+)", text))


def network(kind: type[NetworkRecommender], **options: object) -> NetworkRecommender:
    return kind(**{**SHORT, **NETWORKS[kind], **options})  # type: ignore[arg-type]


def same(one: Recommender, other: Recommender, folder: Path) -> bool:
    """Whether all learnt arrays, those of members too, and the scores are equal to the last bit."""
    saved = []
    for name, model in (("one", one), ("other", other)):
        model.save(folder / name)
        paths = sorted((folder / name).rglob("*.safetensors"))
        saved.append([(path.relative_to(folder / name), path.read_bytes()) for path in paths])
    history = PARTS.train.history()
    return saved[0] == saved[1] and np.array_equal(one.score(history), other.score(history))


@pytest.mark.parametrize("more", [False, True], ids=["alone", "watched-from-another"])
@pytest.mark.parametrize("kind", NETWORKS)
def test_a_network_goes_on_to_the_same_weights(kind: type[NetworkRecommender], more: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """With a validation part the best weights are kept too; with `init_from` the start is not that of the class."""
    start, validation = None, None
    if more:
        start, validation = str(tmp_path / "first"), PARTS.validation
        network(kind, epochs=1, seed=5).fit(PARTS.train).save(start)

    def fit(**options: Any) -> NetworkRecommender:
        return network(kind, init_from=start).fit(PARTS.train, validation=validation, **options)

    whole, place, log = fit(), tmp_path / "place", KillIn()
    with pytest.raises(Killed):
        fit(checkpoint=place, log=KillIn(1))
    resumed = fit(checkpoint=place, log=log)
    assert log.resumed == [2]
    assert same(resumed, whole, tmp_path)


@pytest.mark.parametrize("changed", ["start", "validation", "features"])
def test_a_checkpoint_of_another_start_or_validation_part_is_refused(changed: str, tmp_path: Path) -> None:
    """The model behind a path and the validation part may change; the options show neither."""
    start, data, validation = tmp_path / "first", PARTS.train, PARTS.validation
    network(MLP, epochs=1, seed=5).fit(data).save(start)
    network(MLP, init_from=str(start)).fit(data, validation=validation, checkpoint=tmp_path / "place")
    if changed == "start":
        shutil.rmtree(start)
        network(MLP, epochs=1, seed=6).fit(data).save(start)
    elif changed == "validation":
        validation = PARTS.test
    else:
        assert data.item_features is not None
        data = data.with_features(items=Features(data.item_features.values[::-1].copy(), "other"))
    with pytest.raises(TrainingError, match="other options or data; delete it"):
        network(MLP, init_from=str(start)).fit(data, validation=validation, checkpoint=tmp_path / "place")


def test_a_key_depends_on_the_model_behind_init_from(tmp_path: Path) -> None:
    start = tmp_path / "first"
    network(SASRec, epochs=1).fit(PARTS.train).save(start)
    inside = Blend((EASE(), Content(recommender=network(SASRec, init_from=str(start)))))
    before = start_manifests(inside)
    assert len(before) == 1
    assert start_manifests(inside) == before
    shutil.rmtree(start)
    network(SASRec, epochs=2).fit(PARTS.train).save(start)
    assert start_manifests(inside) != before
    assert start_manifests(EASE()) == start_manifests(network(SASRec)) == []


@pytest.mark.parametrize(
    ("make", "trainings"),
    [
        (lambda: Blend((EASE(10.0), network(SASRec), network(MLP))), 4),  # twice each: without and with the last items
        (lambda: Blend((network(NCF), network(NCF, seed=1)), weights=(1.0, 1.0)), 2),
        (lambda: Content(recommender=network(SASRec)), 1),
        (lambda: Content(recommender=network(TwoTower)), 1),
        (lambda: Blend((Profiled(network(MLP)), Content(recommender=network(SASRec))), weights=(1.0, 1.0)), 2),
    ],
    ids=["blend", "blend-of-one-kind", "content-sasrec", "content-two_tower", "blend-of-others"],
)
def test_a_network_inside_another_recommender_goes_on_too(
    make: Callable[[], Recommender], trainings: int, tmp_path: Path
) -> None:
    """Every training is killed in turn; those before it are read back, not made again."""
    whole, place = make().fit(PARTS.train), tmp_path / "place"
    for killed in range(trainings):
        log = KillIn(1 if killed == 0 else 2)  # the one killed before comes by its third epoch again
        with pytest.raises(Killed):
            make().fit(PARTS.train, checkpoint=place, log=log)
        assert log.resumed == [4] * (killed - 1) + [2] * (killed > 0)
    log = KillIn()
    resumed = make().fit(PARTS.train, checkpoint=place, log=log)
    assert log.resumed == [4] * (trainings - 1) + [2]
    assert same(resumed, whole, tmp_path)
