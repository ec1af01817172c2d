"""The pipeline of a config as a Mermaid diagram."""

from __future__ import annotations

from genre.config.experiment import Experiment
from genre.config.sections import kind_name


def mermaid(experiment: Experiment) -> str:
    """Draw the six steps with what a config puts into each.

    Args:
        experiment: The config.

    Returns:
        Mermaid text, `graph LR`.
    """
    features = experiment.features
    sides = {"E(i)": features.items, "E(u)": features.users}
    encoders = [f"{label}: {kind_name(type(encoder))}" for label, encoder in sides.items() if encoder is not None]
    llm = [] if experiment.llm is None else [kind_name(type(experiment.llm.provider))]
    evaluation = experiment.evaluation
    lines = [
        "graph LR",
        _box("data", "data", [kind_name(type(experiment.data))], shape="[(%s)]"),
        _box("preprocessing", "preprocessing", [f"split: {kind_name(type(experiment.split))}"]),
        _box("features", "features", encoders or ["none"]),
        _box("recommenders", "recommenders", list(experiment.labels)),
        _box("training", "training", [f"seed {experiment.seed}"]),
        _box("evaluation", "evaluation", [f"{name}@{evaluation.first_k}" for name in evaluation.metrics[:3]]),
        _box("output", "output", ["report, recommend, serve"]),
        "  data --> preprocessing --> features --> recommenders --> evaluation --> output",
        "  recommenders <--> training",
        *([_box("llm", "llm", llm), "  llm -. augments .-> features"] if llm else []),
        "  evaluation -. tunes .-> recommenders",
    ]
    return "\n".join(lines)


def _box(name: str, title: str, details: list[str], shape: str = "[%s]") -> str:
    """Return the line of one box: its title in bold, its details below."""
    text = "<br/>".join([f"<b>{title}</b>", *(detail.replace('"', "'") for detail in details)])
    return f"  {name}" + shape % f'"{text}"'
