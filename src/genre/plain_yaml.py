"""Plain YAML: keys, values and their lines; no anchors, no tags, no repeated keys.

Anchors can make 400 bytes fill the memory, tags can run code, and of a repeated key the last would silently win. Knows
nothing about configs.
"""

from __future__ import annotations

from typing import Any

import yaml

from genre.errors import ConfigError

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # that of libyaml is fast on deep nesting
MAX_DEPTH = 20
MAX_LENGTH = 200_000  # characters


def read_yaml(text: str, name: str) -> tuple[dict[str, Any], dict[str, int]]:
    """Read plain YAML.

    Args:
        text: YAML.
        name: What to call the text in messages.

    Returns:
        The values, and the line of each dotted path (`recommenders[0].kind`).

    Raises:
        ConfigError: The text is not YAML or not plain; the message names the line.
    """
    if len(text) > MAX_LENGTH:
        raise ConfigError(f"{name}: {len(text):,} characters; a config has at most {MAX_LENGTH:,}")
    try:
        _refuse_unsafe(text, name)
        node = yaml.compose(text, Loader=Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark else name
        raise ConfigError(f"{where}: not valid YAML ({getattr(error, 'problem', None) or error})") from error
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{name}: expected keys and values such as `name: movies`, found something else")
    lines: dict[str, int] = {}
    return _construct(node, "", name, lines), lines


def _refuse_unsafe(text: str, name: str) -> None:
    """Raise ConfigError for anchors, aliases, tags and deep nesting, before any value is made."""
    depth = 0
    for event in yaml.parse(text, Loader=Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise ConfigError(f"{name}:{line}: YAML anchors and aliases are not allowed; write the value out")
        if tag := getattr(event, "tag", None):
            raise ConfigError(f"{name}:{line}: YAML tags are not allowed, found {tag!r}")
        if depth > MAX_DEPTH:
            raise ConfigError(f"{name}:{line}: nested deeper than {MAX_DEPTH} levels")


def _construct(node: yaml.Node, path: str, name: str, lines: dict[str, int]) -> Any:
    """Return the value of a node and record the line of every value inside it."""
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        return [_construct(child, f"{path}[{at}]", name, lines) for at, child in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        out: dict[str, Any] = {}
        for key_node, child in node.value:
            key = str(key_node.value)
            if key in out:
                raise ConfigError(f"{name}:{key_node.start_mark.line + 1}: the key {key!r} appears twice")
            out[key] = _construct(child, f"{path}.{key}" if path else key, name, lines)
        return out
    try:
        return yaml.SafeLoader("").construct_object(node)
    except (ValueError, OverflowError, yaml.YAMLError) as error:
        raise ConfigError(f"{name}:{node.start_mark.line + 1}: {path}: not a value ({error})") from error
