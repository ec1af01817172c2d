"""A recommender of a finished run as files for other programs: GENRE's own folder or ONNX, each with a model card.

Does not know how the recommender was learnt.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from genre import storage
from genre.errors import ArtifactError, NotAvailable
from genre.recommenders.base import Recommender
from genre.runs import Run

Form = Literal["folder", "onnx"]
CHECKED = 16  # users whose scores are compared
TOLERANCE = 1e-4  # of the largest score: single precision, summed in another order


def export_model(run: Run, out: str | Path, form: Form, *, using: str | None = None) -> Path:
    """Write a recommender with the ids and titles of its items and a model card; whole or not at all.

    `folder` is what `genre.Recommender.load` reads (in `model/`). `onnx` is `model.onnx`: for item-item recommenders
    the weights of histories `[n, n_items]` become scores `[n, n_items]`, for factor models queries `[n, dim]` do, for
    networks padded histories. Row `i` of `items.parquet` is column `i` of the scores. What onnxruntime computes is
    compared with the recommender before the folder appears.

    Args:
        run: A finished run.
        out: A folder that does not exist yet.
        form: `folder` or `onnx`.
        using: The label of a recommender; None: the best one.

    Returns:
        The folder.

    Raises:
        ArtifactError: The folder exists, or onnxruntime computes other scores.
        NotSupported: There is no graph for this kind of recommender.
        NotAvailable: The packages of ONNX are missing.
        UnknownId: The run has no such recommender.
    """
    path, label = Path(out), using or next(iter(run.recommenders))
    model = run.recommender(using)
    if path.exists():
        raise ArtifactError(f"{path} exists; choose another folder")
    with storage.publish(path) as aside:
        if form == "folder":
            model.save(aside / "model")
        else:
            _write_onnx(run, model, aside)
        titles = run.dataset.titles().column()
        pq.write_table(pa.table({"item_id": run.dataset.item_ids.values, "title": titles}), aside / "items.parquet")
        (aside / "README.md").write_text(model_card(run, label, form), encoding="utf-8")
    return path


def model_card(run: Run, label: str, form: Form) -> str:
    """Fill a model card from the report of a run.

    Args:
        run: The run.
        label: The recommender.
        form: How it is saved.

    Returns:
        Markdown.
    """
    report, model = run.report, run.recommenders[label]
    data, row = report["data"], next((one for one in report["leaderboard"] if one["name"] == label), None)
    about = (type(model).__doc__ or "").strip().partition("\n")[0]
    lines = [
        f"# {run.name}: {label}",
        "",
        about,
        "",
        f"Made by GENRE {report['genre']} from {data['name']}: {data['users']:,} users, {data['items']:,} items, "
        f"{data['interactions']:,} interactions ({data['train']:,} to learn from, {data['validation']:,} to choose by, "
        f"{data['test']:,} to test).",
    ]
    if label in run.refitted:
        lines += ["", "Learnt again from all interactions afterwards; the figures are of what the train part taught."]
    lines += ["", "## Use", "", _usage(form), "", "## Figures on the test part", ""]
    if row is None:
        lines.append("Not evaluated in this run.")
    else:
        lines += ["| metric | value | 95 % interval over users |", "|---|---:|---|"]
        for name, value in row["values"].items():
            low, high = row["intervals"].get(name) or (None, None)
            shown = "-" if low is None or high is None else f"{low:.4f} to {high:.4f}"
            lines.append(f"| {name} | {'-' if value is None else f'{value:.4f}'} | {shown} |")
        counts = ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in row["counts"].items())
        lines += ["", f"The whole catalogue is ranked. Counted: {counts}."]
        if not row["tied_with_best"]:
            lines += [f"By {report['primary']} another recommender of the run is better at 5 %."]
    lines += ["", "## Limits", "", *(f"- {line}" for line in data["too_little"])]
    lines += [
        "- Figures from past interactions say what would have been found, not what a list would change.",
        "- Items that the data does not have are not recommended; the data's bias towards popular items is learnt.",
    ]
    config = (run.folder / "config.yaml").read_text("utf-8")
    return "\n".join([*lines, "", "## Config", "", "```yaml", config.rstrip(), "```", ""])


def _usage(form: Form) -> str:
    """Say how the files are read."""
    if form == "folder":
        return "`genre.Recommender.load('model').recommend(['an item id'], k=10)`. `items.parquet` has ids and titles."
    return (
        "`model.onnx` has one output, `scores` `[n, n_items]`; column `i` is row `i` of `items.parquet`. Its inputs "
        "are some of these: `history` `[n, n_items]`, the weight of each item that a person had; `queries` `[n, dim]`, "
        "what `as_factors(history)[0]` of the recommender returns; or histories side by side, oldest interaction "
        "first: `items` `[n, length]`, rows of `items.parquet`, -1 behind the end, and with them `weights` (above 0: "
        "liked), `ratings`, or `times` in seconds since 1970. Without weights or ratings, `items` are liked ones. "
        "`user` `[n]` is a row of `users.parquet`, -1 for a person who is not in it. Items of the history are not left "
        "out."
    )


def _write_onnx(run: Run, model: Recommender, folder: Path) -> None:
    """Write the graph that makes the scores, and compare what onnxruntime computes with the recommender."""
    try:
        import onnxruntime

        from genre.onnx_graphs import graph_of
    except ImportError as error:
        raise NotAvailable("ONNX needs onnx and onnxruntime: pip install 'genre-rec[text]'") from error
    history = run.dataset.history(np.flatnonzero(np.bincount(run.dataset.user))[:CHECKED])
    made, inputs = graph_of(model, history)
    (folder / "model.onnx").write_bytes(made.SerializeToString())
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    each = [{name: value[at : at + 1] for name, value in inputs.items()} for at in range(len(history))]
    found, expected = np.concatenate([session.run(None, one)[0] for one in each]), model.score(history)
    if not np.allclose(found, expected, atol=TOLERANCE * max(1, float(np.abs(expected).max())), rtol=0):
        raise ArtifactError("model.onnx: onnxruntime computes other scores than the recommender; use --to folder")
    if "user" in inputs:
        pq.write_table(pa.table({"user_id": run.dataset.user_ids.values}), folder / "users.parquet")
