"""Pages made from the code: every section and kind of a config, the Python names, the verbs. Does not know the site."""

from __future__ import annotations

import argparse
import inspect
import json
from pathlib import Path
from typing import Any

import genre
from genre.cli.main import command_parser
from genre.config.schema import schema
from genre.config.sections import SECTIONS, resolve
from genre.evaluation.metric_table import METRICS
from genre.kinds import KINDS
from genre.options import search_space

PLAIN = {"type", "default", "description", "title"}
CORE = (
    "run",
    "read_run",
    "Run",
    "load",
    "split",
    "evaluate",
    "Evaluation",
    "Dataset",
    "History",
    "Recommender",
    "Encoder",
    "LanguageModel",
)


def write_reference(folder: Path) -> None:
    """Write all pages.

    Args:
        folder: Where to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    whole = schema()
    pages = {
        "config": config_page(whole),
        "python": python_page(),
        "command-line": command_page(),
        "metrics": metrics_page(),
    }
    pages |= {f"kinds-{section}": kinds_page(section, whole["$defs"]) for section in KINDS}
    for name, text in pages.items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")


def config_page(whole: dict[str, Any]) -> str:
    """Describe the sections of a config that have no kind.

    Args:
        whole: The JSON Schema of configs.

    Returns:
        A page.
    """
    parts = ["# Config\n\nEvery key of a config, but for the options of each `kind`, which have pages of their own.\n"]
    parts.append(_options(whole, {}))

    def inside(name: str, body: dict[str, Any]) -> None:
        for key, value in body["properties"].items():
            nested = next((one for one in (value, *value.get("anyOf", ())) if "properties" in one), None)
            if nested is not None:
                path = f"{name}.{key}".lstrip(".")
                parts.append(f"\n## {path}\n\n{nested.get('description', '')}\n\n{_options(nested, {})}")
                inside(path, nested)

    inside("", whole)
    return "\n".join(parts)


def kinds_page(section: str, definitions: dict[str, Any]) -> str:
    """Describe the kinds of one section, with their options.

    Args:
        section: Such as `recommenders`.
        definitions: The definitions of the JSON Schema.

    Returns:
        A page.
    """
    base = next(base for base, name in SECTIONS.items() if name == section)
    parts = [f"# Kinds of {section}\n"]
    for kind in sorted(KINDS[section]):
        cls = resolve(base, kind)
        text = inspect.getdoc(cls) or ""
        about = text.partition("\n    Example:")[0].partition("\nExample:")[0].partition("\nAttributes:")[0].strip()
        body = definitions.get(f"{section}.{kind}")
        parts.append(f"\n## {kind}\n\n`{KINDS[section][kind]}`\n\n{_prose(about)}\n")
        if body:
            parts.append(_options(body, {name: str(found) for name, found in search_space(cls).items()}))
    return "\n".join(parts)


def _prose(text: str) -> str:
    """Return a docstring as Markdown: indented blocks, which are formulas, stay as they are written."""
    return "\n".join(
        line if line.startswith("    ") or not line.strip() else line.replace("*", "\\*").replace("<", "&lt;")
        for line in text.splitlines()
    )


def _options(body: dict[str, Any], searched: dict[str, Any]) -> str:
    """Return a table of options: name, type and range, default, text."""
    rows = ["| option | type | default | what it is |", "|---|---|---|---|"]
    for name, value in body.get("properties", {}).items():
        if name == "kind":
            continue
        default = (
            "required"
            if name in body.get("required", ())
            else f"`{json.dumps(value['default'])}`"
            if "default" in value
            else ""
        )
        text = value.get("description", "")
        if not text:
            raise SystemExit(f"the option {name} of {body.get('description')!r} has no text; give it a Doc")
        rows.append(f"| `{name}` | {_cell(_type(value))} | {_cell(default)} | {_cell(text)} |")
    return "\n".join(rows) + "\n" if len(rows) > 2 else "No options.\n"


def _type(value: dict[str, Any]) -> str:
    """Describe the legal values of an option."""
    if "$ref" in value:
        section = value["$ref"].rpartition("/")[2].partition(".")[0]
        return f"a [kind of {section}](kinds-{section}.md)"
    if "enum" in value or "const" in value:
        return ", ".join(f"`{one}`" for one in value.get("enum", [value.get("const")]))
    if "anyOf" in value:
        return " or ".join(dict.fromkeys(_type(one) for one in value["anyOf"]))
    if "properties" in value:
        return "options of its own"
    if value.get("type") == "array":
        items = value.get("items") or (value.get("prefixItems") or [{}])[0]
        return f"list of {_type(items)}"
    limits = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {value[key]:g}" for key, sign in limits.items() if key in value]
    return " ".join(
        [
            {"null": "none", "object": "mapping"}.get(value.get("type", "any"), value.get("type", "any")),
            ", ".join(bounds),
        ]
    ).strip()


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def metrics_page() -> str:
    """Describe the metrics.

    Returns:
        A page.
    """
    rows = [
        f"| `{name}` | {_cell(metric.about)} | {'higher' if metric.higher_is_better else 'lower'} |"
        for name, metric in METRICS.items()
    ]
    return "\n".join(["# Metrics\n", "| metric | what it is | better |", "|---|---|---|", *rows, ""])


def python_page() -> str:
    """Describe the public names, from their docstrings.

    Returns:
        A page of autodoc directives.
    """
    rest = [name for name in sorted(genre._HOMES) if name not in CORE]
    parts = [
        "# Python\n\nThe names of `genre`. Recommenders share the methods of `Recommender`; their options "
        "are on [their page](kinds-recommenders.md).\n"
    ]
    for name in (*CORE, *rest):
        found = getattr(genre, name)
        directive = "autoclass" if inspect.isclass(found) else "autofunction"
        members = "   :members:\n   :inherited-members:\n" if name in ("Recommender", "Run", "Dataset") else ""
        parts.append(
            f"## {name}\n\n```{{eval-rst}}\n.. {directive}:: {found.__module__}.{found.__qualname__}\n{members}```\n"
        )
    return "\n".join(parts)


def command_page() -> str:
    """Show the help of every verb.

    Returns:
        A page.
    """
    parts = ["# Command line\n"]

    def show(parser: argparse.ArgumentParser) -> None:
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for verb in action.choices.values():
                    parts.append(f"## {verb.prog}\n\n```text\n{verb.format_help()}```\n")
                    show(verb)

    show(command_parser())
    return "\n".join(parts)
