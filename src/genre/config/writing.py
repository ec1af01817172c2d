"""Objects back to plain values and YAML, every default filled in. Knows nothing about checking."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import yaml

from genre.config.experiment import Experiment
from genre.config.sections import SECTIONS, kind_name
from genre.options import options_of


def to_dict(made: Any) -> Any:
    """Convert an object to plain values, from which `parse_config` builds an equal one.

    Args:
        made: An experiment, any part of one, or a plain value.

    Returns:
        Dicts, lists and single values.
    """
    if isinstance(made, Experiment):
        values = {option.name: to_dict(getattr(made, option.name)) for option in dataclasses.fields(made)}
        for entry, label in zip(values["recommenders"], values.pop("labels"), strict=True):
            if entry["kind"] != label:
                entry["name"] = label
        return values
    if dataclasses.is_dataclass(made) and not isinstance(made, type):
        kind = {"kind": kind_name(type(made))} if isinstance(made, tuple(SECTIONS)) else {}
        return kind | {name: to_dict(value) for name, value in options_of(made).items()}
    if isinstance(made, (tuple, list)):
        return [to_dict(item) for item in made]
    if isinstance(made, dict):
        return {key: to_dict(value) for key, value in made.items()}
    return str(made) if isinstance(made, Path) else made


def to_yaml(value: dict[str, Any]) -> str:
    """Write plain values as YAML.

    Args:
        value: Plain values, as `to_dict` returns them.

    Returns:
        The text, keys in their order.
    """
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)
