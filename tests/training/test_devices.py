"""Devices: one that is missing is named before anything is trained, and inputs follow the network to its device."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from genre.cli.main import main
from genre.errors import OptionError
from genre.features.embedding import Embedding
from genre.networks.semantic_ids import CodeTree, beam_scores
from genre.recommenders.blend import Blend
from genre.recommenders.mlp import MLP
from genre.recommenders.network_base import NetworkRecommender, check_devices
from genre.recommenders.popularity import Popularity
from genre.recommenders.sasrec import SASRec
from genre.recommenders.semantic_ids import SemanticIds
from genre.testing import toy_dataset
from genre.training.devices import available_devices, check_device, move_to
from lines import Lines
from small_world import small_config, write_interactions

MISSING = "cuda:99"


def test_a_missing_device_is_named_with_those_that_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    check_device("cpu")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert available_devices() == ["cpu", "cuda:0", "cuda:1", "mps"]
    for device in (MISSING, "cud"):
        with pytest.raises(OptionError, match=rf"device '{device}' is not available .*: cpu, cuda:0, cuda:1, mps"):
            check_device(device)


@pytest.mark.parametrize("model", [MLP(device=MISSING), SASRec(device=MISSING), SemanticIds(device=MISSING)])
def test_it_is_named_before_training(model: NetworkRecommender) -> None:
    log = Lines()
    with pytest.raises(OptionError, match=MISSING):
        model.fit(toy_dataset(), log=log)
    assert log.lines == []
    with pytest.raises(OptionError, match=MISSING):
        check_devices(Blend((Popularity(), model)))
    check_devices(Blend((Popularity(), MLP())))


def test_check_names_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_interactions(tmp_path / "interactions.csv", 8)
    config = tmp_path / "small.yaml"
    config.write_text(small_config(f"{{kind: sasrec, device: '{MISSING}'}}"))
    assert main(["check", str(config)]) == 2
    assert f"device '{MISSING}' is not available on this machine" in capsys.readouterr().err


@pytest.mark.parametrize(
    "encoder",
    [
        "{kind: embedding, model: some, device: X}",
        "{kind: concat, parts: [{kind: tfidf}, {kind: embedding, model: some, device: X}]}",
    ],
)
def test_check_names_the_device_of_an_encoder(encoder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_interactions(tmp_path / "interactions.csv", 8)
    config = tmp_path / "small.yaml"
    for verb in ("check", "run"):
        config.write_text(
            small_config("{kind: ease}") + f"features: {{items: {encoder.replace('X', repr(MISSING))}}}\n"
        )
        assert main([verb, str(config)]) == 2
        assert f"device '{MISSING}' is not available on this machine" in capsys.readouterr().err
    with pytest.raises(OptionError, match="minilm computes on the CPU"):
        Embedding(device="cuda")


class Elsewhere:
    """Stands for another device than the CPU: torch's `meta` device, which refuses to mix with CPU tensors."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fetched, cpu = 0, Tensor.cpu

        def fetch(tensor: Tensor) -> Tensor:
            self.fetched += tensor.is_meta
            return torch.zeros(tensor.shape, dtype=tensor.dtype) if tensor.is_meta else cpu(tensor)

        monkeypatch.setattr(Tensor, "cpu", fetch)


def test_inputs_follow_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    data = toy_dataset()
    options = {"dim": 8, "blocks": 1, "max_length": 8, "epochs": 1}
    reader = SASRec(**options, time=True).fit(data)  # type: ignore[arg-type]
    codes = SemanticIds(**options, levels=2, codes=4, beam=3).fit(data)  # type: ignore[arg-type]
    elsewhere = Elsewhere(monkeypatch)
    assert reader._reader is not None
    assert codes._trained is not None
    reader._reader.to("meta")
    queries, _ = reader._factors(data.history())
    assert queries.shape == (data.n_users, 8)
    codes._trained.to("meta")
    scores = beam_scores(codes._trained, CodeTree.from_codes(codes.codes_), data.history(), codes.beam)
    assert scores.shape == (data.n_users, data.n_items)
    assert elsewhere.fetched >= 3
    (moved,) = move_to(codes._trained, torch.from_numpy(np.zeros(2)))
    assert moved.is_meta
