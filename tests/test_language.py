"""The language of the source: full docstrings, no words that only insiders understand, one meaning for each name."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import genre

SOURCE = Path(genre.__file__).parent
FILES = sorted(path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py"))
SCRIPTS = sorted(path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*") if path.suffix in (".js", ".html"))
BANNED = ("asked", "told", "unasked", "whoever", "nobody", "of late", "rung", "shelf", "desk", "wish")
BANNED_NAMES_IN_SERVING = ("trial", "patience", "memory", "world")
SAME_FILE_NAME = {"__init__", "base", "new_items"}  # a contract of its room; new items of a model, and of a service
SAME_NAME = set[str]()  # public names that two files share because they mean the same
ALGORITHM_ROOMS = {"kernels", "networks", "recommenders"}


def words(text: str) -> str:
    """The words of code or prose, lower-case: `UnaskedItem_ids` -> `unasked item ids`."""
    return re.sub(r"[^a-z]+", " ", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text).lower())


@pytest.mark.parametrize("path", [*FILES, *SCRIPTS])
def test_no_private_dialect(path: str) -> None:
    text = words((SOURCE / path).read_text("utf-8"))
    found = sorted({word for word in BANNED if re.search(rf"\b{word}\b", text)})
    assert not found, f"{path}: say it in the field's own words, not {found}"


@pytest.mark.parametrize("path", [path for path in FILES if path.startswith("serving/")])
def test_serving_uses_the_names_of_its_field(path: str) -> None:
    tree = ast.parse((SOURCE / path).read_text("utf-8"))
    names = {words(name).strip() for name in identifiers(tree)}
    found = sorted({name for name in names if set(name.split()) & set(BANNED_NAMES_IN_SERVING)})
    assert not found, f"{path}: {found}"


def identifiers(tree: ast.AST) -> Iterator[str]:
    """Every name that a file defines or uses."""
    for node in ast.walk(tree):
        for field in ("id", "attr", "arg", "name", "asname"):
            name = getattr(node, field, None)
            if isinstance(name, str):
                yield name


def public_functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Functions of a module and methods of its public classes that a caller may use."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from (inner for inner in node.body if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef))


def lacking(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """The sections that the docstring of a public function lacks."""
    decorators = {ast.unparse(one).partition("(")[0] for one in function.decorator_list}
    if function.name.startswith("_") or decorators & {"overload", "override", "property", "cached_property"}:
        return []
    text, given = ast.get_docstring(function) or "", function.args
    takes = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs) if one.arg not in ("self", "cls")]
    takes += [one.arg for one in (given.vararg, given.kwarg) if one is not None]
    returns = "None" if function.returns is None else ast.unparse(function.returns)
    nothing = returns in ("None", "NoReturn") or returns.startswith(("Iterator", "Generator", "AsyncIterator"))
    lacks = []
    if takes and "Args:" not in text:
        lacks.append("Args:")
    if not nothing and not re.search(r"\b(Returns|Yields):", text):
        lacks.append("Returns:")
    return lacks


@pytest.mark.parametrize("path", FILES)
def test_public_functions_say_what_they_take_and_return(path: str) -> None:
    tree = ast.parse((SOURCE / path).read_text("utf-8"))
    lacks = {function.name: missing for function in public_functions(tree) if (missing := lacking(function))}
    assert not lacks, f"{path}: {lacks}"


def test_a_file_name_has_one_meaning() -> None:
    places = defaultdict(list)
    for path in FILES:
        places[Path(path).stem].append(path)
    for name, found in places.items():
        rooms = {path.partition("/")[0] for path in found}
        algorithm = rooms <= ALGORITHM_ROOMS and len(rooms) == len(found)
        assert len(found) == 1 or name in SAME_FILE_NAME or algorithm, found


def test_a_public_name_has_one_meaning() -> None:
    places = defaultdict(list)
    for path in FILES:
        for node in ast.parse((SOURCE / path).read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(path)
    shared = {name: found for name, found in places.items() if len(found) > 1 and name not in SAME_NAME}
    assert not shared
