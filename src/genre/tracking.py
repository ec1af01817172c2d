"""A finished run in MLflow: its config, figures, curves and files, and a nested run for each recommender.

Where MLflow keeps them is MLflow's own business: MLFLOW_TRACKING_URI, as for every program that uses it. Nothing in a
run depends on it. Knows what a run folder holds, not how it was made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from genre import plain_yaml
from genre.config.reading import FULL_CONFIG
from genre.config.secrets import without_folders
from genre.config.writing import to_yaml
from genre.errors import DataError, NotAvailable
from genre.log import SILENT, Log
from genre.runs import Run

TAG = "genre.run"
ARTIFACTS = ("report.html", "report.json")
LONGEST_PARAM = 500  # characters; MLflow refuses longer ones


def track_in_mlflow(run: Run, experiment: str, *, log: Log = SILENT) -> str:
    """Log a finished run to MLflow, once: a run that is there already is not logged again.

    Args:
        run: The run.
        experiment: Name of the MLflow experiment.
        log: Where the place is reported.

    Returns:
        The id of the MLflow run.

    Raises:
        NotAvailable: MLflow is not installed.
        DataError: MLflow does not take the run; the message has its reason.
    """
    try:
        import mlflow
        from mlflow.exceptions import MlflowException
    except ImportError as error:
        raise NotAvailable("tracking needs mlflow: pip install 'genre-rec[mlflow]'") from error

    try:
        found = mlflow.set_experiment(experiment)
        known = mlflow.MlflowClient().search_runs([found.experiment_id], f"tags.`{TAG}` = '{run.folder.name}'")
        if known:
            log.line(f"mlflow: {run.folder.name} is there already, as run {known[0].info.run_id}")
            return str(known[0].info.run_id)
        with mlflow.start_run(run_name=run.folder.name) as parent:
            _log_run(mlflow, run)
            for row in run.report["leaderboard"]:
                with mlflow.start_run(run_name=row["name"], nested=True):
                    _log_recommender(mlflow, run, row)
            mlflow.set_tag(TAG, run.folder.name)  # last, so that a run that was cut off is logged again
    except (MlflowException, OSError) as error:
        raise DataError(f"mlflow: {error}; MLFLOW_TRACKING_URI says where it keeps runs") from error
    log.line(f"mlflow: experiment {found.name!r}, run {parent.info.run_id} in {mlflow.get_tracking_uri()}")
    return str(parent.info.run_id)


def _log_run(mlflow: Any, run: Run) -> None:
    """Log what concerns the whole run."""
    report = run.report
    config, _ = plain_yaml.read_yaml((run.folder / FULL_CONFIG).read_text("utf-8"), FULL_CONFIG)
    config = without_folders(config)  # as in the report: where files lie on this machine stays on it
    mlflow.log_params(dict(_flat(config)))
    mlflow.log_text(to_yaml(config), FULL_CONFIG)
    mlflow.set_tags(
        {"genre.version": report["genre"], "genre.best": report["best"], "genre.data": report["data"]["name"]}
    )
    sizes = {name: report["data"][name] for name in ("users", "items", "interactions", "train", "validation", "test")}
    best = next(row for row in report["leaderboard"] if row["name"] == report["best"])
    mlflow.log_metrics({**sizes, "seconds": report["seconds"], **_metrics(best)})
    for name in ARTIFACTS:
        if (run.folder / name).is_file():
            mlflow.log_artifact(str(run.folder / name))


def _log_recommender(mlflow: Any, run: Run, row: Mapping[str, Any]) -> None:
    """Log the figures of one recommender on the test part, and what it was like after each epoch."""
    mlflow.set_tag("genre.recommender", row["name"])
    mlflow.log_metrics({**_metrics(row), **{f"cost.{name}": value for name, value in _known(row["cost"])}})
    for entry in run.report["training"].get(row["name"], []):
        if entry["event"] == "epoch":
            values = {f"epoch.{metric_name(name)}": value for name, value in _known(entry) if name != "epoch"}
            mlflow.log_metrics(values, step=entry["epoch"])


def _metrics(row: Mapping[str, Any]) -> dict[str, float]:
    """Return the values of a recommender and the ends of their intervals, by names that MLflow takes."""
    made = {metric_name(label): value for label, value in _known(row["values"])}
    for label, (low, high) in row["intervals"].items():
        made |= {f"{metric_name(label)}.{end}": at for end, at in (("low", low), ("high", high)) if at is not None}
    return made


def _known(values: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    numbers = ((name, value) for name, value in values.items() if isinstance(value, int | float))
    return ((name, value) for name, value in numbers if not isinstance(value, bool))


def metric_name(label: str) -> str:
    """Return the name of a metric in MLflow, which takes no `@`.

    Args:
        label: Such as `ndcg@10`.

    Returns:
        Such as `ndcg_at_10`.
    """
    return label.replace("@", "_at_")


def _flat(values: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the leaves of a config by dotted path; a list of plain values is one leaf."""
    if isinstance(values, Mapping):
        for name, value in values.items():
            yield from _flat(value, f"{path}.{name}" if path else str(name))
    elif isinstance(values, list) and any(isinstance(one, Mapping) for one in values):
        for at, value in enumerate(values):
            yield from _flat(value, f"{path}.{at}")
    else:
        yield path, str(values)[:LONGEST_PARAM]
