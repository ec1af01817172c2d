"""YAML -> a checked Experiment that knows, for each value, where it came from.

Knows nothing about classes and their options: `building.py` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genre.config.building import build_experiment, build_serving_options
from genre.config.domain_defaults import add_domain_defaults
from genre.config.experiment import Experiment
from genre.config.overrides import apply_override
from genre.config.secrets import refuse_secrets
from genre.config.serving_options import ServingOptions
from genre.config.writing import to_dict
from genre.errors import ConfigError
from genre.plain_yaml import read_yaml
from genre.storage import MANIFEST

MAX_BYTES = 1_000_000
FULL_CONFIG = "config.full.yaml"
"""The config in a run folder with every default filled in."""


@dataclass(frozen=True)
class Config:
    """An experiment with the text it came from.

    Attributes:
        experiment: The checked experiment.
        text: The YAML as the user wrote it.
        full: The plain values with every default filled in.
        origins: Path of a value (`recommenders[0].seed`) -> `line 3`, `command line`, `domain shop` or `seed`.
    """

    experiment: Experiment
    text: str
    full: dict[str, Any]
    origins: dict[str, str]


def read_config(path: str | Path, overrides: Sequence[str] = (), *, trust: bool = False) -> Config:
    """Read and check a YAML file.

    Args:
        path: The file. Relative paths in it start at its folder.
        overrides: `dotted.key=value` each, put over what the file says.
        trust: Run code of the folder also where it is a run, which may be somebody else's.

    Returns:
        The checked config.

    Raises:
        ConfigError: The file cannot be read or the config is not legal; the message has a line for each problem.
    """
    if not isinstance(path, (str, Path)):
        raise ConfigError(
            f"found a {type(path).__name__}; expected the path of a YAML file, or what `parse_config` makes of its text"
        )
    file = Path(path)
    text = _text_of(file)
    folder = file.resolve().parent
    trust = trust or not (_is_of_run(file) or _is_of_run(file.resolve()))
    return parse_config(text, str(file), overrides, folder=folder, trust=trust)


def read_serving_options(path: Path) -> ServingOptions:
    """Read and check a YAML file with the section `serving` alone.

    Args:
        path: The file.

    Returns:
        The options.

    Raises:
        ConfigError: The file cannot be read or is not legal.
    """
    values, lines = read_yaml(_text_of(path), str(path))
    return build_serving_options(values, str(path), lines)


def _text_of(file: Path) -> str:
    """Read a YAML file that is not too large."""
    try:
        raw = file.read_bytes()
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror}); give the path of a YAML file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: not UTF-8 text ({error.reason} at byte {error.start})") from error
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{file}: {len(raw):,} bytes; a config has at most {MAX_BYTES:,}")
    return text


def _is_of_run(file: Path) -> bool:
    """Tell whether a config is that of a run folder, finished or not."""
    return file.name == FULL_CONFIG or (file.parent / MANIFEST).exists()


def parse_config(
    text: str, name: str, overrides: Sequence[str] = (), *, folder: Path | None = None, trust: bool = True
) -> Config:
    """Check the text of a config.

    Args:
        text: YAML.
        name: What to call the config in messages.
        overrides: `dotted.key=value` each, put over what the text says.
        folder: Where relative paths start and modules of the user are looked for; None: paths stay as they are.
        trust: Import modules from `folder`.

    Returns:
        The checked config.

    Raises:
        ConfigError: The config is not legal; the message has a line for each problem.
    """
    values, lines = read_yaml(text, name)
    origins = {path: f"line {line}" for path, line in lines.items()}
    first = [override for override in overrides if override.startswith("domain=")]
    for override in first:
        apply_override(values, origins, override)
    if Path(name).name != FULL_CONFIG:  # which has no defaults left to fill in
        add_domain_defaults(values, origins, folder)
    for override in overrides:
        if override not in first:
            apply_override(values, origins, override)
    refuse_secrets(name, text, overrides, values)
    experiment = build_experiment(values, name, lines, origins, folder, trust=trust)
    return Config(experiment, text, to_dict(experiment), origins)
