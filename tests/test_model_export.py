"""Recommenders as files for other programs: the scores are the same, and the model card says what the report says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow.parquet as pq
import pytest

import genre
from genre import model_export
from genre.cli.main import main
from genre.errors import ArtifactError, NotSupported, UnknownId
from genre.model_export import export_model
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


def test_what_cannot_be_exported_leaves_nothing(
    run: genre.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, product = tmp_path / "out", model_export._product
    with pytest.raises(NotSupported, match="Popularity are no product"):
        export_model(run, out, "onnx", using="popularity")
    with pytest.raises(UnknownId, match="did you mean 'ease'"):
        export_model(run, out, "folder", using="eese")
    with monkeypatch.context() as patched:
        patched.setattr(model_export, "_product", lambda *given: (*product(*given)[:2], product(*given)[2] + 1))
        with pytest.raises(ArtifactError, match="computes other scores"):
            export_model(run, out, "onnx", using="ease")
    monkeypatch.setattr(model_export, "LARGEST", 10)
    with pytest.raises(NotSupported, match="beyond the format"):
        export_model(run, out, "onnx", using="ease")
    assert not out.exists()
