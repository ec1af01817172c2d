"""Defaults of a domain, put under what a config says. Knows plain values alone, no classes and options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genre.domains.packs import PACKS, is_own_pack, load_domain
from genre.errors import ConfigError

WITH_COLUMNS = ("files", "sql")
"""Kinds of `data` whose columns are found by name."""


def add_domain_defaults(values: dict[str, Any], origins: dict[str, str], folder: Path | None) -> None:
    """Put the defaults of the config's `domain` under its values; what the config says stays.

    Options of an object of one `kind` are no defaults for one of another kind; a list or null stays as it is.

    Args:
        values: The plain values of the config; changed in place.
        origins: Path of a value -> where it came from; changed in place.
        folder: Where the path of a user's own pack starts; None: it stays as it is.

    Raises:
        ConfigError: There is no such pack, or it cannot be used.
    """
    name = values.get("domain")
    if not isinstance(name, str):
        return
    domain = load_domain(pack_path(name, folder))
    if wrong := [key for key in domain.config if key in ("domain", "name")]:
        raise ConfigError(f"domain {name!r}: config: {wrong[0]!r} is the config's own; take it out of the pack")
    _fill(values, domain.config, "", origins, f"domain {name}")
    data = values.get("data")
    if name not in PACKS and domain.columns and isinstance(data, dict) and data.get("kind") in WITH_COLUMNS:
        names = {role: list(known) for role, known in domain.columns.items()}
        _fill(values, {"data": {"columns": {"names": names}}}, "", origins, f"domain {name}")


def pack_path(name: str, folder: Path | None) -> str:
    """Return where a pack is found.

    Args:
        name: A built-in or installed pack, or the path of a YAML file.
        folder: Where a relative path starts; None: it stays as it is.

    Returns:
        The name, or the path from `folder`.
    """
    return str(folder / name) if folder is not None and is_own_pack(name) else name


def _fill(values: dict[str, Any], defaults: dict[str, Any], path: str, origins: dict[str, str], origin: str) -> None:
    """Add what is missing, in place, and record where it came from."""
    if "kind" in defaults and values.get("kind", defaults["kind"]) != defaults["kind"]:
        return
    for key, default in defaults.items():
        place = f"{path}.{key}" if path else key
        if key not in values:
            values[key] = _copied(default, place, origins, origin)
        elif isinstance(values[key], dict) and isinstance(default, dict):
            _fill(values[key], default, place, origins, origin)


def _copied(value: Any, path: str, origins: dict[str, str], origin: str) -> Any:
    """Return a copy of plain values, every one of them recorded."""
    origins[path] = origin
    if isinstance(value, dict):
        return {key: _copied(inner, f"{path}.{key}", origins, origin) for key, inner in value.items()}
    if isinstance(value, list):
        return [_copied(inner, f"{path}[{at}]", origins, origin) for at, inner in enumerate(value)]
    return value
