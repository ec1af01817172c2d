"""The house stays in order: what is exported, what is built in, what an import costs, which layers there are."""

from __future__ import annotations

import ast
import configparser
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import genre
from genre.config.sections import resolve
from genre.kinds import KINDS
from genre.recommenders.base import Recommender

SOURCE = Path(genre.__file__).parent
HEAVY = {"torch", "pandas", "polars", "sklearn", "optuna", "plotly", "fastapi", "openai", "onnxruntime", "duckdb"}


def imported(statement: str) -> set[str]:
    """The top modules that a fresh interpreter has loaded after `statement`."""
    code = f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_an_import_costs_next_to_nothing() -> None:
    assert not imported("import genre") & (HEAVY | {"numpy", "numba", "pyarrow", "scipy", "pydantic"})


@pytest.mark.parametrize("module", ["cli.main", "config", "pipeline", "runs", "recommenders.mlp", "serving.service"])
def test_heavy_libraries_wait_until_they_are_used(module: str) -> None:
    assert not imported(f"import genre.{module}") & HEAVY


def test_what_is_exported_is_what_type_checkers_see() -> None:
    tree = ast.parse((SOURCE / "__init__.py").read_text("utf-8"))
    seen = {
        alias.asname: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }
    assert seen == genre._HOMES
    for name in genre._HOMES:
        assert getattr(genre, name) is getattr(importlib.import_module(seen[name]), name)


def test_every_recommender_that_is_built_in_is_exported() -> None:
    for kind in KINDS["recommenders"]:
        cls = resolve(Recommender, kind)
        assert getattr(genre, cls.__name__) is cls


def test_every_kind_says_what_it_is_and_what_its_options_are() -> None:
    from genre.options import option_docs, type_hints

    for group, kinds in KINDS.items():
        for kind, path in kinds.items():
            module, _, name = path.partition(":")
            cls = getattr(importlib.import_module(module), name)
            assert inspect.getdoc(cls), f"{group} {kind} has no docstring"
            undocumented = set(type_hints(cls)) - set(option_docs(cls))
            assert not undocumented, f"{group} {kind}: {undocumented} stand in no docstring"


def test_every_room_has_its_layer() -> None:
    rules = configparser.ConfigParser()
    rules.read(SOURCE.parents[1] / ".importlinter")
    named = " ".join(value for section in rules.sections() for value in rules[section].values())
    rooms = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    assert {room for room in rooms if room not in named} == set()
