"""A recommender of a finished run as files for other programs: GENRE's own folder or ONNX, each with a model card.

Does not know how the recommender was learnt.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from genre import storage
from genre.arrays import Float32
from genre.errors import ArtifactError, NotAvailable, NotSupported
from genre.recommenders.base import Recommender
from genre.recommenders.factors import Factors
from genre.recommenders.item_weights import ItemWeights
from genre.runs import Run

Form = Literal["folder", "onnx"]
LARGEST = 2_000_000_000  # bytes of a matrix inside an ONNX file, whose format ends at 2 GiB
OPSET, IR_VERSION = 17, 9
CHECKED = 16  # users whose scores are compared
TOLERANCE = 1e-4  # of the largest score: single precision, summed in another order


def export_model(run: Run, out: str | Path, form: Form, *, using: str | None = None) -> Path:
    """Write a recommender with the ids and titles of its items and a model card; whole or not at all.

    `folder` is what `genre.Recommender.load` reads (in `model/`). `onnx` is `model.onnx`: for item-item recommenders
    the weights of histories `[n, n_items]` become scores `[n, n_items]`, for factor models queries `[n, dim]` do. Row
    `i` of `items.parquet` is column `i` of the scores. What onnxruntime computes is compared with the recommender
    before the folder appears.

    Args:
        run: A finished run.
        out: A folder that does not exist yet.
        form: `folder` or `onnx`.
        using: The label of a recommender; None: the best one.

    Returns:
        The folder.

    Raises:
        ArtifactError: The folder exists, or onnxruntime computes other scores.
        NotSupported: The scores of this recommender are no such product.
        NotAvailable: The packages of ONNX are missing.
        UnknownId: The run has no such recommender.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path, label = Path(out), using or next(iter(run.recommenders))
    model = run.recommender(using)
    if path.exists():
        raise ArtifactError(f"{path} exists; choose another folder")
    with storage.publish(path) as aside:
        if form == "folder":
            model.save(aside / "model")
        else:
            _write_onnx(run, model, aside / "model.onnx")
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
        "`model.onnx` has one input and one output, `scores` `[n, n_items]`; column `i` is row `i` of `items.parquet`. "
        "The input `history` `[n, n_items]` holds the weight of each item that a person had; an input `queries` "
        "`[n, dim]` is what `as_factors(history)[0]` of the recommender returns. Items of the history are not left out."
    )


def _write_onnx(run: Run, model: Recommender, path: Path) -> None:
    """Write the product that makes the scores, and compare what onnxruntime computes with the recommender."""
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise NotAvailable("ONNX needs onnx and onnxruntime: pip install 'genre-rec[text]'") from error
    history = run.dataset.history(np.flatnonzero(np.bincount(run.dataset.user))[:CHECKED])
    name, given, matrix = _product(model, history)
    if matrix.nbytes > LARGEST:
        raise NotSupported(f"onnx: a matrix of {matrix.nbytes / 1e9:.1f} GB is beyond the format; use --to folder")
    helper = onnx.helper
    graph = helper.make_graph(
        [helper.make_node("MatMul", [name, "weights"], ["scores"])],
        "scores",
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", len(matrix)])],
        [helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, ["n", matrix.shape[1]])],
        [onnx.numpy_helper.from_array(matrix, "weights")],
    )
    made = helper.make_model(graph, ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)])
    onnx.checker.check_model(made)
    path.write_bytes(made.SerializeToString())
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found, expected = session.run(None, {name: given})[0], model.score(history)
    if not np.allclose(found, expected, atol=TOLERANCE * max(1, float(np.abs(expected).max())), rtol=0):
        raise ArtifactError(f"{path.name}: onnxruntime computes other scores than the recommender; use --to folder")


def _product(model: Recommender, history: Any) -> tuple[str, Float32, Float32]:
    """Return the input's name, its value for some histories, and the matrix it is multiplied with."""
    if isinstance(model, ItemWeights) and model.history_half_life is None:
        weights: Any = model.item_weights_
        dense = np.asarray(weights.toarray() if hasattr(weights, "toarray") else weights, np.float32)
        return "history", np.asarray(history.matrix().toarray(), np.float32), np.ascontiguousarray(dense)
    factors = model.as_factors(history) if isinstance(model, Factors) else None
    if factors is None:
        raise NotSupported(
            f"onnx: the scores of {type(model).__name__} are no product of a history or a query with a matrix; use "
            "--to folder, or --using an item-item or factor model of the run"
        )
    return "queries", np.asarray(factors[0], np.float32), np.ascontiguousarray(factors[1].T, np.float32)
