"""Where each value of a config came from, for people: what `genre check` shows."""

from __future__ import annotations

from typing import Any

import yaml

from genre.config.reading import Config


def explain_config(config: Config) -> str:
    """Write a config with every default filled in and, behind each value, where it came from.

    Args:
        config: A checked config.

    Returns:
        YAML with a comment on each line that holds a value.
    """
    lines: list[str] = []
    _explain(config.full, "", 0, config.origins, lines)
    return "\n".join(lines)


def _explain(value: Any, path: str, indent: int, origins: dict[str, str], lines: list[str]) -> None:
    """Append the lines of one mapping or list."""
    entries = value.items() if isinstance(value, dict) else ((f"[{at}]", item) for at, item in enumerate(value))
    for key, item in entries:
        in_list = key.startswith("[")
        place = f"{path}{key}" if in_list or not path else f"{path}.{key}"
        label = f"{'  ' * indent}{'-' if in_list else f'{key}:'}"
        if item and (isinstance(item, dict) or (isinstance(item, list) and isinstance(item[0], dict))):
            lines.append(label)
            _explain(item, place, indent + 1, origins, lines)
        else:
            shown = yaml.safe_dump(item, default_flow_style=True, allow_unicode=True, width=10_000)
            text = f"{label} {shown.removesuffix('...' + chr(10)).strip()}"
            lines.append(f"{text:<70} # {origins.get(place) or _filled_in(place, origins)}")


def _filled_in(path: str, origins: dict[str, str]) -> str:
    """Return the origin of a value that the user did not write: the section `llm`, or a default."""
    inside, llm, _ = path.rpartition(".llm.")
    return "llm" if llm and f"{inside}.llm" not in origins else "default"
