"""The house stays in order: exports, built-in kinds, the cost of an import, layers, no import circles."""

from __future__ import annotations

import ast
import configparser
import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import genre
from genre.config.experiment import Experiment
from genre.config.sections import SECTIONS, base_of, is_nested, resolve
from genre.kinds import KINDS
from genre.options import option_docs, type_hints
from genre.recommenders.base import Recommender

SOURCE = Path(genre.__file__).parent
HEAVY = {"torch", "pandas", "polars", "sklearn", "optuna", "plotly", "fastapi", "openai", "onnxruntime", "duckdb"}

LIGHT = ("cli.main", "config", "pipeline", "runs", "recommenders.mlp", "serving.service")


def imported(*modules: str) -> list[set[str]]:
    """The top modules that a fresh interpreter has loaded after each of these imports in turn."""
    shown = "print(*{name.partition('.')[0] for name in sys.modules})"
    code = "; ".join(["import sys", *(f"import {module}; {shown}" for module in modules)])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return [set(line.split()) for line in done.stdout.splitlines()]


def test_heavy_libraries_wait_until_they_are_used() -> None:
    modules = ["genre", *(f"genre.{name}" for name in LIGHT)]
    loaded = dict(zip(modules, imported(*modules), strict=True))
    assert not loaded["genre"] & (HEAVY | {"numpy", "numba", "pyarrow", "scipy", "pydantic"}), "costs next to nothing"
    assert {module: found & HEAVY for module, found in loaded.items() if found & HEAVY} == {}


def test_help_loads_next_to_nothing() -> None:
    before, after = imported("sys", "genre.cli.main")
    slow = {"dataclasses", "inspect", "annotated_types", "logging", "html", "concurrent"}
    assert not (after - before) & slow, "genre --help builds the parser and needs none of them"


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


def options_without_text(cls: type) -> set[str]:
    """The options of a class, and of the sections inside it, that have no `Doc`."""
    hints = type_hints(cls)
    bare = {f"{cls.__name__}.{name}" for name in set(hints) - set(option_docs(cls))}
    inside = {base_of(hint) for hint in hints.values() if is_nested(hint)} - set(SECTIONS)
    return bare.union(*map(options_without_text, inside))


def test_every_kind_says_what_it_is_and_every_option_has_its_text() -> None:
    assert not options_without_text(Experiment)
    for section, kinds in KINDS.items():
        for kind, path in kinds.items():
            module, _, name = path.partition(":")
            cls = getattr(importlib.import_module(module), name)
            assert inspect.getdoc(cls), f"{section} {kind} has no docstring"
            assert not options_without_text(cls), f"{section} {kind}"


def imports_of(path: Path) -> set[str]:
    """The modules of GENRE that a file imports anywhere, also inside functions and for its types alone."""
    found = set[str]()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return {name for name in found if name.partition(".")[0] == "genre"}


def circle(edges: dict[str, set[str]]) -> list[str]:
    """A path of imports that ends where it began; empty where there is none."""
    done, path = set[str](), list[str]()

    def visit(name: str) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name not in done:
            path.append(name)
            for imported in sorted(edges[name]):
                if found := visit(imported):
                    return found
            done.add(path.pop())
        return []

    return next((found for name in sorted(edges) if (found := visit(name))), [])


def test_a_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_two_files_import_each_other_over_any_number_of_files() -> None:
    """As edges of files, not of rooms, whether the import is at the top, in a function or for types alone."""
    files = {
        ".".join(("genre", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__"): path
        for path in SOURCE.rglob("*.py")
    }
    edges = {name: (imports_of(path) & set(files)) - {name} for name, path in files.items()}
    del edges["genre"]  # it names the places of its exports
    edges = {name: imported - {"genre"} for name, imported in edges.items()}
    assert len(edges) > 150
    assert not circle(edges), " -> ".join(circle(edges))


def test_every_room_has_its_layer() -> None:
    rules = configparser.ConfigParser()
    rules.read(SOURCE.parents[1] / ".importlinter")
    named = " ".join(value for section in rules.sections() for value in rules[section].values())
    rooms = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    assert {room for room in rooms if room not in named} == set()


def test_files_that_coverage_and_the_makefile_name_exist() -> None:
    root = SOURCE.parents[1]
    settings = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["tool"]
    named = [f"src/{name.removeprefix('*/')}" for name in settings["coverage"]["report"]["include"]]
    named += settings["ruff"]["lint"]["per-file-ignores"]
    named += re.findall(r"\b(?:tests|benchmarks|examples)/[\w./]*\w", (root / "Makefile").read_text("utf-8"))
    assert len(named) > 50
    assert {name for name in named if not any(root.glob(name))} == set()


def test_what_has_a_full_size_runs_at_night() -> None:
    root = SOURCE.parents[1]
    text = (root / "Makefile").read_text("utf-8").replace("\\\n", " ")
    lines = re.findall(r"^LOADERS := .*|^\tHYPOTHESIS_PROFILE=nightly .*", text, re.M)
    assert len(lines) == 2
    places = [root / name for name in re.findall(r"tests/[\w/.]+", " ".join(lines))]
    sized = [
        path for path in root.glob("tests/**/test_*.py") if re.search("^from sizes", path.read_text("utf-8"), re.M)
    ]
    assert len(sized) > 10
    assert [path for path in sized if not any(path.is_relative_to(place) for place in places)] == []
