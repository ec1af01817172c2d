"""Values given on the command line, `dotted.key=value`, put into the plain values of a config."""

from __future__ import annotations

from typing import Any

from genre.errors import ConfigError
from genre.plain_yaml import read_yaml

COMMAND_LINE = "command line"
"""The origin of a value that an override gave."""


def apply_override(values: dict[str, Any], origins: dict[str, str], override: str) -> None:
    """Set one value of a config and record the command line as its origin.

    Args:
        values: The plain values of the config; changed in place.
        origins: Path of a value -> where it came from; changed in place.
        override: `dotted.key=value`. A part of the key that leads into a list is a position, a `name` or a `kind`.

    Raises:
        ConfigError: The override is not of this form, leads nowhere, or sets what an earlier one has set.
    """
    dotted, equals, text = override.partition("=")
    if not equals or not dotted:
        raise ConfigError(f"override {override!r}: write dotted.key=value, such as evaluation.k=20")
    value = read_yaml(f"value: {text}", f"override {override!r}")[0]["value"]
    inside: Any = values
    path = ""
    *parents, last = dotted.replace("[", ".").replace("]", "").split(".")
    for part in parents:
        path, inside = _path(inside, path, part, override), _enter(inside, part, override)
    path = _path(inside, path, last, override)
    if origins.get(path) == COMMAND_LINE:
        raise ConfigError(f"override {override!r}: {path} is given more than once")
    inside[_position(inside, last, override) if isinstance(inside, list) else last] = value
    for beneath in [place for place in origins if place.startswith((f"{path}.", f"{path}["))]:
        del origins[beneath]
    _record(origins, path, value)


def _path(inside: Any, path: str, part: str, override: str) -> str:
    """Return the path of a part of `inside`, whose own path is `path`, as messages write it."""
    if isinstance(inside, list):
        return f"{path}[{_position(inside, part, override)}]"
    return f"{path}.{part}" if path else part


def _enter(inside: Any, part: str, override: str) -> Any:
    """Return the mapping or list at `part`; an empty mapping is made where there is none."""
    if isinstance(inside, list):
        return inside[_position(inside, part, override)]
    if not isinstance(inside.setdefault(part, {}), (dict, list)):
        raise ConfigError(f"override {override!r}: {part!r} is a single value")
    return inside[part]


def _position(items: list[Any], part: str, override: str) -> int:
    """Return the position in a list that a number, or the `name` or `kind` of an entry, refers to."""
    for at, item in enumerate(items):
        if part == str(at) or (isinstance(item, dict) and part in (item.get("name"), item.get("kind"))):
            return at
    names = [str(item.get("name") or item.get("kind")) for item in items if isinstance(item, dict)]
    raise ConfigError(f"override {override!r}: no {part!r} in the list ({', '.join(names)})")


def _record(origins: dict[str, str], path: str, value: Any) -> None:
    """Record the command line as the origin of a value and of everything inside it."""
    origins[path] = COMMAND_LINE
    if isinstance(value, list):
        for at, inner in enumerate(value):
            _record(origins, f"{path}[{at}]", inner)
    elif isinstance(value, dict):
        for key, inner in value.items():
            _record(origins, f"{path}.{key}", inner)
