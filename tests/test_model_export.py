"""Recommenders as files for other programs: the scores are the same, and the model card says what the report says."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow.parquet as pq
import pytest

import genre
from genre import onnx_graphs
from genre.cli.main import main
from genre.data.history import History
from genre.errors import ArtifactError, NotSupported, UnknownId
from genre.model_export import CHECKED, export_model
from genre.onnx_graphs import graph_of
from genre.testing import toy_dataset
from small_world import small_config, write_interactions


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> genre.Run:
    folder = tmp_path_factory.mktemp("export")
    write_interactions(folder / "interactions.csv", 20)
    config = small_config("{kind: ease, regularization: 5}") + "\n"
    config = config.replace("  - {kind: ease", "  - {kind: als, factors: 4, iterations: 2}\n  - {kind: ease")
    (folder / "small.yaml").write_text(config)
    return genre.run(folder / "small.yaml", runs=folder / "runs")


@pytest.mark.parametrize(("label", "given"), [("ease", "history"), ("als", "queries")])
def test_onnx_has_the_scores_of_the_recommender(run: genre.Run, label: str, given: str, tmp_path: Path) -> None:
    out = export_model(run, tmp_path / "out", "onnx", using=label)
    session = onnxruntime.InferenceSession(str(out / "model.onnx"))
    model, history = run.recommenders[label], run.dataset.history([0, 7])
    factors = model.as_factors(history)
    value = history.matrix().toarray() if given == "history" else factors[0] if factors else None
    (scores,) = session.run(None, {given: np.asarray(value, np.float32)})
    np.testing.assert_allclose(scores, model.score(history), atol=1e-5)
    assert pq.read_table(out / "items.parquet")["item_id"].to_pylist() == run.dataset.item_ids[:]


def test_a_folder_is_read_back_and_has_a_card_of_the_report(
    run: genre.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["export", str(run.folder), "--out", str(out), "--using", "ease"]) == 0
    assert "README.md, items.parquet, manifest.json, model" in capsys.readouterr().out
    read = genre.Recommender.load(out / "model")
    history = run.dataset.history([3])
    np.testing.assert_array_equal(read.score(history), run.recommenders["ease"].score(history))
    card = (out / "README.md").read_text("utf-8")
    row = next(
        row for row in json.loads((run.folder / "report.json").read_text())["leaderboard"] if row["name"] == "ease"
    )
    low, high = row["intervals"]["ndcg@3"]
    assert f"| ndcg@3 | {row['values']['ndcg@3']:.4f} | {low:.4f} to {high:.4f} |" in card
    assert f"{run.dataset.n_users:,} users" in card
    assert "kind: ease, regularization: 5" in card
    assert main(["export", str(run.folder), "--out", str(out)]) == 2, "nothing is overwritten"


NETWORKS: dict[str, Callable[[], genre.Recommender]] = {
    "two_tower": lambda: genre.TwoTower(dim=6, ids=5, hidden=9, epochs=2),
    "ncf": lambda: genre.NCF(dim=4, hidden=(7, 5), epochs=2),
    "mlp of ratings": lambda: genre.MLP(dim=4, hidden=(7, 5), epochs=2),
    "mlp of likes": lambda: genre.MLP(dim=4, hidden=(7,), dot=3, loss="bce", pooling="attention", epochs=2),
    "sasrec": lambda: genre.SASRec(dim=8, blocks=2, epochs=2, batch_size=8, max_length=4),
    "sasrec with times": lambda: genre.SASRec(dim=8, blocks=1, heads=4, time=True, epochs=2, batch_size=8),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_score_as_onnx_graphs(name: str) -> None:
    """Known users and strangers, histories of every length, an item that was had twice, one that was not liked."""
    data = toy_dataset()
    model = NETWORKS[name]().fit(data)
    known = data.history()
    lengths = np.arange(len(known)) % 6 + 1
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    draw = np.random.default_rng(0)
    n = int(indptr[-1])
    weight = draw.choice([0, 1, 2.5], n, p=[0.2, 0.5, 0.3]).astype(np.float32)
    weight[indptr[:-1]] = 1  # each history has something that was liked
    times = 1_600_000_000 + np.cumsum(2 ** draw.integers(0, 25, n) - draw.integers(0, 2, n))
    history = History(
        indptr=indptr,
        item=draw.integers(0, data.n_items, n).astype(np.int32),
        weight=weight,
        n_items=data.n_items,
        user=np.where(np.arange(len(known)) % 3, known.user, -1).astype(np.int32),
        rating=draw.integers(1, 6, n).astype(np.float32),
        timestamp=times.astype(np.int64),
    )
    made, inputs = graph_of(model, history)
    session = onnxruntime.InferenceSession(made.SerializeToString())
    (scores,) = session.run(None, inputs)
    np.testing.assert_allclose(scores, model.score(history), atol=1e-5)
    shorter = {name: value[:1, : lengths[0]] if value.ndim == 2 else value[:1] for name, value in inputs.items()}
    np.testing.assert_allclose(session.run(None, shorter)[0], scores[:1], atol=1e-5)


def test_a_network_is_exported_with_the_ids_of_its_users(run: genre.Run, tmp_path: Path) -> None:
    network = genre.TwoTower(dim=6, ids=5, hidden=9, epochs=1).fit(run.dataset)
    with_network = dataclasses.replace(run, recommenders={**run.recommenders, "two_tower": network})
    out = export_model(with_network, tmp_path / "out", "onnx", using="two_tower")
    assert pq.read_table(out / "users.parquet")["user_id"].to_pylist() == run.dataset.user_ids[:]
    assert "`user` `[n]` is a row of `users.parquet`" in (out / "README.md").read_text("utf-8")


def test_what_cannot_be_exported_leaves_nothing(
    run: genre.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with pytest.raises(NotSupported, match="no graph for the scores of Popularity"):
        export_model(run, out, "onnx", using="popularity")
    with pytest.raises(UnknownId, match="did you mean 'ease'"):
        export_model(run, out, "folder", using="eese")
    with monkeypatch.context() as patched:
        other = {"history": np.ones((CHECKED, run.dataset.n_items), np.float32)}
        patched.setattr(onnx_graphs, "graph_of", lambda *given: (graph_of(*given)[0], other))
        with pytest.raises(ArtifactError, match="computes other scores"):
            export_model(run, out, "onnx", using="ease")
    monkeypatch.setattr(onnx_graphs, "LARGEST", 10)
    with pytest.raises(NotSupported, match="beyond the format"):
        export_model(run, out, "onnx", using="ease")
    assert not out.exists()
